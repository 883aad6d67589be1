"""Incidents and their record on the wire."""

from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, StrictFloat, model_validator

from app.core.vocabulary import IncidentStatus, Severity, TimelineEventType
from app.schemas.base import Input, NameOf, Read, Update
from app.schemas.types import (
    EXAMPLE_TIME,
    GivenTime,
    Id,
    JsonObject,
    RequiredText,
    ServiceName,
    SmallJsonObject,
    Text,
    Time,
    Title,
    Word,
)

MAX_SNOOZE = timedelta(days=30)
SERVER_OWNED = frozenset(
    {
        "id", "created_by", "alert_id", "source", "created_at", "updated_at", "acknowledged_at", "resolved_at",
        "snoozed_until", "next_escalation_at", "alert_count", "last_alert_at", "cycle", "assignments", "comments",
        "timeline_events", "created_by_name", "assigned_to_name",
    }
)  # fmt: skip


class IncidentCreate(Input):
    """A new incident. The server sets its status and owner."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "title": "Database connection failed",
                    "description": "Unable to connect to primary database",
                    "severity": "high",
                    "service": "database",
                }
            ]
        }
    )
    read_only: ClassVar[frozenset[str]] = SERVER_OWNED | {"status"}

    title: Title
    description: Text | None = None
    severity: Severity
    service: ServiceName
    assigned_to: Id | None = None
    metadata: SmallJsonObject = Field(default_factory=dict)


class IncidentUpdate(Update):
    """A partial change. A `status` follows the same transitions as the actions."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"severity": "critical"}]})
    read_only: ClassVar[frozenset[str]] = SERVER_OWNED

    title: Title = Field(default="")
    description: Text | None = None
    severity: Severity = Severity.HIGH
    service: ServiceName = Field(default="")
    status: IncidentStatus = IncidentStatus.OPEN
    assigned_to: Id | None = None
    # Its size is checked where the one that is stored is known: an old one may be larger, and stays.
    metadata: JsonObject = Field(default_factory=dict)


class IncidentRead(Read):
    """An incident as lists show it."""

    id: int = Field(examples=[1])
    title: str = Field(examples=["Database connection failed"])
    description: str | None
    status: IncidentStatus
    severity: Severity
    service: str = Field(examples=["database"])
    created_by: int | None
    created_by_name: Annotated[str | None, NameOf("created_by")] = None
    assigned_to: int | None
    assigned_to_name: Annotated[str | None, NameOf("assigned_to")] = None
    alert_id: str | None
    source: str = Field(examples=["api"])
    metadata: dict[str, Any] = Field(validation_alias="metadata_")
    alert_count: int = Field(description="How many alerts this incident has received")
    last_alert_at: Time | None
    created_at: Time = Field(examples=[EXAMPLE_TIME])
    updated_at: Time = Field(examples=[EXAMPLE_TIME])
    acknowledged_at: Time | None
    resolved_at: Time | None
    snoozed_until: Time | None
    next_escalation_at: Time | None = Field(description="When the next step of any policy is due")


class AssignmentRead(Read):
    """A user assigned to the incident."""

    id: int
    incident_id: int
    user_id: int
    user_name: Annotated[str | None, NameOf("user_id")] = None
    role: str = Field(examples=["responder"])
    assigned_at: Time


class CommentRead(Read):
    """A comment on the incident."""

    id: int
    incident_id: int
    user_id: int
    user_name: Annotated[str | None, NameOf("user_id")] = None
    content: str
    created_at: Time


class TimelineEventRead(Read):
    """One change of the incident. `user_id` is null if the service did it."""

    id: int
    incident_id: int
    event_type: TimelineEventType
    description: str
    user_id: int | None
    user_name: Annotated[str | None, NameOf("user_id")] = None
    metadata: dict[str, Any] = Field(validation_alias="metadata_")
    created_at: Time


class IncidentDetail(IncidentRead):
    """An incident with its record. The timeline is newest first."""

    assignments: list[AssignmentRead]
    comments: list[CommentRead]
    timeline_events: list[TimelineEventRead]


class AssignmentCreate(Input):
    """Whom to assign. `incident_id`, if given, must be the one in the path."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": 1, "role": "responder"}]})

    user_id: Id
    role: Word = "responder"
    incident_id: Id | None = None


class CommentCreate(Input):
    """A comment. `incident_id`, if given, must be the one in the path."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"content": "Failover is running."}]})

    content: RequiredText
    incident_id: Id | None = None


class ActionNote(Input):
    """A comment that comes with an action. The comment and the action are one transaction."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"comment": "Failover is running."}]})

    comment: RequiredText | None = None


class Snooze(ActionNote):
    """How long to snooze: exactly one of minutes, hours and until, over 0 and up to 30 days.

    With `?hours=`, the body may only have a comment.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"minutes": 30}]})

    minutes: Annotated[StrictFloat, Field(gt=0, le=MAX_SNOOZE / timedelta(minutes=1))] | None = None
    hours: Annotated[StrictFloat, Field(gt=0, le=MAX_SNOOZE / timedelta(hours=1))] | None = None
    until: GivenTime | None = None

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        times = self._times()
        if times > 1 or (times == 0 and self.comment is None):
            raise ValueError("Give exactly one of minutes, hours and until.")
        return self

    @property
    def has_time(self) -> bool:
        return self._times() == 1

    def _times(self) -> int:
        return sum(value is not None for value in (self.minutes, self.hours, self.until))

    def end(self, at: datetime) -> datetime:
        """When the snooze ends, if it starts now."""
        if self.until is not None:
            return self.until
        return at + timedelta(minutes=self.minutes or 0, hours=self.hours or 0)
