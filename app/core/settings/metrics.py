"""Who may read the metrics, where a worker alone shows its own, and who collects traces."""

from typing import Annotated

from pydantic import Field, SecretStr

from app.core.settings.section import Section, WebUrl

MIN_METRICS_TOKEN_CHARACTERS = 16


class MetricsSettings(Section):
    """The token of `GET /metrics`: without one, production keeps the metrics closed. And OpenTelemetry's collector."""

    metrics_token: SecretStr | None = None
    worker_metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    otel_exporter_otlp_endpoint: WebUrl = ""

    def production_problems(self) -> list[str]:
        token = self.metrics_token
        if token is not None and len(token.get_secret_value()) < MIN_METRICS_TOKEN_CHARACTERS:
            cure = "make one with `openssl rand -hex 32`"
            return [f"METRICS_TOKEN is shorter than {MIN_METRICS_TOKEN_CHARACTERS} characters: {cure}"]
        return []
