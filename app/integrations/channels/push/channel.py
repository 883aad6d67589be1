"""Push messages to an ntfy topic, or to a subscribed browser."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from app.core.channel import Channel, Envelope, Outcome, register
from app.core.config import ChannelSettings, Settings
from app.core.errors import ConfigurationError, NotFound
from app.core.vocabulary import AttemptOutcome
from app.integrations.addresses import parsed
from app.integrations.channels.push.ntfy import Ntfy, clean_topic
from app.integrations.channels.push.text import MAX_BODY
from app.integrations.channels.push.vapid import public_key, vapid_key
from app.integrations.channels.push.web import WebPush, clean_subscription

NO_WEB_PUSH = "Web Push is not set up here. An operator has to set WEB_PUSH_PRIVATE_KEY."


class PushSettings(ChannelSettings):
    """The ntfy server and the key that signs Web Push."""

    ntfy_url: str | None = None
    ntfy_token: SecretStr | None = None
    web_push_private_key: SecretStr | None = None
    web_push_contact: str | None = None
    push_timeout_seconds: Annotated[float, Field(gt=0, le=50)] = 10.0
    push_allow_private_addresses: bool = False


@dataclass(frozen=True, slots=True)
class PushChannel:
    """Sends by ntfy or Web Push, depending on the address."""

    ntfy: Ntfy
    web: WebPush | None
    name: str = "push"

    def send(self, envelope: Envelope) -> Outcome:
        if not _is_subscription(envelope.address):
            return self.ntfy.send(envelope)
        if self.web is None:
            return Outcome(AttemptOutcome.DEAD, error=NO_WEB_PUSH)
        return self.web.send(envelope)

    def provider(self, address: str) -> str:
        if _is_subscription(address) and self.web is not None:
            return self.web.provider(address)
        return self.ntfy.provider(address)


def _is_subscription(address: str) -> bool:
    return address.startswith("{")


def application_server_key(own: ChannelSettings) -> str:
    """The public key for a browser's subscription. Raises NotFound without Web Push."""
    web = _web(own) if isinstance(own, PushSettings) else None
    if web is None:
        raise NotFound(NO_WEB_PUSH)
    return public_key(web.key)


@register
class PushType:
    """Push, where ntfy or Web Push is set up."""

    name = "push"
    order = 30
    settings_type = PushSettings
    own_address: Literal["email", "phone_number"] | None = None
    is_optional = False
    needs_provider = True
    has_status_updates = False
    shows_html = False
    max_body: int | None = MAX_BODY

    def clean_address(self, address: str, own: ChannelSettings) -> str:
        own = own if isinstance(own, PushSettings) else PushSettings()
        allows_private = own.push_allow_private_addresses
        if not _is_subscription(address):
            is_nowhere = own.ntfy_url is None and own.web_push_private_key is not None
            return clean_topic(address, has_server=not is_nowhere, allows_private=allows_private)
        if own.web_push_private_key is None:
            raise ValueError(NO_WEB_PUSH)
        return clean_subscription(address, allows_private=allows_private)

    def set_up(self, settings: Settings, own: ChannelSettings) -> Channel | None:
        if not isinstance(own, PushSettings):
            return None
        web = _web(own)
        if own.ntfy_url is None and web is None:
            return None
        return PushChannel(_ntfy(own), web)


def _ntfy(own: PushSettings) -> Ntfy:
    server = own.ntfy_url.rstrip("/") if own.ntfy_url else None
    try:
        if server is not None:
            parsed(server)
    except ValueError as error:
        raise ConfigurationError(f"NTFY_URL: {error}") from error
    token = own.ntfy_token.get_secret_value() if own.ntfy_token else None
    return Ntfy(server, token, own.push_timeout_seconds, own.push_allow_private_addresses)


def _web(own: PushSettings) -> WebPush | None:
    if own.web_push_private_key is None:
        return None
    key = vapid_key(own.web_push_private_key.get_secret_value(), own.web_push_contact)
    return WebPush(key, own.web_push_contact or "", own.push_timeout_seconds, own.push_allow_private_addresses)
