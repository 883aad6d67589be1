"""The incident as the page behind a link shows it."""

from dataclasses import dataclass
from datetime import datetime

from app.services.page_view.alert_fields import AlertFields


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `comment` is what somebody wrote, if it was that."""

    at: datetime
    description: str
    by: str | None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Runbook:
    """Where a policy says how to deal with its incidents."""

    policy: str
    url: str


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """When somebody last took the incident, and who: None if it was nobody in particular."""

    at: datetime
    by: str | None


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about it: the messages that policies sent with the page, and their runbooks."""

    notes: tuple[str, ...]
    runbooks: tuple[Runbook, ...]


@dataclass(frozen=True, slots=True)
class Alerts:
    """The alerts of an incident: how many, when the newest came, and what that one says."""

    count: int
    newest_at: datetime | None
    newest: AlertFields


@dataclass(frozen=True, slots=True)
class Offers:
    """Which actions the page offers."""

    acknowledge: bool
    snooze: bool
    escalate: bool
    resolve: bool
    comment: bool


@dataclass(frozen=True, slots=True)
class PageView:
    """An incident as the page behind a link shows it, and what it offers. `person` is whose link it is.

    `is_escalated` holds while an escalation by hand goes on: nobody has acknowledged or ended it since.
    """

    id: int
    title: str
    severity: str
    service: str
    status: str
    description: str | None
    created_at: datetime
    snoozed_until: datetime | None
    resolved_at: datetime | None
    acknowledgement: Acknowledgement | None
    advice: Advice
    alerts: Alerts
    timeline: tuple[Entry, ...]
    person: str | None
    can: Offers
    is_escalated: bool
