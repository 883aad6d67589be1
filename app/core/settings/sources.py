"""Where alerts come from."""

from typing import Annotated

from pydantic import Field, SecretStr

from app.core.settings.section import Section
from app.core.vocabulary import Severity

MIN_TOKEN_CHARACTERS = 16


class SourceSettings(Section):
    """The webhooks of monitoring systems."""

    elastic_webhook_token: SecretStr | None = None
    webhook_default_severity: Severity = Severity.HIGH
    webhook_max_body_mib: Annotated[int, Field(ge=1, le=64)] = 8

    def production_problems(self) -> list[str]:
        if self.elastic_webhook_token is None:
            return ["ELASTIC_WEBHOOK_TOKEN is missing: anybody could open incidents"]
        if len(self.elastic_webhook_token.get_secret_value()) < MIN_TOKEN_CHARACTERS:
            cure = "make one with `openssl rand -hex 32`"
            return [f"ELASTIC_WEBHOOK_TOKEN is shorter than {MIN_TOKEN_CHARACTERS} characters: {cure}"]
        return []
