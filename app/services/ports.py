"""What services need of the world outside, and what integrations provide."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from app.core.vocabulary import AttemptOutcome


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message, ready to send. The key is the same for every attempt."""

    address: str
    subject: str
    body: str
    idempotency_key: UUID
    incident_id: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. A channel that cannot tell says RETRY: a duplicate is better than a lost page."""

    result: AttemptOutcome
    status_code: int | None = None
    provider_id: str | None = None
    error: str | None = None
    retry_after_seconds: float | None = None


class Channel(Protocol):
    """A way to deliver messages. `send` runs in a thread, has a timeout of its own and does not raise."""

    @property
    def name(self) -> str: ...

    def send(self, envelope: Envelope) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Paging:
    """What planning a page needs to know of this installation."""

    channels: frozenset[str]
    public_url: str
