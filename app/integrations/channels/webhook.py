"""Webhooks: JSON to a URL, signed by Standard Webhooks (https://www.standardwebhooks.com)."""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from pydantic import SecretStr

from app.core.channel import WEBHOOK, Channel, Envelope, Outcome, register
from app.core.clock import utcnow
from app.core.config import ChannelSettings, Settings
from app.core.errors import ConfigurationError
from app.core.facts import BundleFacts, PageFacts, StatusUpdateFacts, StatusUpdatesFacts, stored
from app.core.vocabulary import NotificationKind
from app.integrations import http
from app.integrations.addresses import host_of
from app.integrations.channels.hook import HookSettings, clean_url

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of every secret
MIN_KEY_BYTES = 24  # Standard Webhooks: 24 to 64 bytes
DERIVED_FOR = b"webhook signatures"
GONE = frozenset({410})
ANSWER_CHARACTERS = 500


class WebhookSettings(HookSettings):
    """The signing secrets, newest first. While two are set, receivers can change from one to the other."""

    webhook_signing_secrets: SecretStr = SecretStr("")

    def keys(self) -> tuple[bytes, ...]:
        """Raises ConfigurationError."""
        listed = self.webhook_signing_secrets.get_secret_value().split(",")
        return tuple(_key(secret.strip()) for secret in listed if secret.strip())


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(SECRET_PREFIX) or len(key) < MIN_KEY_BYTES:
        made = "echo whsec_$(openssl rand -base64 32)"
        raise ConfigurationError(f"WEBHOOK_SIGNING_SECRETS has one that is not whsec_<base64>: make it with `{made}`")
    return key


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """Posts a message as JSON. Its id is the idempotency key, so that receivers can recognize duplicates."""

    keys: tuple[bytes, ...]
    own: HookSettings
    name: str = WEBHOOK

    def send(self, envelope: Envelope) -> Outcome:
        is_action = envelope.kind is NotificationKind.WEBHOOK_ACTION
        body = envelope.body if is_action else json.dumps(payload(envelope), ensure_ascii=False)
        headers = {"Content-Type": "application/json", **signature(self.keys, envelope.idempotency_key, body)}
        limits = self.own.limits(gone=GONE, answer_characters=ANSWER_CHARACTERS if is_action else 0)
        return http.post(envelope.address, data=body, headers=headers, limits=limits)

    def provider(self, address: str) -> str:
        return host_of(address)


def payload(envelope: Envelope) -> dict[str, Any]:
    """The posted JSON: the kind of message, the time of this attempt, and the message."""
    facts = envelope.facts
    is_update = isinstance(facts, StatusUpdateFacts | StatusUpdatesFacts)
    is_about_incidents = isinstance(facts, PageFacts | BundleFacts) or is_update
    said = stored(facts) if facts is not None and is_about_incidents else {}
    return {
        "type": facts.event if facts is not None and is_update else envelope.kind,
        "timestamp": utcnow().isoformat(),
        "data": {"subject": envelope.subject, "text": envelope.body, **said},
    }


def signature(keys: tuple[bytes, ...], message_id: UUID, body: str) -> dict[str, str]:
    """The headers that prove the sender: a signature by each key, newest first."""
    timestamp = str(int(utcnow().timestamp()))
    signed = f"{message_id}.{timestamp}.{body}".encode()
    signatures = (base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys)
    return {
        "webhook-id": str(message_id),
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


@register
class WebhookType:
    """Any URL. Always set up: without its own secrets it signs with one derived from each key of SECRET_KEY."""

    name = WEBHOOK
    order = 40
    settings_type = WebhookSettings
    own_address: Literal["email", "phone_number"] | None = None
    is_optional = False
    needs_provider = False
    has_status_updates = True
    shows_html = False
    max_body: int | None = None

    def clean_address(self, address: str, own: ChannelSettings) -> str:
        return clean_url(address, own)

    def set_up(self, settings: Settings, own: ChannelSettings) -> Channel | None:
        mine = own if isinstance(own, WebhookSettings) else WebhookSettings()
        return WebhookChannel(mine.keys() or settings.derived_keys(DERIVED_FOR), mine)
