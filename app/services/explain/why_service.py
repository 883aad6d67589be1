"""Explains who was paged about an incident, who was not, and why. Only reads."""

from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice

from sqlalchemy.orm import Session

from app.core.channel import without_answer
from app.core.vocabulary import DeliveryStatus, EscalationState, IncidentStatus, TimelineEventType
from app.crud import (
    crud_assignment,
    crud_escalation,
    crud_event,
    crud_notification,
    crud_policy,
    crud_timeline,
    crud_user,
)
from app.crud.crud_escalation import ActivePolicy
from app.models import Escalation, EscalationEvent, Incident, Notification, User
from app.schemas.escalation import are_conditions, are_steps
from app.schemas.preview import ConditionRead
from app.schemas.why import IncidentWhy, PersonWhy, PolicyWhy, ReasonRead
from app.services import escalation, escalation_service
from app.services.contacts import recipient_service
from app.services.contacts.address import masked
from app.services.contacts.quiet import Occasion
from app.services.delivery.delivery_service import DEACTIVATED
from app.services.escalation import ConditionResult
from app.services.explain import why
from app.services.explain.preview_service import people_of
from app.services.explain.why import Place, Reason, Sent, Stop
from app.services.incidents import collaboration_service, incident_service
from app.services.notification import Person, route
from app.services.ports import Paging

MAX_APART = 50  # policies whose people are looked up though they have not begun
BEGINNINGS = {TimelineEventType.REOPENED, TimelineEventType.SNOOZE_ENDED, TimelineEventType.SEVERITY_RAISED}
ENDS = {TimelineEventType.ACKNOWLEDGED, TimelineEventType.RESOLVED, TimelineEventType.SNOOZED}


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked about, and what was found for each person."""

    session: Session
    incident: Incident
    paging: Paging
    stop: Stop | None
    found: dict[str, list[Reason]] = field(default_factory=lambda: defaultdict(list))


def explain(session: Session, incident_id: int, paging: Paging, *, user: User) -> IncidentWhy:
    """Why people were paged in the incident's current cycle, or not. Raises NotFound, PermissionDenied."""
    incident = incident_service.get(session, incident_id)
    collaboration_service.require_responder(session, incident, user)
    case = Case(session, incident, paging, _stop(session, incident))
    escalations = [e for e in crud_escalation.of_incident(session, incident_id) if e.cycle == incident.cycle]
    policies = _matched(session, incident)
    events = crud_event.of_cycle(session, incident_id, incident.cycle)
    _add_pages(case, events)
    _add_skips(case, events, {row.policy_id: row.version.policy.name for row in escalations})
    _add_unreachable(case, escalations)
    active = {policy.policy_id for policy, _ in policies}
    fired = {(event.policy_id, event.loop, event.step) for event in events}
    for row in escalations:
        if are_steps(row.version.steps):
            _add_steps_to_come(case, row, fired, is_active=row.policy_id in active)
    # Who is assigned meanwhile ends no escalation: one that goes on is more than a policy that would not match now.
    begun = {row.policy_id for row in escalations if row.state is not EscalationState.ENDED}
    apart = ((p, c) for p, c in policies if p.policy_id not in begun and are_steps(p.steps))
    for policy, conditions in islice(apart, MAX_APART):
        _add_apart(case, policy, conditions)
    _add_unless_found(case, crud_user.active_admins(session), why.of_admin())
    _add_unless_found(case, [*recipient_service.involved(session, incident), user], why.of_unnamed())
    standing = {row.policy_id: row for row in escalations}
    return IncidentWhy(
        incident_id=incident_id,
        cycle=incident.cycle,
        people=_people(case),
        policies=[_policy(policy, conditions, standing.get(policy.policy_id)) for policy, conditions in policies],
    )


def _stop(session: Session, incident: Incident) -> Stop | None:
    """What ended the paging of the current cycle first; None while the incident is open."""
    if incident.status is IncidentStatus.OPEN:
        return None
    begun = crud_timeline.latest(session, incident.id, BEGINNINGS)
    entry = crud_timeline.first_after(session, incident.id, ENDS, after=begun.id if begun else 0)
    if entry is None:
        return Stop(incident.status, None, None)
    who = crud_user.by_ids(session, [entry.user_id] if entry.user_id else [])
    return Stop(entry.event_type, entry.created_at, _name(who[0]) if who else None)


def _matched(session: Session, incident: Incident) -> list[tuple[ActivePolicy, tuple[ConditionResult, ...]]]:
    assigned = crud_assignment.incidents_with_any(session, [incident.id])
    facts = escalation_service.facts_of(incident, assigned)
    policies = crud_policy.active(session)
    return [(p, escalation.explain(p.conditions, facts)) for p in policies if are_conditions(p.conditions)]


def _add_pages(case: Case, events: Sequence[EscalationEvent]) -> None:
    planned = {e.id: {(n["recipient"], n["channel"]) for n in e.metadata_.get("notified", ())} for e in events}
    rows = crud_notification.of_incident_cycle(case.session, case.incident.id, case.incident.cycle)
    pages = {row.id: row for row in sorted(rows, key=lambda row: row.id) if row.kind.is_page}
    for row in pages.values():
        before = pages.get(row.fallback_of or 0)
        is_own = before is not None and before.recipient == row.recipient
        is_named = (row.recipient, row.channel) in planned.get(row.event_id or 0, {(row.recipient, row.channel)})
        is_last_resort = not is_own and (before is not None or row.event_id is None or not is_named)
        bundle = crud_notification.get(case.session, row.bundle_id) if row.bundle_id else None
        sent = _sent(
            row, bundle, tried_before=before.channel if before and is_own else None, is_last_resort=is_last_resort
        )
        case.found[row.recipient] += why.of_page(sent, case.stop)


def _sent(row: Notification, bundle: Notification | None, *, tried_before: str | None, is_last_resort: bool) -> Sent:
    """While a page waits in a bundle, how the bundle is faring. What an error said of a void page is over."""
    carrier = bundle if bundle is not None and row.status is DeliveryStatus.PENDING else row
    is_void = row.status is DeliveryStatus.CANCELLED and row.last_error != DEACTIVATED
    return Sent(
        notification_id=row.id,
        channel=row.channel,
        status=carrier.status,
        is_held=row.is_held,
        is_bundled=row.bundle_id is not None,
        is_deferred=carrier.attempt == 0 and carrier.first_attempt_at is not None,
        attempts=carrier.attempt,
        error=None if is_void else without_answer(carrier.last_error),
        created_at=row.created_at,
        accepted_at=row.accepted_at,
        delivered_at=row.delivered_at,
        ended_at=row.ended_at,
        next_attempt_at=carrier.next_attempt_at,
        tried_before=tried_before,
        is_last_resort=is_last_resort,
    )


def _add_skips(case: Case, events: Sequence[EscalationEvent], names: dict[int, str]) -> None:
    for event in events:
        place = Place(event.policy_id, names.get(event.policy_id, str(event.policy_id)), event.step)
        for skip in event.metadata_.get("skipped", ()):
            reason = why.of_skip(place, skip["channel"], skip["reason"], event.triggered_at)
            case.found[skip["recipient"]].append(reason)


def _add_unreachable(case: Case, escalations: Sequence[Escalation]) -> None:
    """Why not even the administrators were paged."""
    since = [row.unreachable_since for row in escalations if row.unreachable_since]
    for person in recipient_service.admins(case.session, case.paging) if since else ():
        routed = route(person, None, case.paging.channels)
        for skip in () if routed.pages else routed.skips:
            case.found[person.key].append(why.of_unreachable(skip.channel, skip.reason, min(since)))


def _add_steps_to_come(case: Case, row: Escalation, fired: Set[tuple[int, int, int]], *, is_active: bool) -> None:
    """What a running escalation will do, or what one that was stopped or whose policy is off will not."""
    delays = escalation.delays_of(row.version.steps)
    to_come = (index for index in range(row.step, len(delays)) if (row.policy_id, row.loop, index) not in fired)
    for index in to_come:
        place = Place(row.policy_id, row.version.policy.name, index)
        actions = row.version.steps[index].get("actions", ())
        if row.state is EscalationState.STOPPED and case.stop is not None:
            for person, _ in _targets(case, actions, None):
                case.found[person.key].append(why.of_stopped(place, case.stop))
        elif row.state is EscalationState.ENDED and not is_active:
            for person, _ in _targets(case, actions, None):
                case.found[person.key].append(why.of_ended(place))
        elif row.quarantined_at is not None and row.next_run_at is not None and index == row.step:
            for person, _ in _targets(case, actions, None):
                case.found[person.key].append(why.of_quarantined(place, row.next_run_at))
        elif row.next_run_at is not None:
            due_at = row.next_run_at + delays[index] - delays[row.step]
            for person, named in _targets(case, actions, Occasion(case.incident.severity, due_at)):
                case.found[person.key] += _upcoming(case, place, person, named, due_at)


def _upcoming(
    case: Case, place: Place, person: Person, named: Sequence[str] | None, due_at: datetime
) -> Iterator[Reason]:
    routed = route(person, named, case.paging.channels)
    for page in routed.pages:
        yield why.of_upcoming(place, due_at, page.channel, None)
    for skip in routed.skips:
        yield why.of_upcoming(place, due_at, skip.channel, skip.reason)
    if not routed.pages and not routed.skips:
        yield why.of_upcoming(place, due_at, None, "no_channel")


def _add_apart(case: Case, policy: ActivePolicy, conditions: Sequence[ConditionResult]) -> None:
    """Why a policy that has not begun pages nobody: it does not match, or only since the paging was ended."""
    people = [{person.key: None for person, _ in _targets(case, step["actions"], None)} for step in policy.steps]
    if not _holds(conditions):
        for key in dict.fromkeys(chain.from_iterable(people)):
            case.found[key].append(why.of_mismatch(policy.policy_id, policy.name, conditions))
    elif case.stop is not None:
        for index, keys in enumerate(people):
            for key in keys:
                case.found[key].append(why.of_stopped(Place(policy.policy_id, policy.name, index), case.stop))


def _add_unless_found(case: Case, users: Sequence[User], reason: Reason) -> None:
    for user in users:
        case.found[f"user:{user.id}"] = case.found[f"user:{user.id}"] or [reason]


def _targets(
    case: Case, actions: Sequence[dict[str, object]], occasion: Occasion | None
) -> Iterator[tuple[Person, Sequence[str] | None]]:
    for action in actions:
        if action["type"] == "notify":
            yield from people_of(case.session, case.incident, action, case.paging, occasion)


def _people(case: Case) -> list[PersonWhy]:
    ids = {key: int(key.removeprefix("user:")) for key in case.found if key.startswith("user:")}
    names = {user.id: _name(user) for user in crud_user.by_ids(case.session, list(ids.values()))}
    return [
        PersonWhy(
            recipient=key if key in ids else f"email:{masked(key.removeprefix('email:'))}",
            user_id=ids.get(key),
            name=names.get(ids.get(key, 0)),
            reasons=[ReasonRead.model_validate(reason) for reason in reasons],
        )
        for key, reasons in case.found.items()
    ]


def _policy(policy: ActivePolicy, conditions: Sequence[ConditionResult], row: Escalation | None) -> PolicyWhy:
    matches = _holds(conditions)
    tried_again_at = row.next_run_at if row and row.quarantined_at else None
    is_running = row is not None and row.state is EscalationState.RUNNING
    missed = why.mismatch(policy.name, conditions, is_running=is_running)
    return PolicyWhy(
        policy_id=policy.policy_id,
        name=policy.name,
        matches=matches,
        conditions=[ConditionRead.model_validate(condition) for condition in conditions],
        state=row.state if row else None,
        next_run_at=row.next_run_at if row else None,
        sentence=why.match(policy.name, tried_again_at) if matches else missed,
    )


def _holds(conditions: Sequence[ConditionResult]) -> bool:
    return all(condition.holds for condition in conditions)


def _name(user: User) -> str:
    return user.full_name or masked(user.email)
