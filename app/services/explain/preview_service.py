"""Tries policies on an incident: whom they would page, when and by which channel. Nothing is written or sent."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from app.core.channel import CHANNELS
from app.core.errors import InvalidInput
from app.core.vocabulary import IncidentStatus, Severity
from app.crud import crud_assignment, crud_policy, crud_user
from app.crud.base import now
from app.crud.crud_policy import ActivePolicy
from app.models import Incident, User
from app.schemas.escalation import PolicyCreate, are_conditions, are_steps, dump_steps
from app.schemas.preview import (
    ActionPreview,
    ConditionRead,
    EscalationPreview,
    PersonPreview,
    PolicyPreview,
    PreviewIncident,
    PreviewRequest,
    StepPreview,
)
from app.services import escalation, escalation_service
from app.services.contacts import recipient_service
from app.services.contacts.address import masked
from app.services.contacts.quiet import Occasion
from app.services.escalation import Position
from app.services.incidents import incident_service
from app.services.notification import Person, route
from app.services.policies import policy_check_service
from app.services.ports import Paging

NOT_SAVED = 0
ENDING = {IncidentStatus.ACKNOWLEDGED, IncidentStatus.RESOLVED}
ASSIGNEES = "assignees"
MAX_DISTANCE = timedelta(days=3650)


@dataclass(slots=True)
class Trial:
    """One policy at work on an incident of its own, which is in no session. `facts` are those as it goes on."""

    session: Session
    paging: Paging
    incident: Incident
    conditions: Mapping[str, Any]
    facts: escalation.Facts
    assigned: list[int] = field(default_factory=list)
    is_over: bool = False


def preview(session: Session, wanted: PreviewRequest, paging: Paging, *, by: User) -> EscalationPreview:
    """What each active policy, and the one in the request, would do. Raises InvalidInput.

    Without those that are malformed, which do nothing.
    """
    at = wanted.at or now(session)
    if abs(at - now(session)) > MAX_DISTANCE:
        raise InvalidInput("A preview is of a time within ten years.", pointer="/at")
    incident = _asked_for(session, wanted, by=by)
    facts = escalation_service.facts_of(incident, crud_assignment.incidents_with_any(session, [incident.id]))
    active = [p for p in crud_policy.active(session) if are_conditions(p.conditions) and are_steps(p.steps)]
    policies = [*active, *([_draft(session, wanted.policy, paging)] if wanted.policy else [])]
    found = [
        _try(Trial(session, paging, _copy(incident), policy.conditions, facts), policy, at=at) for policy in policies
    ]
    is_anybody_paged = any(p.matches and (not p.reaches_nobody or _pages(p.then_paged)) for p in found)
    return EscalationPreview(at=at, is_anybody_paged=is_anybody_paged, policies=found)


def people_of(
    session: Session, incident: Incident, action: Mapping[str, Any], paging: Paging, occasion: Occasion | None
) -> Iterator[tuple[Person, Sequence[str] | None]]:
    """The people that a notify action means now, each with the channels that it names for them."""
    target = action.get("target", ASSIGNEES)
    for single in target if isinstance(target, list) else [target]:
        named = [single] if single in CHANNELS else action.get("channels")
        for person in recipient_service.resolve(session, incident, single, paging, occasion):
            yield person, named


def _try(trial: Trial, policy: ActivePolicy, *, at: datetime) -> PolicyPreview:
    conditions = escalation.explain(trial.conditions, trial.facts)
    matches = all(condition.holds for condition in conditions)
    steps = list(_steps(trial, policy, at=at)) if matches else []
    reaches_nobody = matches and not any(_pages(a.people) for step in steps for a in step.actions)
    instead = recipient_service.admins(trial.session, trial.paging) if reaches_nobody and not trial.is_over else []
    return PolicyPreview(
        policy_id=policy.policy_id or None,
        name=policy.name,
        matches=matches,
        conditions=[ConditionRead.model_validate(condition) for condition in conditions],
        steps=steps,
        reaches_nobody=reaches_nobody,
        then_paged=_people(trial, [(person, None) for person in instead]),
    )


def _steps(trial: Trial, policy: ActivePolicy, *, at: datetime) -> Iterator[StepPreview]:
    """The steps one after the other, as they follow from each other: one that reaches nobody calls the next."""
    delays = escalation.delays_of(policy.steps)
    due_at: datetime | None = escalation.first_due(delays, at)
    for index, step in enumerate(policy.steps):
        if due_at is None or trial.is_over:
            yield StepPreview(step=index, delay_minutes=step["delay_minutes"], due_at=None, actions=[])
            continue
        actions = [_action(trial, action, at=due_at) for action in step.get("actions", ())]
        yield StepPreview(step=index, delay_minutes=step["delay_minutes"], due_at=due_at, actions=actions)
        notifying = [_pages(action.people) for action in actions if action.type == "notify"]
        has_reached = any(notifying) or not notifying
        due_at = escalation.evaluate(delays, Position(0, index, 0), due_at, has_reached=has_reached).due_at


def _action(trial: Trial, action: Mapping[str, Any], *, at: datetime) -> ActionPreview:
    kind = action["type"]
    if kind == "assign":
        _assign(trial, action["user_id"])
    elif kind in ("change_status", "status_change"):
        trial.is_over = trial.is_over or action["status"] in ENDING
    elif kind == "set_severity":
        _set_severity(trial, action["severity"])
    people = _people(trial, _targets(trial, action, at=at)) if kind == "notify" else []
    return ActionPreview(type=kind, people=people)


def _assign(trial: Trial, user_id: int) -> None:
    if crud_user.active(trial.session, [user_id]):
        trial.assigned.append(user_id)


def _set_severity(trial: Trial, severity: Severity) -> None:
    """A policy that does not match any more has no further step."""
    is_new = severity != trial.incident.severity
    trial.incident.severity = severity
    trial.facts = replace(trial.facts, severity=severity)
    trial.is_over = trial.is_over or (is_new and not escalation.matches(trial.conditions, trial.facts))


def _targets(trial: Trial, action: Mapping[str, Any], *, at: datetime) -> list[tuple[Person, Sequence[str] | None]]:
    """Whom the action means, with those whom an earlier action would have assigned."""
    occasion = Occasion(trial.incident.severity, at)
    found = list(people_of(trial.session, trial.incident, action, trial.paging, occasion))
    target = action.get("target", ASSIGNEES)
    for single in target if isinstance(target, list) else [target]:
        if single == ASSIGNEES or single in CHANNELS:
            users = crud_user.active(trial.session, trial.assigned)
            named = [single] if single in CHANNELS else action.get("channels")
            found += [(p, named) for p in recipient_service.people(trial.session, users, trial.paging, occasion)]
    return found


def _people(trial: Trial, targets: Sequence[tuple[Person, Sequence[str] | None]]) -> list[PersonPreview]:
    users = crud_user.by_ids(trial.session, [person.user_id for person, _ in targets if person.user_id is not None])
    names = {user.id: user.full_name or user.email for user in users}
    found: dict[tuple[str, str | None], PersonPreview] = {}
    for person, named in targets:
        for one in _routed(person, named, trial.paging, names.get(person.user_id or 0)):
            found.setdefault((one.recipient, one.channel), one)
    return list(found.values())


def _routed(person: Person, named: Sequence[str] | None, paging: Paging, name: str | None) -> Iterator[PersonPreview]:
    routed = route(person, named, paging.channels)
    who: dict[str, Any] = {"recipient": person.key, "user_id": person.user_id, "name": name}
    for page in routed.pages:
        yield PersonPreview(**who, channel=page.channel, address=masked(page.address), skipped=None)
    for skip in routed.skips:
        yield PersonPreview(**who, channel=skip.channel, address=None, skipped=skip.reason)
    if not routed.pages and not routed.skips:
        yield PersonPreview(**who, channel=None, address=None, skipped="no_channel")


def _pages(people: Sequence[PersonPreview]) -> bool:
    return any(person.skipped is None for person in people)


def _draft(session: Session, new: PolicyCreate, paging: Paging) -> ActivePolicy:
    """Raises InvalidInput if it could not be saved."""
    steps = dump_steps(new.steps)
    try:
        policy_check_service.require_workable(session, steps, paging)
    except InvalidInput as error:
        raise InvalidInput(str(error), pointer=f"/policy{error.pointer}") from error
    return ActivePolicy(NOT_SAVED, new.name, NOT_SAVED, new.conditions, steps, new.repeat)


def _asked_for(session: Session, wanted: PreviewRequest, *, by: User) -> Incident:
    """Raises InvalidInput if there is no such incident, or no such assignee."""
    if wanted.incident_id is not None:
        return _copy(incident_service.get_named(session, wanted.incident_id))
    return _made_up(session, wanted.incident, by=by)


def _made_up(session: Session, wanted: PreviewIncident | None, *, by: User) -> Incident:
    """Raises InvalidInput if its assignee does not exist."""
    assigned_to = wanted.assigned_to if wanted else None
    incident_service.require_active_user(session, assigned_to, pointer="/incident/assigned_to")
    fields = wanted.model_dump(exclude={"metadata"}) if wanted else {}
    is_by_hand = wanted is not None and wanted.source == "api"
    metadata = wanted.metadata if wanted else {}
    return Incident(id=NOT_SAVED, created_by=by.id if is_by_hand else None, metadata_=metadata, **fields)


def _copy(incident: Incident) -> Incident:
    """What policies ask of an incident, apart from any session: nothing that is done to it is kept."""
    asked = ("id", "title", "severity", "service", "source", "created_by", "assigned_to", "metadata_")
    return Incident(**{name: getattr(incident, name) for name in asked})
