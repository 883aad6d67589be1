"""Alerts from monitoring systems: one route for each source."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter

from app.api.deps import ServicesDep, SessionDep
from app.api.gathered_alerts import gathers_alerts
from app.api.media_types import ANY_TYPE
from app.api.problems import problems
from app.api.query_parameters import any_query
from app.api.transaction import TransactionalRoute
from app.api.webhooks import SECURITY, Alert, token_of
from app.core.errors import AlertTooLarge, Conflict, NotAuthenticated, TooManyAlerts, TooManyRequests
from app.core.source import SourceType
from app.schemas.alert import AlertAnswer
from app.services.incidents import alert_intake_service

PROBLEMS = problems(
    NotAuthenticated("The webhook's token is missing or wrong."),
    Conflict("The alert changes faster than it can be applied. Send it again."),
    AlertTooLarge("The body is over 8388608 bytes. Send less at a time."),
    TooManyAlerts("A body may hold at most 2000 alerts. Send fewer at a time.", pointer="/alerts"),
    TooManyRequests,
)
READ_AS_JSON = "The body is read as JSON whatever its Content-Type says, and query parameters are ignored."
ANY_OBJECT = {"type": "object", "additionalProperties": True}


def router_of(sources: Iterable[SourceType]) -> APIRouter:
    """`POST /alerts/{name}` for each of the sources."""
    router = APIRouter(prefix="/alerts", tags=["webhooks"], route_class=TransactionalRoute, responses=PROBLEMS)
    for source in sources:
        _add_route(router, source)
    return router


def _add_route(router: APIRouter, source: SourceType) -> None:
    @any_query
    @gathers_alerts(source.name)
    def receive(posted: Alert, services: ServicesDep, session: SessionDep) -> AlertAnswer:
        severity = services.settings.webhook_default_severity
        sender = services.sources[source.name]
        return alert_intake_service.receive(session, sender, posted, default_severity=severity)

    router.add_api_route(
        f"/{source.name}",
        receive,
        methods=["POST"],
        name=f"receive_{source.name}_alert",
        description=f"{source.description} {READ_AS_JSON}",
        status_code=201,
        dependencies=[token_of(source.name)],
        openapi_extra=_documented(source),
    )


def _documented(source: SourceType) -> dict[str, Any]:
    """Read the body as JSON, whatever its content type: senders mislabel it, and no alert may be lost over that."""
    content = {"application/json": {"schema": ANY_OBJECT, "example": source.example}, ANY_TYPE: {"schema": ANY_OBJECT}}
    return {"security": SECURITY, "requestBody": {"content": content}}  # even an empty body is an alert
