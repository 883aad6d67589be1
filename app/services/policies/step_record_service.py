"""Records the steps that fired: one event each, and one entry in the incident's timeline."""

from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.core.channel import spoken
from app.core.vocabulary import EventStatus, TimelineEventType
from app.crud import crud_event
from app.crud.pagination import Page, Slice
from app.models import Escalation, EscalationEvent, User
from app.services.incidents import collaboration_service, incident_service
from app.services.notification_service import Plan
from app.services.policies.actions.registry import StepResult
from app.services.policies.situation import Situation
from app.services.timeline_service import record

log = structlog.get_logger()

MAX_NAMED = 5  # people named in one sentence


@dataclass(frozen=True, slots=True)
class Fired:
    """Where an escalation stood when its step fired."""

    cycle: int
    loop: int
    step: int


def list_events(session: Session, incident_id: int, part: Slice, *, user: User) -> Page[Row[Any]]:
    """The steps that fired for an incident, oldest first. Raises NotFound, PermissionDenied."""
    collaboration_service.require_involved(session, incident_service.get(session, incident_id), user)
    return crud_event.slice(session, incident_id, part)


def add_event(situation: Situation, row: Escalation, fired: Fired, result: StepResult) -> EscalationEvent:
    """Record what a step did. A constraint lets it fire only once in each loop of each cycle."""
    event = EscalationEvent(
        incident_id=row.incident_id,
        policy_id=row.policy_id,
        cycle=fired.cycle,
        loop=fired.loop,
        step=fired.step,
        status=EventStatus.FAILED if result.has_failed else EventStatus.COMPLETED,
        triggered_at=situation.at,
        completed_at=situation.at,
        metadata_=result.metadata(),
    )
    return crud_event.add(situation.session, event)


def _paging(planned: Plan) -> str:
    """The end of the sentence: whom the step pages, the first few by name."""
    pages = [planned_page.page for planned_page in planned.pages]
    named = [f"{page.person.shown} by {spoken(page.channel)}" for page in pages[:MAX_NAMED]]
    others = [f"{len(pages) - MAX_NAMED} more"] if len(pages) > MAX_NAMED else []
    return f": paging {', '.join(named + others)}" if pages else ""


def tell(situation: Situation, row: Escalation, fired: Fired, result: StepResult) -> None:
    """Record in the timeline that a step fired."""
    description = f"Step {fired.step + 1} of policy “{row.version.policy.name}” fired{_paging(result.planned)}."
    data = {"policy_id": row.policy_id, "step": fired.step, "loop": fired.loop, **result.metadata()}
    kind = TimelineEventType.ESCALATION_STEP
    record(situation.session, row.incident_id, kind, description, at=situation.at, **data)
    log.info(
        "escalation_step_fired",
        incident_id=row.incident_id,
        policy_id=row.policy_id,
        step=fired.step,
        loop=fired.loop,
        pages=len(result.planned.pages),
    )
