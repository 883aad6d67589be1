"""Alerts from monitoring systems: one route for each source."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter

from app.api.deps import ServicesDep, SessionDep
from app.api.errors import problems
from app.api.query_parameters import any_query
from app.api.transaction import TransactionalRoute
from app.api.webhooks import SECURITY, Alert, token_of
from app.core.source import SourceType
from app.schemas.alert import AlertAnswer
from app.services.incidents import alert_intake_service

ANY_OBJECT = {"type": "object", "additionalProperties": True}


def router_of(sources: Iterable[SourceType]) -> APIRouter:
    """`POST /alerts/{name}` for each of the sources."""
    router = APIRouter(
        prefix="/alerts", tags=["webhooks"], route_class=TransactionalRoute, responses=problems(409, 413, 429)
    )
    for source in sources:
        _add_route(router, source)
    return router


def _add_route(router: APIRouter, source: SourceType) -> None:
    @any_query
    def receive(posted: Alert, services: ServicesDep, session: SessionDep) -> AlertAnswer:
        severity = services.settings.webhook_default_severity
        sender = services.sources[source.name]
        return alert_intake_service.receive(session, sender, posted, default_severity=severity)

    router.add_api_route(
        f"/{source.name}",
        receive,
        methods=["POST"],
        name=f"receive_{source.name}_alert",
        description=source.description,
        status_code=201,
        dependencies=[token_of(source.name)],
        openapi_extra=_documented(source),
    )


def _documented(source: SourceType) -> dict[str, Any]:
    """Any content type is read as JSON: senders mislabel it, and an alert must not be lost over that."""
    content = {"application/json": {"schema": ANY_OBJECT, "example": source.example}, "*/*": {"schema": ANY_OBJECT}}
    return {"security": SECURITY, "requestBody": {"required": True, "content": content}}
