"""Where alerts come from."""

from pydantic import SecretStr

from app.core.settings.section import Section
from app.core.vocabulary import Severity


class SourceSettings(Section):
    """The webhooks of monitoring systems."""

    elastic_webhook_token: SecretStr | None = None
    webhook_default_severity: Severity = Severity.HIGH

    def production_problems(self) -> list[str]:
        if self.elastic_webhook_token is None:
            return ["ELASTIC_WEBHOOK_TOKEN is missing: anybody could open incidents"]
        return []
