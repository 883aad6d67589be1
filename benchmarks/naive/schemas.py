"""What goes over the wire."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Severity = Literal["critical", "high", "medium", "low"]


class Login(BaseModel):
    """What logging in takes."""

    username: str
    password: str


class Token(BaseModel):
    """What logging in answers."""

    access_token: str
    token_type: str = "bearer"


class Read(BaseModel):
    """What is answered from an ORM object."""

    model_config = ConfigDict(from_attributes=True)

    id: int


class UserRead(Read):
    """A user."""

    email: str
    full_name: str | None
    phone_number: str | None
    is_active: bool
    is_superuser: bool
    is_address_proved: bool
    pending_email: str | None
    role: str
    warnings: list[str] = []
    created_at: datetime
    updated_at: datetime


class IncidentCreate(BaseModel):
    """A new incident."""

    title: str = Field(min_length=1, max_length=255)
    description: str | None = None
    severity: Severity
    service: str = Field(min_length=1, max_length=100)


class IncidentRead(Read):
    """An incident as lists show it."""

    title: str
    description: str | None
    status: str
    severity: str
    service: str
    created_by: int | None
    created_by_name: str | None
    assigned_to: int | None
    assigned_to_name: str | None
    alert_id: str | None
    source: str
    metadata: dict[str, Any] = Field(validation_alias="metadata_")
    alert_count: int
    last_alert_at: datetime | None
    created_at: datetime
    updated_at: datetime
    acknowledged_at: datetime | None
    resolved_at: datetime | None
    snoozed_until: datetime | None
    next_escalation_at: datetime | None


class AssignmentRead(Read):
    """Who works on an incident."""

    incident_id: int
    user_id: int
    user_name: str | None
    role: str
    assigned_at: datetime


class CommentRead(Read):
    """What somebody wrote."""

    incident_id: int
    user_id: int
    user_name: str | None
    content: str
    created_at: datetime


class TimelineEventRead(Read):
    """One change of an incident."""

    incident_id: int
    event_type: str
    description: str
    user_id: int | None
    user_name: str | None
    metadata: dict[str, Any] = Field(validation_alias="metadata_")
    created_at: datetime


class IncidentDetail(IncidentRead):
    """An incident with its record."""

    assignments: list[AssignmentRead]
    comments: list[CommentRead]
    timeline_events: list[TimelineEventRead]


class AlertService(BaseModel):
    """Which service an alert is about."""

    name: str = "unknown"


class Alert(BaseModel):
    """What Elastic sends. What is not known goes into the incident's metadata."""

    model_config = ConfigDict(extra="allow")

    alert_id: str | None = None
    alert_name: str
    message: str | None = None
    severity: Severity = "high"
    service: AlertService = AlertService()


class AlertAnswer(BaseModel):
    """What the sender is told."""

    status: str
    incident_id: int
    message: str
