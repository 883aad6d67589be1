"""The incident as the page behind a link shows it."""

from dataclasses import dataclass
from datetime import datetime

from app.services.page_view.alert_fields import AlertFields


@dataclass(frozen=True, slots=True)
class Entry:
    """One timeline entry. `comment` is the text if it was a comment."""

    at: datetime
    description: str
    by: str | None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Runbook:
    """The runbook of a policy."""

    policy: str
    url: str


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """When the incident was last acknowledged, and by whom; None if not by a person."""

    at: datetime
    by: str | None


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do: the messages of the policies that paged, and their runbooks."""

    notes: tuple[str, ...]
    runbooks: tuple[Runbook, ...]


@dataclass(frozen=True, slots=True)
class Alerts:
    """The alerts of an incident: their number, and the newest one with its time."""

    count: int
    newest_at: datetime | None
    newest: AlertFields


@dataclass(frozen=True, slots=True)
class Offers:
    """The actions that the page offers."""

    acknowledge: bool
    snooze: bool
    escalate: bool
    resolve: bool
    comment: bool


@dataclass(frozen=True, slots=True)
class PageView:
    """An incident as the page behind a link shows it, with the actions it offers. `person` is the link's owner.

    `is_escalated` is true after a manual escalation, until somebody acknowledges or ends the incident.
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
