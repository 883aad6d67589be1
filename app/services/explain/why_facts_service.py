"""Gathers the facts that explain who was paged. The number of statements does not grow with the number of policies."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from app.core.target import Target, UserId
from app.core.vocabulary import EscalationState, IncidentStatus, TimelineEventType
from app.crud import (
    crud_escalation,
    crud_event,
    crud_notification,
    crud_policy,
    crud_timeline,
)
from app.crud.crud_policy import ActivePolicy
from app.models import Escalation, Incident, TimelineEvent, User
from app.schemas.escalation import are_conditions, are_steps
from app.services import escalation, escalation_service
from app.services.contacts import directory_service
from app.services.contacts.directory_service import Directory
from app.services.contacts.quiet import Occasion
from app.services.escalation import ConditionResult
from app.services.explain import why_pages
from app.services.explain.why import Addressee, Facts, Idle, Progress, Step
from app.services.explain.why_reasons import Place, Stop
from app.services.policies import action_service
from app.services.ports import Paging

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
    """What is known: the facts for the reasons, who is in them, the active policies, and the cycle's escalations."""

    facts: Facts
    directory: Directory
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
    policies = [policy for policy in crud_policy.active(session) if are_conditions(policy.conditions)]
    events = crud_event.of_cycle(session, incident.id, incident.cycle)
    pages = crud_notification.of_incident_cycle_with_bundles(session, incident.id, incident.cycle)
    fired = {(event.policy_id, event.loop, event.step) for event in events}
    to_come = [(row, _steps_to_come(row, fired)) for row in rows]
    idle = [(policy, _steps_of(policy)) for policy in _apart(policies, rows)]
    end = _end(session, incident)
    targets = {target for _, drafts in (*to_come, *idle) for draft in drafts for target in draft.targets()}
    keys = why_pages.recipients(pages, events)
    ids = {*why_pages.user_ids(keys), user.id, *([end.user_id] if end and end.user_id else [])}
    directory = directory_service.load(session, incident, targets | set(map(UserId, ids)), paging)
    names = why_pages.names(directory, keys)
    matched = _matched(incident, policies, directory)
    steps = partial(_steps, directory, incident.severity)
    facts = Facts(
        channels=paging.channels,
        stop=_stop(incident, end, directory),
        pages=why_pages.sent(pages, events, names, is_unmatched=incident.is_unmatched),
        skipped=why_pages.skipped(events, {row.policy_id: row.version.policy.name for row in rows}, names),
        nobody_since=min((row.unreachable_since for row in rows if row.unreachable_since), default=None),
        escalations=[Progress(row.state, row.policy_id in matched, steps(drafts)) for row, drafts in to_come],
        idle=[Idle(p.policy_id, p.name, matched[p.policy_id].conditions, steps(drafts)) for p, drafts in idle],
        admins=directory.admins(),
        involved=[f"user:{person.id}" for person in (*directory.involved(), user)],
    )
    return Known(facts, directory, list(matched.values()), rows)


def _matched(incident: Incident, policies: Sequence[ActivePolicy], directory: Directory) -> dict[int, Matched]:
    """How each active policy compares, by its id."""
    facts = escalation_service.facts_of(incident, {incident.id} if directory.has_assignees else set())
    return {policy.policy_id: Matched(policy, escalation.explain(policy.conditions, facts)) for policy in policies}


def _apart(policies: Sequence[ActivePolicy], rows: Sequence[Escalation]) -> list[ActivePolicy]:
    """The policies that have not started. A running one is not among them, even if it no longer matches."""
    begun = {row.policy_id for row in rows if row.state is not EscalationState.ENDED}
    apart = (policy for policy in policies if policy.policy_id not in begun and are_steps(policy.steps))
    return list(islice(apart, MAX_APART))


def _end(session: Session, incident: Incident) -> TimelineEvent | None:
    """The entry that ended the paging of the current cycle first; None while the incident is open."""
    if incident.status is IncidentStatus.OPEN:
        return None
    return crud_timeline.first_since(session, incident.id, ENDS, since=BEGINNINGS)


def _stop(incident: Incident, end: TimelineEvent | None, directory: Directory) -> Stop | None:
    if incident.status is IncidentStatus.OPEN:
        return None
    if end is None:
        return Stop(incident.status, None, None)
    return Stop(end.event_type, end.created_at, directory.name_of(end.user_id) if end.user_id else None)


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
