"""What a channel is: how a message is handed to it, what comes back, and which channels there are."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar
from uuid import UUID

from app.core.config import ChannelSettings, Settings
from app.core.facts import BundleFacts, Facts, PageFacts
from app.core.vocabulary import AttemptOutcome, NotificationKind

EMAIL = "email"  # the channel of what goes to an account and not to a preference
WEBHOOK = "webhook"  # the channel of what a policy's step calls


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message, ready to send. The key is the same for every attempt.

    `facts` are what the message says, for channels that lay it out themselves. Without them there is only the text.
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
    def order(self) -> int:
        """Its place among the channels: whoever has set no order is reached by the lowest one that leads anywhere."""
        ...

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

    @property
    def needs_provider(self) -> bool:
        """False if it is set up everywhere, because its users name where it leads. It wakes nobody by itself."""
        ...

    @property
    def shows_html(self) -> bool: ...

    @property
    def max_body(self) -> int | None:
        """How many characters an administrator's wording may come to; None if the channel sets no limit."""
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
        listed = sorted((*self._types.values(), channel), key=lambda one: (one.order, one.name))
        self._types = {one.name: one for one in listed}

    def __iter__(self) -> Iterator[ChannelType]:
        return iter(self._types.values())

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def __getitem__(self, name: str) -> ChannelType:
        return self._types[name]

    def get(self, name: str) -> ChannelType | None:
        """None of a channel that only another version knows."""
        return self._types.get(name)

    def names(self) -> list[str]:
        return list(self._types)


CHANNELS = Registry()
Registered = TypeVar("Registered")


def register(channel: type[Registered]) -> type[Registered]:
    """Decorates a ChannelType: from now on there is such a channel."""
    CHANNELS.add(channel())  # type: ignore[arg-type]  # mypy cannot say "a class whose instances satisfy"
    return channel
