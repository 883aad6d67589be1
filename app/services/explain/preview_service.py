"""Tries policies on an incident: whom they would page, when and by which channel. Nothing is written or sent."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from app.core.errors import InvalidInput
from app.crud import crud_assignment, crud_policy, crud_user
from app.crud.clock import now
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
from app.services.escalation import Position
from app.services.incidents import incident_service
from app.services.notification import Person, route
from app.services.policies import policy_check_service
from app.services.policies.actions.registry import ACTIONS, Addressee
from app.services.policies.situation import Trial
from app.services.ports import Paging

NOT_SAVED = 0
MAX_DISTANCE = timedelta(days=3650)


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
    found = [_try(Trial(session, paging, _copy(incident), policy.conditions, facts, at), policy) for policy in policies]
    is_anybody_paged = any(p.matches and (not p.reaches_nobody or _pages(p.then_paged)) for p in found)
    return EscalationPreview(at=at, is_anybody_paged=is_anybody_paged, policies=found)


def _try(trial: Trial, policy: ActivePolicy) -> PolicyPreview:
    conditions = escalation.explain(trial.conditions, trial.facts)
    matches = all(condition.holds for condition in conditions)
    steps = list(_steps(trial, policy)) if matches else []
    reaches_nobody = matches and not any(_pages(a.people) for step in steps for a in step.actions)
    instead = recipient_service.admins(trial.session, trial.paging) if reaches_nobody and not trial.is_over else []
    return PolicyPreview(
        policy_id=policy.policy_id or None,
        name=policy.name,
        matches=matches,
        conditions=[ConditionRead.model_validate(condition) for condition in conditions],
        steps=steps,
        reaches_nobody=reaches_nobody,
        then_paged=_people(trial, [Addressee(person, None) for person in instead]),
    )


def _steps(trial: Trial, policy: ActivePolicy) -> Iterator[StepPreview]:
    """The steps one after the other, as they follow from each other: one that reaches nobody calls the next."""
    delays = escalation.delays_of(policy.steps)
    due_at: datetime | None = escalation.first_due(delays, trial.at)
    for index, step in enumerate(policy.steps):
        if due_at is None or trial.is_over:
            yield StepPreview(step=index, delay_minutes=step["delay_minutes"], due_at=None, actions=[])
            continue
        trial.at = due_at
        would_page = [_simulate(trial, action) for action in step.get("actions", ())]
        actions = [
            ActionPreview(type=action["type"], people=people or [])
            for action, people in zip(step.get("actions", ()), would_page, strict=True)
        ]
        yield StepPreview(step=index, delay_minutes=step["delay_minutes"], due_at=due_at, actions=actions)
        paging = [_pages(people) for people in would_page if people is not None]
        due_at = escalation.evaluate(
            delays, Position(0, index, 0), due_at, has_reached=any(paging) or not paging
        ).due_at


def _simulate(trial: Trial, action: Mapping[str, Any]) -> list[PersonPreview] | None:
    """Whom the action would page; None if it is not to page anybody."""
    addressees = ACTIONS.of(action).simulate(trial, action)
    return None if addressees is None else _people(trial, addressees)


def _people(trial: Trial, addressees: Sequence[Addressee]) -> list[PersonPreview]:
    users = crud_user.by_ids(trial.session, [person.user_id for person, _ in addressees if person.user_id is not None])
    names = {user.id: user.full_name or user.email for user in users}
    found: dict[tuple[str, str | None], PersonPreview] = {}
    for person, named in addressees:
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
