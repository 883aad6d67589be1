"""Where alerts come from."""

from typing import Annotated

from pydantic import Field, SecretStr

from app.core.settings.secret_list import no_part, weak_part
from app.core.settings.section import Section
from app.core.vocabulary import Severity

MIN_TOKEN_CHARACTERS = 16


class SourceSettings(Section):
    """The webhooks of monitoring systems."""

    elastic_webhook_token: SecretStr | None = None
    webhook_default_severity: Severity = Severity.HIGH
    webhook_max_body_mib: Annotated[int, Field(ge=1, le=64)] = 8

    def problems(self) -> list[str]:
        token = self.elastic_webhook_token
        return [] if token is None else no_part("ELASTIC_WEBHOOK_TOKEN", token)

    def production_problems(self) -> list[str]:
        if self.elastic_webhook_token is None:
            return ["ELASTIC_WEBHOOK_TOKEN is missing: anybody could open incidents"]
        return weak_part("ELASTIC_WEBHOOK_TOKEN", self.elastic_webhook_token, _weakness)


def _weakness(token: str) -> str | None:
    if len(token) < MIN_TOKEN_CHARACTERS:
        return f"is shorter than {MIN_TOKEN_CHARACTERS} characters: make one with `openssl rand -hex 32`"
    return None
