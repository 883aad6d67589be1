"""What a channel is: how a message is handed to it, what comes back, and which channels there are."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID

from app.core.config import ChannelSettings, Settings
from app.core.vocabulary import AttemptOutcome, NotificationKind

EMAIL = "email"  # the channel of what goes to an account and not to a preference
WEBHOOK = "webhook"  # the channel of what a policy's step calls


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message, ready to send. The key is the same for every attempt.

    `facts` are what the message says, for channels that lay it out themselves; see `Message.facts`.
    """

    address: str
    subject: str
    body: str
    idempotency_key: UUID
    incident_id: int | None
    kind: NotificationKind = NotificationKind.PAGE
    html: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. A channel that cannot tell says RETRY: a duplicate is better than a lost page.

    `is_address_gone` is the provider's word that this address will never work again. `answer` is the beginning of
    what a webhook answered.
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
    """What everybody may read of an error. What a server answered is for administrators.

    Whoever names the URL would read what only we can reach.
    """
    return _WITH_ITS_BODY.sub(r"\1.", error) if error is not None else None


class Channel(Protocol):
    """A channel that is set up here. `send` runs in a thread, has a timeout of its own and does not raise."""

    @property
    def name(self) -> str: ...

    def send(self, envelope: Envelope) -> Outcome: ...

    def provider(self, address: str) -> str:
        """Who takes messages to this address, such as a host's name: what is slow or down together."""
        ...


class ChannelType(Protocol):
    """A channel that this version knows, set up or not. Its file registers one instance."""

    @property
    def name(self) -> str: ...

    @property
    def settings_type(self) -> type[ChannelSettings]: ...

    @property
    def own_address(self) -> Literal["email", "phone_number"] | None:
        """The field of a user that is the address of whoever set none."""
        ...

    @property
    def is_optional(self) -> bool:
        """An extra: for administrators alone, and in no list unless it is set up."""
        ...

    def clean_address(self, address: str, own: ChannelSettings) -> str:
        """The address in the form in which it is stored. Raises ValueError with what is wrong with it."""
        ...

    def set_up(self, settings: Settings, own: ChannelSettings) -> Channel | None:
        """The channel of these settings; None if they name no provider. Raises ConfigurationError."""
        ...


class Registry:
    """The channels of this version, in the order in which a person who has set none is reached."""

    def __init__(self) -> None:
        self._types: dict[str, ChannelType] = {}

    def add(self, channel: ChannelType) -> None:
        if channel.name in self._types:
            raise ValueError(f"there are two channels named {channel.name}")
        self._types[channel.name] = channel

    def __iter__(self) -> Iterator[ChannelType]:
        return iter(self._types.values())

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def __getitem__(self, name: str) -> ChannelType:
        return self._types[name]

    def names(self) -> list[str]:
        return list(self._types)


CHANNELS = Registry()
Registered = TypeVar("Registered")


def register(channel: type[Registered]) -> type[Registered]:
    """Decorates a ChannelType: from now on there is such a channel."""
    CHANNELS.add(channel())  # type: ignore[arg-type]  # mypy cannot say "a class whose instances satisfy"
    return channel
