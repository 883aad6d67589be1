"""Gathers the facts that explain who was paged. The number of statements does not grow with the number of policies."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from app.core.target import Target
from app.core.vocabulary import EscalationState, IncidentStatus, TimelineEventType
from app.crud import (
    crud_assignment,
    crud_escalation,
    crud_event,
    crud_notification,
    crud_policy,
    crud_timeline,
    crud_user,
)
from app.crud.crud_policy import ActivePolicy
from app.models import Escalation, EscalationEvent, Incident, Notification, User
from app.schemas.escalation import are_conditions, are_steps
from app.services import escalation, escalation_service
from app.services.contacts import directory_service
from app.services.contacts.address import masked
from app.services.contacts.directory_service import Directory
from app.services.contacts.name_service import names_of
from app.services.contacts.quiet import Occasion
from app.services.escalation import ConditionResult
from app.services.explain import why_pages
from app.services.explain.why import Addressee, Facts, Idle, Progress, Skipped, Step
from app.services.explain.why_reasons import Place, Stop
from app.services.notification import named_by
from app.services.policies import action_service
from app.services.ports import Paging

USER, ADDRESS = "user:", "email:"  # the prefixes of recipients' keys
MAX_APART = 50  # how many policies that have not started are explained
BEGINNINGS = {TimelineEventType.REOPENED, TimelineEventType.SNOOZE_ENDED, TimelineEventType.SEVERITY_RAISED}
ENDS = {TimelineEventType.ACKNOWLEDGED, TimelineEventType.RESOLVED, TimelineEventType.SNOOZED}

Action = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Matched:
    """An active policy, and how each of its conditions compares with the incident as it is now."""

    policy: ActivePolicy
    conditions: tuple[ConditionResult, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known: the facts for the reasons, the active policies, and this cycle's escalations."""

    facts: Facts
    policies: Sequence[Matched]
    escalations: Sequence[Escalation]


@dataclass(frozen=True, slots=True)
class Draft:
    """A step whose recipients are not looked up yet."""

    place: Place
    actions: Sequence[Action]
    due_at: datetime | None = None
    tried_again_at: datetime | None = None

    def targets(self) -> list[Target]:
        """Whom its actions target."""
        return [target for action in self.actions for target, _ in action_service.pages_of(action)]


def gather(session: Session, incident: Incident, paging: Paging, *, user: User) -> Known:
    """Everything that explains the incident's current cycle to a user."""
    rows = [e for e in crud_escalation.of_incident(session, incident.id) if e.cycle == incident.cycle]
    policies = _matched(session, incident)
    events = crud_event.of_cycle(session, incident.id, incident.cycle)
    pages = crud_notification.of_incident_cycle_with_bundles(session, incident.id, incident.cycle)
    fired = {(event.policy_id, event.loop, event.step) for event in events}
    to_come = [(row, _steps_to_come(row, fired)) for row in rows]
    idle = [(matched, _steps_of(matched.policy)) for matched in _apart(policies, rows)]
    targets = {target for _, drafts in (*to_come, *idle) for draft in drafts for target in draft.targets()}
    directory = directory_service.load(session, incident, targets, paging)
    names = _names(session, pages, events)
    steps = partial(_steps, directory, incident.severity)
    active = {matched.policy.policy_id for matched in policies}
    facts = Facts(
        channels=paging.channels,
        stop=_stop(session, incident),
        pages=why_pages.sent(pages, events, names, is_unmatched=incident.is_unmatched),
        skipped=_skipped(events, {row.policy_id: row.version.policy.name for row in rows}, names),
        nobody_since=min((row.unreachable_since for row in rows if row.unreachable_since), default=None),
        escalations=[Progress(row.state, row.policy_id in active, steps(drafts)) for row, drafts in to_come],
        idle=[Idle(m.policy.policy_id, m.policy.name, m.conditions, steps(drafts)) for m, drafts in idle],
        admins=directory.admins(),
        involved=[f"user:{person.id}" for person in (*directory.involved(), user)],
    )
    return Known(facts, policies, rows)


def name_of(user: User) -> str:
    """The name that others see: never the whole address."""
    return user.display_name


def _matched(session: Session, incident: Incident) -> list[Matched]:
    assigned = crud_assignment.incidents_with_any(session, [incident.id])
    facts = escalation_service.facts_of(incident, assigned)
    active = [policy for policy in crud_policy.active(session) if are_conditions(policy.conditions)]
    return [Matched(policy, escalation.explain(policy.conditions, facts)) for policy in active]


def _apart(policies: Sequence[Matched], rows: Sequence[Escalation]) -> list[Matched]:
    """The policies that have not started. A running one is not among them, even if it no longer matches."""
    begun = {row.policy_id for row in rows if row.state is not EscalationState.ENDED}
    apart = (m for m in policies if m.policy.policy_id not in begun and are_steps(m.policy.steps))
    return list(islice(apart, MAX_APART))


def _stop(session: Session, incident: Incident) -> Stop | None:
    """What ended the paging of the current cycle first; None while the incident is open."""
    if incident.status is IncidentStatus.OPEN:
        return None
    begun = crud_timeline.latest(session, incident.id, BEGINNINGS)
    entry = crud_timeline.first_after(session, incident.id, ENDS, after=begun.id if begun else 0)
    if entry is None:
        return Stop(incident.status, None, None)
    who = crud_user.by_ids(session, [entry.user_id] if entry.user_id else [])
    return Stop(entry.event_type, entry.created_at, name_of(who[0]) if who else None)


def _names(session: Session, pages: Sequence[Notification], events: Sequence[EscalationEvent]) -> dict[str, str]:
    """The names of the recipients of this cycle's pages, and of those whom its steps skipped."""
    skipped = [skip["recipient"] for event in events for skip in event.metadata_.get("skipped", ())]
    keys = {page.recipient for page in pages} | set(skipped)
    ids = {int(key.removeprefix(USER)) for key in keys if key.startswith(USER)}
    named = names_of(session, ids)
    masks = {key: masked(key.removeprefix(ADDRESS)) for key in keys if key.startswith(ADDRESS)}
    return {f"{USER}{id_}": name for id_, name in named.items()} | masks


def _skipped(events: Sequence[EscalationEvent], policies: Mapping[int, str], names: Mapping[str, str]) -> list[Skipped]:
    return [
        Skipped(
            skip["recipient"],
            Place(event.policy_id, policies.get(event.policy_id, str(event.policy_id)), event.step),
            skip["channel"],
            skip["reason"],
            event.triggered_at,
            names.get(skip["recipient"]) or named_by(skip["recipient"]),
        )
        for event in events
        for skip in event.metadata_.get("skipped", ())
    ]


def _steps_to_come(row: Escalation, fired: Set[tuple[int, int, int]]) -> list[Draft]:
    """The steps of an escalation's current loop that have not fired, each with the time it would."""
    if not are_steps(row.version.steps):
        return []
    steps, due_at = row.version.steps, row.next_run_at
    position, changing = escalation_service.progress_of(row).position, action_service.changing_steps(steps)
    to_come = escalation.to_come(escalation.delays_of(steps), position, due_at or row.updated_at, changing=changing)
    return [
        Draft(
            Place(row.policy_id, row.version.policy.name, index),
            steps[index].get("actions", ()),
            due_at=None if due_at is None else step_due_at,
            tried_again_at=due_at if row.quarantined_at is not None and index == row.step else None,
        )
        for index, step_due_at in to_come
        if (row.policy_id, row.loop, index) not in fired
    ]


def _steps_of(policy: ActivePolicy) -> list[Draft]:
    return [
        Draft(Place(policy.policy_id, policy.name, index), step["actions"]) for index, step in enumerate(policy.steps)
    ]


def _steps(directory: Directory, severity: str, drafts: Sequence[Draft]) -> tuple[Step, ...]:
    return tuple(_step(directory, severity, draft) for draft in drafts)


def _step(directory: Directory, severity: str, draft: Draft) -> Step:
    occasion = None if draft.due_at is None else Occasion(severity, draft.due_at)
    addressees = tuple(
        Addressee(person, channels)
        for action in draft.actions
        for target, channels in action_service.pages_of(action)
        for person in directory.people(target, occasion)
    )
    return Step(draft.place, addressees, draft.due_at, draft.tried_again_at)
