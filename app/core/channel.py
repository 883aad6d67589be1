"""The protocol of a channel, its messages and outcomes, and the registry of all channels."""

import re
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

from app.core.config import ChannelSettings, Settings
from app.core.facts import BundleFacts, Facts, PageFacts
from app.core.registry import Registry
from app.core.vocabulary import AttemptOutcome, NotificationKind

EMAIL = "email"  # the channel of messages to an account itself, whatever its preferences
WEBHOOK = "webhook"  # the channel of a policy's webhook calls
SPOKEN = {"email": "e-mail", "sms": "SMS", "slack": "Slack", "teams": "Teams", "webhook": "webhook", "push": "push"}


def spoken(channel: str) -> str:
    """The name of a channel in sentences."""
    return SPOKEN.get(channel, channel)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message, ready to send. The key is the same for every attempt.

    `facts` are the message's data, for channels with their own layout. Without them there is only the text.
    """

    address: str
    subject: str
    body: str
    idempotency_key: UUID
    incident_id: int | None
    kind: NotificationKind = NotificationKind.PAGE
    html: str | None = None
    facts: Facts | None = None

    @property
    def pages(self) -> tuple[PageFacts, ...]:
        """The pages in this message: one, those of a bundle, or none."""
        match self.facts:
            case PageFacts() as page:
                return (page,)
            case BundleFacts(incidents=pages):
                return pages
        return ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. A channel that cannot tell returns RETRY: a duplicate is better than a lost page.

    `is_address_gone`: the provider says that this address will never work again. `answer` is the start of a webhook's
    response.
    """

    result: AttemptOutcome
    status_code: int | None = None
    provider_id: str | None = None
    error: str | None = None
    retry_after_seconds: float | None = None
    is_address_gone: bool = False
    answer: str | None = None


ANSWERED = "The server answered"
_WITH_ITS_BODY = re.compile(rf"({ANSWERED} \d+): .*", re.DOTALL)


def without_answer(error: str | None) -> str | None:
    """The part of an error that everybody may read. Only administrators may read a server's answer.

    Otherwise anybody who sets a URL could read answers from places that only this service can reach.
    """
    return _WITH_ITS_BODY.sub(r"\1.", error) if error is not None else None


class Channel(Protocol):
    """A channel that is set up here. `send` runs in a thread, has a timeout of its own and does not raise."""

    @property
    def name(self) -> str: ...

    def send(self, envelope: Envelope) -> Outcome: ...

    def provider(self, address: str) -> str:
        """The provider behind an address, such as a host: addresses with the same provider share a circuit breaker."""
        ...


class ChannelType(Protocol):
    """A channel that this version knows, set up or not. Its file registers one instance."""

    @property
    def name(self) -> str: ...

    @property
    def order(self) -> int:
        """Its place in the default order, in which people are paged who have not chosen an order."""
        ...

    @property
    def settings_type(self) -> type[ChannelSettings]: ...

    @property
    def own_address(self) -> Literal["email", "phone_number"] | None:
        """The user field that serves as address for people who set none."""
        ...

    @property
    def is_optional(self) -> bool:
        """True for an extra: only administrators set it, and it is listed only where it is set up."""
        ...

    @property
    def needs_provider(self) -> bool:
        """False if it needs no provider because users supply the URL. Such a channel wakes nobody by itself."""
        ...

    @property
    def has_status_updates(self) -> bool:
        """True if people it paged also get status updates on it by default.

        False for channels that ring a phone.
        """
        ...

    @property
    def shows_html(self) -> bool: ...

    @property
    def max_body(self) -> int | None:
        """The longest body in characters that a template may produce; None for the common limit."""
        ...

    def clean_address(self, address: str, own: ChannelSettings) -> str:
        """The address in its stored form. Raises ValueError that says what is wrong."""
        ...

    def set_up(self, settings: Settings, own: ChannelSettings) -> Channel | None:
        """The channel with these settings; None if they name no provider. Raises ConfigurationError."""
        ...


def registry() -> Registry[ChannelType]:
    """An empty registry of channels. It keeps them in the default order of preference."""
    return Registry("channels", order=lambda channel: (channel.order, channel.name))


CHANNELS = registry()
register = CHANNELS.register  # class decorator that registers a ChannelType
