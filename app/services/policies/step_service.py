"""Fires the steps of escalations that are due."""

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core.target import Target
from app.core.vocabulary import IncidentStatus
from app.crud import crud_escalation
from app.crud.clock import now
from app.crud.locks import limit_statements, wait_briefly
from app.models import Escalation
from app.services import escalation_service
from app.services.contacts import directory_service
from app.services.escalation_state import Stopped
from app.services.policies import action_service, firing_service, quarantine_service
from app.services.policies.situation import Context
from app.services.ports import Paging

log = structlog.get_logger()

LONGEST_BATCH_SECONDS = 1.0  # the longest an acknowledgement may have to wait
WRITING_SECONDS = 0.25  # for the pages of steps that fire together; the next batch has the rest
TOGETHER_SECONDS = 0.5  # for each of their statements; the rest of the time is for firing them alone
LONGEST_WAIT_SECONDS = 1.0  # for a lock; after that the step is quarantined, and the others fire
STATEMENT_SECONDS = 60.0  # what a connection allows otherwise
LOOK_AGAIN_SECONDS = 0.1  # for a due step whose incident is locked


def run_due(session: Session, paging: Paging, *, limit: int) -> int:
    """Fire a batch of due steps. Returns how many were taken. A step that fails is quarantined and delays no other.

    Those that only page fire together. A slow batch ends early, because its incidents stay locked until it ends.
    """
    began = time.monotonic()
    at = now(session)
    wait_briefly(session, LONGEST_WAIT_SECONDS)
    due = _claim(session, paging, at=at, limit=limit)
    together = _only_paging(due)
    fired = _fire_together(session, together, paging)
    if fired is None:
        due, together, fired = _claim(session, paging, at=at, limit=limit), {}, 0
    alone = [context for context in due if context.escalation.id not in together]
    for taken, context in enumerate(alone, start=fired + 1):
        _run(context)
        if time.monotonic() - began > LONGEST_BATCH_SECONDS:
            return taken
    return fired + len(alone)


def seconds_to_next(session: Session, *, within: float) -> float | None:
    """Seconds until the next step is due; None if no step is due within the limit."""
    due_at = crud_escalation.next_due(session)
    seconds = (due_at - now(session)).total_seconds() if due_at else within
    return max(seconds, LOOK_AGAIN_SECONDS) if seconds < within else None


def _claim(session: Session, paging: Paging, *, at: datetime, limit: int) -> list[Context]:
    return [
        Context(session=session, incident=incident, paging=paging, at=at, escalation=row)
        for row, incident in crud_escalation.claim_due(session, at=at, limit=limit)
    ]


@dataclass(frozen=True, slots=True)
class _Page:
    """A step that only pages, and whom."""

    context: Context
    targets: Collection[Target]


def _only_paging(due: Sequence[Context]) -> dict[int, _Page]:
    """The steps that only page, by the id of the escalation; at most one for each incident."""
    of_incidents = Counter(context.incident.id for context in due)
    alone = [context for context in due if of_incidents[context.incident.id] == 1 and _is_plain(context)]
    targets = {context.escalation.id: _targets(context.escalation) for context in alone}
    return {c.escalation.id: _Page(c, of) for c in alone if (of := targets[c.escalation.id]) is not None}


def _is_plain(context: Context) -> bool:
    """True if it is to be fired, and has not failed before."""
    row = context.escalation
    is_due = firing_service.is_still_due(row, context.at) and row.quarantined_at is None
    return is_due and _is_policy_on(row) and _is_current(context)


def _targets(row: Escalation) -> Collection[Target] | None:
    """Whom its step pages. None if the step does anything else, or is malformed: then it fails when it is fired."""
    try:
        actions = firing_service.actions_of(row)
        return action_service.targets(actions) if action_service.only_reads(actions) else None
    except Exception:  # noqa: BLE001 - nobody knows what is in there
        return None


def _fire_together(session: Session, pages: Mapping[int, _Page], paging: Paging) -> int | None:
    """Fire the steps of different incidents. Returns how many: the rest of a slow batch stays due.

    None if that fails or a statement takes too long: then each has to be tried alone.
    """
    if not pages:
        return 0
    try:
        with session.begin_nested():
            limit_statements(session, TOGETHER_SECONDS)
            steps = [page.context for page in pages.values()]
            targets = {target for page in pages.values() for target in page.targets}
            directories = directory_service.load_each(session, [step.incident for step in steps], targets, paging)
            ready = [replace(step, directory=directories[step.incident.id]) for step in steps]
            fired = firing_service.fire_each(ready, within=WRITING_SECONDS)
            limit_statements(session, STATEMENT_SECONDS)
    except Exception as error:
        log.warning("steps_not_fired_together", steps=len(pages), exc_info=error)
        return None
    return fired


def _run(context: Context) -> None:
    """Fire a step alone. If it fails, quarantine it."""
    session, paging, at = context.session, context.paging, context.at
    # A failure rolls back the row's savepoint and expires the row: keep its ids.
    row_id, incident_id = context.escalation.id, context.incident.id
    try:
        with session.begin_nested():
            _run_alone(context)
    except Exception as error:  # noqa: BLE001 - one broken policy must not stop the others
        quarantine_service.quarantine(session, row_id, incident_id, paging, error, at=at)


def _run_alone(context: Context) -> None:
    session, incident, row, at = context.session, context.incident, context.escalation, context.at
    if not firing_service.is_still_due(row, at):
        return  # an earlier step in this batch has ended or restarted it
    if not _is_policy_on(row):
        escalation_service.end(session, incident, row, at=at, reason="the policy is off.")
        escalation_service.mark_abandoned(session, [incident], at=at)
    elif not _is_current(context):
        escalation_service.move(row, Stopped())
    elif row.quarantined_at is None or not escalation_service.begin_newer(session, incident, row, at=at):
        firing_service.fire(context, row)


def _is_policy_on(row: Escalation) -> bool:
    return row.version.policy.is_active and row.version.policy.deleted_at is None


def _is_current(context: Context) -> bool:
    """True if the incident is open, in the cycle that the escalation belongs to."""
    return context.incident.status is IncidentStatus.OPEN and context.incident.cycle == context.escalation.cycle
