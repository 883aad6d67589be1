"""Alerts from Elastic: Kibana's webhook connector, Watcher, alert documents."""

from typing import Any

from fastapi import APIRouter

from app.api.deps import ServicesDep, SessionDep
from app.api.errors import problems
from app.api.transaction import TransactionalRoute
from app.api.webhooks import SECURITY, Alert, ElasticToken
from app.integrations.sources.elastic import payload as elastic
from app.schemas.alert import AlertAnswer
from app.services.incidents import alert_service

router = APIRouter(
    prefix="/alerts",
    tags=["webhooks"],
    route_class=TransactionalRoute,
    responses=problems(400, 409),
)

EXAMPLE = {
    "alert_name": "High latency - api-gateway",
    "message": "p95 latency 1840 ms is above 1000 ms",
    "severity": "high",
    "service": {"name": "api-gateway", "environment": "production"},
    "alert_id": "latency-api-gateway",
    "state": {"state": "active"},
}
ALERT_BODY: dict[str, Any] = {
    "security": SECURITY,
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "additionalProperties": True},
                "example": EXAMPLE,
            },
            "*/*": {"schema": {"type": "object", "additionalProperties": True}},
        },
    },
}


@router.post("/elastic", status_code=201, dependencies=[ElasticToken], openapi_extra=ALERT_BODY)
def receive_elastic_alert(body: Alert, services: ServicesDep, session: SessionDep) -> AlertAnswer:
    """Receive alerts from Elastic. They open, update or resolve incidents; one key has one unresolved incident.

    The body's shape is the sender's: fields that are not known are kept in the incident's metadata.
    """
    signals = elastic.parse(body)
    severity = services.settings.webhook_default_severity
    return alert_service.answer(alert_service.ingest(session, signals, default_severity=severity))
