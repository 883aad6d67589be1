"""Who may read the metrics, and where a worker alone shows its own."""

from typing import Annotated

from pydantic import Field, SecretStr

from app.core.settings.section import Section

MIN_METRICS_TOKEN_CHARACTERS = 16


class MetricsSettings(Section):
    """The token of `GET /metrics`. Without one, production keeps the metrics closed."""

    metrics_token: SecretStr | None = None
    worker_metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None

    def production_problems(self) -> list[str]:
        token = self.metrics_token
        if token is not None and len(token.get_secret_value()) < MIN_METRICS_TOKEN_CHARACTERS:
            cure = "make one with `openssl rand -hex 32`"
            return [f"METRICS_TOKEN is shorter than {MIN_METRICS_TOKEN_CHARACTERS} characters: {cure}"]
        return []
