"""SMS by Twilio, or by the operator's gateway."""

import json
from typing import Annotated, Literal

from pydantic import Field, SecretStr, TypeAdapter, ValidationError

from app.core.channel import Channel, register
from app.core.config import ChannelSettings, Settings
from app.core.errors import ConfigurationError
from app.integrations.addresses import parsed
from app.integrations.channels.sms.gateway import DEFAULT_BODY, GatewayChannel
from app.integrations.channels.sms.text import MAX_TEXT
from app.integrations.channels.sms.twilio import TwilioChannel
from app.schemas.types import PhoneNumber
from app.services.messages.template import TemplateError, check

NO_NUMBER = "is not a telephone number, such as +49 151 12345678"
_number: TypeAdapter[str] = TypeAdapter(PhoneNumber)
_headers: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])


class SmsSettings(ChannelSettings):
    """The settings of a provider. Twilio's account is in the general settings."""

    twilio_base_url: str = "https://api.twilio.com"
    sms_timeout_seconds: Annotated[float, Field(gt=0, le=50)] = 10.0
    sms_gateway_url: SecretStr | None = None
    sms_gateway_body: str = DEFAULT_BODY
    sms_gateway_content_type: str = "application/json"
    sms_gateway_headers: SecretStr | None = None
    sms_gateway_id_path: str | None = None


@register
class SmsType:
    """SMS, if a provider is set."""

    name = "sms"
    order = 20
    settings_type = SmsSettings
    own_address: Literal["email", "phone_number"] | None = "phone_number"
    is_optional = False
    needs_provider = True
    has_status_updates = False
    shows_html = False
    max_body: int | None = MAX_TEXT

    def clean_address(self, address: str, own: ChannelSettings) -> str:
        try:
            return _number.validate_python(address)
        except ValidationError as error:
            [first, *_] = error.errors()
            said = first["msg"].removeprefix("Value error, ") if first["type"] == "value_error" else NO_NUMBER
            raise ValueError(f"This {said}.") from error

    def set_up(self, settings: Settings, own: ChannelSettings) -> Channel | None:
        if not isinstance(own, SmsSettings):
            return None
        twilio = _twilio(settings, own)
        if own.sms_gateway_url is None:
            return twilio
        if twilio is not None:
            raise ConfigurationError("SMS goes by Twilio or by SMS_GATEWAY_URL: set only one of them")
        return _gateway(own, own.sms_gateway_url.get_secret_value())


def _twilio(settings: Settings, own: SmsSettings) -> TwilioChannel | None:
    token = settings.twilio_auth_token.get_secret_value() if settings.twilio_auth_token else None
    account, sender = settings.twilio_account_sid, settings.twilio_phone_number
    if account and token and sender:
        _require_url("TWILIO_BASE_URL", own.twilio_base_url)
        return TwilioChannel(
            account_sid=account,
            auth_token=token,
            sender=sender,
            base_url=own.twilio_base_url,
            public_url=settings.public_url,
            timeout_seconds=own.sms_timeout_seconds,
        )
    given = {"TWILIO_ACCOUNT_SID": account, "TWILIO_AUTH_TOKEN": token, "TWILIO_PHONE_NUMBER": sender}
    missing = [name for name, value in given.items() if not value]
    if len(missing) < len(given):
        raise ConfigurationError(f"SMS by Twilio is only partly set up: set {' and '.join(missing)}")
    return None


def _gateway(own: SmsSettings, url: str) -> GatewayChannel:
    _require_url("SMS_GATEWAY_URL", url)
    try:
        check(own.sms_gateway_body)
    except TemplateError as error:
        raise ConfigurationError(f"SMS_GATEWAY_BODY is not a template: {error}") from error
    return GatewayChannel(
        url=url,
        body=own.sms_gateway_body,
        content_type=own.sms_gateway_content_type,
        headers=_headers_of(own.sms_gateway_headers),
        id_path=own.sms_gateway_id_path,
        timeout_seconds=own.sms_timeout_seconds,
    )


def _require_url(name: str, url: str) -> None:
    try:
        parsed(url)
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}") from error


def _headers_of(given: SecretStr | None) -> dict[str, str]:
    try:
        return _headers.validate_python(json.loads(given.get_secret_value()) if given else {})
    except (ValueError, RecursionError):
        told = 'SMS_GATEWAY_HEADERS must be a JSON object of texts, such as {"Authorization": "Bearer …"}'
        raise ConfigurationError(told) from None  # the error would contain the secret
