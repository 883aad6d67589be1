"""Elastic as a source of alerts: Kibana's webhook connector, Watcher, alert documents."""

from typing import Any

from pydantic import SecretStr

from app.core.config import Settings
from app.core.source import AlertSignal, SourceSettings, register
from app.integrations.sources.elastic import payload


@register
class Elastic:
    """Receives `POST /v1/alerts/elastic`."""

    name = payload.SOURCE
    settings_type = SourceSettings
    drops_429 = False  # Kibana's connector follows Retry-After
    description = (
        "Receive alerts from Elastic. They open, update or resolve incidents. Each key has at most one unresolved "
        "incident.\n\n"
        "The sender chooses the shape of the body. The incident's metadata keeps unknown fields."
    )
    example = {
        "alert_name": "High latency - api-gateway",
        "message": "p95 latency 1840 ms is above 1000 ms",
        "severity": "high",
        "service": {"name": "api-gateway", "environment": "production"},
        "alert_id": "latency-api-gateway",
        "state": {"state": "active"},
    }

    def token(self, settings: Settings, own: SourceSettings) -> SecretStr | None:
        """`ELASTIC_WEBHOOK_TOKEN`. Without it, the service does not start in production."""
        return settings.elastic_webhook_token

    def parse(self, body: dict[str, Any]) -> list[AlertSignal]:
        return payload.parse(body)
