"""Preferences and deliveries on the wire."""

from datetime import time
from functools import cache
from typing import Annotated, ClassVar, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from app.core.vocabulary import AttemptOutcome, DeliveryStatus, NotificationKind, Severity
from app.schemas.base import Input, NameOf, Read, Update
from app.schemas.types import ChannelName, Flag, Storable, Time

MAX_POSITION = 100
MAX_SEVERITIES = 20
HOURS_EXAMPLE: dict[str, JsonValue] = {"from": "22:00", "until": "07:00", "time_zone": "Europe/Berlin"}


@cache
def _known_zones() -> frozenset[str]:
    """The zone names of the IANA database. Names that a machine adds may mean another zone elsewhere."""
    added = ("posix/", "right/")
    return frozenset(n for n in available_timezones() if n != "localtime" and not n.startswith(added))


def _known_zone(name: str) -> str:
    if name not in _known_zones():
        raise ValueError("is not a time zone. Use a name from the IANA database, such as Europe/Berlin")
    return name


def _each_once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("must not name a channel twice")
    return names


def _most_urgent_first(severities: list[Severity]) -> list[Severity]:
    return [severity for severity in Severity if severity in severities]


TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$"), Field(examples=["22:00"])]
TimeZone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_zone), Field(examples=["UTC"])]


class QuietHours(Input):
    """When to be quiet, as local times in a time zone. May span midnight."""

    model_config = ConfigDict(populate_by_name=True, json_schema_extra={"examples": [HOURS_EXAMPLE]})

    begins: TimeOfDay = Field(alias="from")
    ends: TimeOfDay = Field(alias="until")
    time_zone: TimeZone

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.begins == self.ends:
            raise ValueError("from and until are the same. Leave out quiet_hours to be quiet at all times")
        return self

    def columns(self) -> dict[str, object]:
        """The values of the columns."""
        begins, ends = time.fromisoformat(self.begins), time.fromisoformat(self.ends)
        return {"quiet_from": begins, "quiet_until": ends, "time_zone": self.time_zone}


class PreferenceUpdate(Update):
    """Change a channel: whether it is on, its address, its position and when it is quiet.

    `enabled` and `is_enabled` are the same.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"enabled": True},
                {"position": 1, "quiet_severities": ["low"], "quiet_hours": HOURS_EXAMPLE},
            ]
        }
    )
    read_only: ClassVar[frozenset[str]] = frozenset(
        {"id", "user_id", "user_name", "channel", "is_verified", "disabled_reason", "warnings"}
    )

    enabled: Flag = True
    is_enabled: Flag = True
    address: Annotated[str, StringConstraints(max_length=2048, strip_whitespace=True), Storable] | None = None
    position: Annotated[int, Field(ge=1, le=MAX_POSITION, strict=True)] | None = Field(
        default=None, description="Order of the channels, lowest first. Channels without a position come last"
    )
    quiet_severities: (
        Annotated[list[Severity], Field(max_length=MAX_SEVERITIES), AfterValidator(_most_urgent_first)] | None
    ) = Field(default=None, description="Pages of these severities do not use this channel during the quiet hours")
    quiet_hours: QuietHours | None = Field(
        default=None, description="null: the quiet severities are quiet at all times"
    )

    status_updates: Flag | None = Field(
        default=None,
        description="Whether a person paged by this channel also gets a status update on it when the incident is "
        "acknowledged or resolved; null: on for mail, Slack, Teams and webhooks, off for the others",
    )

    def switched(self, current: bool) -> bool:
        """Whether it is on afterwards. If both fields differ, the edited one counts."""
        given = {getattr(self, name) for name in ("enabled", "is_enabled") if name in self.model_fields_set}
        return given.pop() if len(given) == 1 else current if not given else not current

    def columns(self) -> dict[str, object]:
        """The columns for the order, the status updates and the quiet times, as far as the client sent them."""
        named = self.changes()
        columns = {name: value for name, value in named.items() if name in ("position", "status_updates")}
        if "quiet_severities" in named:
            columns["quiet_severities"] = [str(severity) for severity in self.quiet_severities or ()]
        if "quiet_hours" in named:
            nothing: dict[str, object] = dict.fromkeys(("quiet_from", "quiet_until", "time_zone"))
            columns |= self.quiet_hours.columns() if self.quiet_hours else nothing
        return columns


class ChannelOrder(Update):
    """The channels that come first, in this order. All others follow in the order in which they are listed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"channels": ["sms", "email"]}]})

    channels: Annotated[list[ChannelName], AfterValidator(_each_once), Field(max_length=MAX_POSITION)] = Field(
        default_factory=list
    )


class Confirmation(Input):
    """The code that was sent to the address."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "123456"}]})

    code: Annotated[str, StringConstraints(min_length=1, max_length=32, strip_whitespace=True), Storable]


class PreferenceRead(Read):
    """The settings in force for one channel. `id` is null if the user never changed them."""

    id: int | None
    user_id: int
    user_name: Annotated[str | None, NameOf("user_id")] = None
    channel: str = Field(examples=["email"])
    enabled: bool
    is_enabled: bool
    address: str | None = Field(description="The address of this channel; null: the user's own")
    position: int | None = Field(
        description="Order of the channels, lowest first. Channels without a position come last"
    )
    quiet_severities: list[Severity]
    quiet_hours: QuietHours | None
    status_updates: bool = Field(
        description="Whether a person paged by it gets a status update when the incident is acknowledged or resolved"
    )
    is_verified: bool = Field(description="Whether the address in use is confirmed to be the user's")
    disabled_reason: str | None = Field(description="Why the service switched the channel off; null if it did not")
    warnings: list[str] = Field(
        default=[],
        description="Pages that no channel can deliver to this person. The same for each channel that is set up here",
    )


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
    user_name: Annotated[str | None, NameOf("user_id")] = None
    channel: str = Field(examples=["email"])
    recipient: str = Field(validation_alias="address", examples=["user@example.com"])
    kind: NotificationKind
    subject: str
    status: DeliveryStatus
    attempt: int = Field(description="How many times delivery was attempted")
    last_error: str | None
    provider_id: str | None
    created_at: Time
    next_attempt_at: Time | None
    accepted_at: Time | None
    delivered_at: Time | None = Field(description="When the provider reported delivery, if it reports it")
    ended_at: Time | None
    fallback_of: int | None = Field(
        description="The message that was not accepted in time, if this one is its fallback"
    )
    bundle_id: int | None = Field(description="The message that was sent for this one and others together")
    attempts: list[AttemptRead] = Field(
        validation_alias="tries",
        description="The attempts to send it; for a message in a bundle, those to send the bundle",
    )

    @model_validator(mode="after")
    def _keep_secrets(self) -> Self:
        """Hide codes: reading one here would prove an address without access to it."""
        if self.kind.is_secret:
            self.subject = ""
        return self
