"""Providers that several parts share: the mail server and Twilio."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from app.core.phone import known_region
from app.core.settings.section import Port, Section


class ProviderSettings(Section):
    """Where mail and text messages leave. Other channels declare their settings in their own files."""

    smtp_host: str | None = None
    smtp_port: Port = 587
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_from: str = "incidents@localhost"
    smtp_tls: Literal["none", "starttls", "tls"] = "starttls"
    smtp_allow_plaintext: bool = False
    smtp_timeout_seconds: Annotated[float, Field(gt=0, le=50)] = 10.0

    phone_default_region: Annotated[str, AfterValidator(known_region)] | None = None
    twilio_account_sid: str | None = None
    twilio_auth_token: SecretStr | None = None
    twilio_phone_number: str | None = None

    def production_problems(self) -> list[str]:
        if self.smtp_host is None or self.smtp_tls != "none" or self.smtp_allow_plaintext:
            return []
        cure = "use starttls or tls, or set SMTP_ALLOW_PLAINTEXT=true"
        return [f"SMTP_TLS is none, so pages and links for new passwords could be read on the way: {cure}"]
