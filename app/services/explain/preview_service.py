"""Previews what policies do with an incident: whom they page, when and by which channel. Nothing is saved or sent."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.core.errors import InvalidInput
from app.crud import crud_policy
from app.crud.clock import now
from app.crud.crud_policy import ActivePolicy
from app.models import Incident, User
from app.schemas.escalation import PolicyCreate, are_conditions, are_steps, dump_steps
from app.schemas.preview import ConditionRead, EscalationPreview, PolicyPreview, PreviewIncident, PreviewRequest
from app.services import escalation, escalation_service
from app.services.contacts import directory_service
from app.services.explain import rehearsal_service
from app.services.explain.rehearsal_service import Rehearsal, pages
from app.services.incidents import incident_service
from app.services.policies import policy_check_service, policy_warning_service, unmatched_service
from app.services.policies.situation import Trial
from app.services.ports import Paging

NOT_SAVED = 0
MAX_DISTANCE = timedelta(days=3650)


def preview(session: Session, wanted: PreviewRequest, paging: Paging, *, by: User) -> EscalationPreview:
    """What each active policy, and the one in the request, would do. Raises InvalidInput.

    Leaves out malformed policies, which do nothing. If no policy matches, the setting decides whether the
    administrators are paged. The number of statements does not grow with the number of policies.
    """
    at = _at(wanted, now(session))
    incident = _asked_for(session, wanted, by=by)
    policies = _policies(session, wanted, paging)
    named = [policy_warning_service.named_by(policy) for policy in policies]
    directory = directory_service.load(session, incident, policy_warning_service.targets_of(named), paging)
    facts = escalation_service.facts_of(incident, {incident.id} if directory.has_assignees else set())
    warnings = policy_warning_service.warnings_of(named, directory.on_no_incident())
    trials = [Trial(session, paging, directory, _copy(incident), policy.conditions, facts, at) for policy in policies]
    found = [_try(*each) for each in zip(trials, policies, warnings, strict=True)]
    is_unmatched = not any(policy.matches for policy in found)
    is_wanted = is_unmatched and unmatched_service.is_paged(paging.unmatched, incident.source)
    instead = rehearsal_service.admins(directory) if is_wanted else []
    is_anybody_paged = any(p.matches and (not p.reaches_nobody or pages(p.then_paged)) for p in found)
    return EscalationPreview(
        at=at,
        is_anybody_paged=is_anybody_paged or pages(instead),
        no_policy_matches=is_unmatched,
        then_paged=instead,
        policies=found,
    )


def _at(wanted: PreviewRequest, current: datetime) -> datetime:
    """When the incident would be opened: now, unless the request says another time. Raises InvalidInput."""
    at = wanted.at or current
    if abs(at - current) > MAX_DISTANCE:
        raise InvalidInput("A preview looks at most ten years back or ahead. Set a closer time.", pointer="/at")
    return at


def _policies(session: Session, wanted: PreviewRequest, paging: Paging) -> list[ActivePolicy]:
    """The active policies that are well-formed, and the one in the request. Raises InvalidInput."""
    active = [p for p in crud_policy.active(session) if are_conditions(p.conditions) and are_steps(p.steps)]
    return [*active, *([_draft(session, wanted.policy, paging)] if wanted.policy else [])]


def _try(trial: Trial, policy: ActivePolicy, warnings: list[str]) -> PolicyPreview:
    conditions = escalation.explain(trial.conditions, trial.facts)
    matches = all(condition.holds for condition in conditions)
    done = rehearsal_service.rehearse(trial, policy) if matches else Rehearsal()
    return PolicyPreview(
        policy_id=policy.policy_id or None,
        name=policy.name,
        matches=matches,
        conditions=[ConditionRead.model_validate(condition) for condition in conditions],
        steps=rehearsal_service.steps(policy, done) if matches else [],
        reaches_nobody=matches and not done.has_reached,
        then_paged=done.then_paged,
        then_paged_at=done.then_paged_at,
        warnings=warnings,
    )


def _draft(session: Session, new: PolicyCreate, paging: Paging) -> ActivePolicy:
    """The policy of the request. Raises InvalidInput if it could not be saved."""
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
    """A copy with the fields that policies look at, in no session: no change to it is saved."""
    asked = ("id", "title", "severity", "service", "source", "created_by", "assigned_to", "metadata_")
    return Incident(**{name: getattr(incident, name) for name in asked})
