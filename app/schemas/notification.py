"""Preferences and deliveries on the wire."""

from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, StringConstraints

from app.core.vocabulary import AttemptOutcome, DeliveryStatus, NotificationKind
from app.schemas.base import Read, Update
from app.schemas.types import Flag, Storable, Time


class PreferenceUpdate(Update):
    """Switch a channel on or off, or set where it leads. `enabled` and `is_enabled` are the same."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": True}]})
    read_only: ClassVar[frozenset[str]] = frozenset({"id", "user_id", "channel"})

    enabled: Flag = True
    is_enabled: Flag = True
    address: Annotated[str, StringConstraints(max_length=2048, strip_whitespace=True), Storable] | None = None

    def switched(self, current: bool) -> bool:
        """On or off after this. Of two answers that differ, the one that was edited counts."""
        given = {getattr(self, name) for name in ("enabled", "is_enabled") if name in self.model_fields_set}
        return given.pop() if len(given) == 1 else current if not given else not current


class PreferenceRead(Read):
    """What holds for one channel, also if it was never set (`id` is null then)."""

    id: int | None
    user_id: int
    channel: str = Field(examples=["email"])
    enabled: bool
    is_enabled: bool
    address: str | None = Field(description="Where this channel leads; null: the user's own address")


class AttemptRead(Read):
    """One attempt to deliver."""

    at: Time
    outcome: AttemptOutcome
    status_code: int | None
    latency_ms: int
    error: str | None


class NotificationRead(Read):
    """One message to one recipient by one channel."""

    id: int
    incident_id: int | None
    event_id: int | None
    user_id: int | None
    channel: str = Field(examples=["email"])
    recipient: str = Field(validation_alias="address", examples=["user@example.com"])
    kind: NotificationKind
    subject: str
    status: DeliveryStatus
    attempt: int = Field(description="How many times it was tried")
    last_error: str | None
    provider_id: str | None
    created_at: Time
    next_attempt_at: Time | None
    accepted_at: Time | None
    ended_at: Time | None
    attempts: list[AttemptRead]
