"""The context that this room's services pass along: a locked incident, or a copy that a preview tries."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.core.target import Target
from app.core.vocabulary import NotificationKind
from app.models import Escalation, Incident
from app.services import escalation
from app.services.contacts import recipient_service
from app.services.contacts.directory_service import Directory
from app.services.contacts.quiet import Occasion
from app.services.messages import message, message_service
from app.services.messages.message import page_facts
from app.services.notification import Person
from app.services.notification_service import PageContext, Written
from app.services.ports import Paging


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A locked incident at one moment, and what paging about it needs. `is_manual`: somebody escalates manually."""

    session: Session
    incident: Incident
    paging: Paging
    at: datetime
    is_manual: bool = False

    @property
    def kind(self) -> NotificationKind:
        return NotificationKind.MANUAL_PAGE if self.is_manual else NotificationKind.PAGE

    @property
    def about(self) -> PageContext:
        """What its pages are about."""
        return PageContext(self.incident, self.paging, self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Situation):
    """The context of an action: a locked incident, and the escalation whose step fires.

    `written` holds the pages of the step's actions by person and channel, so that none is written twice. `directory`
    has the people of the step's targets, if they were read before.
    """

    escalation: Escalation
    written: Written = field(default_factory=dict)
    directory: Directory | None = None

    @classmethod
    def of(cls, situation: Situation, row: Escalation) -> "Context":
        """The context of one step of a row's escalation."""
        shared = {each.name: getattr(situation, each.name) for each in fields(Situation)}
        return cls(**shared, escalation=row)

    def people(self, target: Target) -> list[Person]:
        """The people of a target at this moment."""
        if self.directory is not None:
            return self.directory.people(target, self.occasion)
        return recipient_service.resolve(self.session, self.incident, target, self.paging, self.occasion)

    @property
    def occasion(self) -> Occasion | None:
        """The occasion that quiet hours are checked against. A manual escalation has none: it ignores them."""
        return None if self.is_manual else Occasion(self.incident.severity, self.at)

    def facts(self) -> dict[str, Any]:
        """The facts for the templates of actions: `incident` and `url`, as in a page."""
        facts = message_service.facts_of(self.incident)
        return message.context(page_facts(facts, note=None, url=self.paging.public_url, link=None))


@dataclass(slots=True)
class Trial:
    """A trial run of one policy on its own copy of an incident, in no session. `facts` change as it goes on.

    `directory` has the people whom the policy's actions page or mention. `at` is when its step is due. `assigned` are
    the users whom its actions would have assigned. `is_over`: no further step fires. `has_ended`: a step acknowledged
    or resolved the incident.
    """

    session: Session
    paging: Paging
    directory: Directory
    incident: Incident
    conditions: Mapping[str, Any]
    facts: escalation.Facts
    at: datetime
    assigned: list[int] = field(default_factory=list)
    is_over: bool = False
    has_ended: bool = False
