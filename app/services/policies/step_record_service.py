"""Records the steps that fired: one event each, and one entry in the incident's timeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.core import tracing
from app.core.channel import spoken
from app.core.vocabulary import EventStatus, IncidentStatus, TimelineEventType
from app.crud import crud_event, crud_timeline
from app.crud.pagination import Page, Slice
from app.models import Escalation, User
from app.services import timeline_service
from app.services.incidents import collaboration_service, incident_service
from app.services.notification_service import Plan
from app.services.policies.actions.registry import StepResult
from app.services.policies.situation import Context

log = structlog.get_logger()

MAX_NAMED = 5  # people named in one sentence


@dataclass(frozen=True, slots=True)
class Fired:
    """Where an escalation stood when its step fired, and when the step was due."""

    cycle: int
    loop: int
    step: int
    due_at: datetime | None


def list_events(session: Session, incident_id: int, part: Slice, *, user: User) -> Page[Row[Any]]:
    """The steps that fired for an incident, oldest first. Raises NotFound, PermissionDenied."""
    collaboration_service.require_involved(session, incident_service.get(session, incident_id), user)
    return crud_event.slice(session, incident_id, part)


@dataclass(frozen=True, slots=True)
class Performed:
    """A step whose actions were performed: its context, where the escalation stood, and the result.

    `status_before` is the incident's, before the actions.
    """

    context: Context
    fired: Fired
    result: StepResult
    status_before: IncidentStatus

    @property
    def has_changed_status(self) -> bool:
        return self.context.incident.status is not self.status_before

    @property
    def row(self) -> Escalation:
        return self.context.escalation


def add_events(session: Session, steps: Sequence[Performed]) -> list[int]:
    """Record what steps did. Returns the ids of the events, in the same order.

    A constraint lets a step fire only once in each loop of each cycle.
    """
    return crud_event.insert_each(session, [_event(step) for step in steps])


def _event(step: Performed) -> dict[str, Any]:
    at, fired = step.context.at, step.fired
    return {
        "incident_id": step.row.incident_id,
        "policy_id": step.row.policy_id,
        "cycle": fired.cycle,
        "loop": fired.loop,
        "step": fired.step,
        "status": EventStatus.FAILED if step.result.has_failed else EventStatus.COMPLETED,
        "triggered_at": at,
        "completed_at": at,
        "metadata": step.result.metadata(),
    }


def _paging(planned: Plan) -> str:
    """The end of the sentence: whom the step pages, the first few by name."""
    pages = [planned_page.page for planned_page in planned.pages]
    named = [f"{page.person.shown} by {spoken(page.channel)}" for page in pages[:MAX_NAMED]]
    others = [f"{len(pages) - MAX_NAMED} more"] if len(pages) > MAX_NAMED else []
    return f": paging {', '.join(named + others)}" if pages else ""


def tell(session: Session, steps: Sequence[Performed]) -> None:
    """Record in the timelines that steps fired."""
    crud_timeline.insert_all(session, [_entry(step) for step in steps])
    for step in steps:
        log.info(
            "escalation_step_fired",
            incident_id=step.row.incident_id,
            policy_id=step.row.policy_id,
            step=step.fired.step,
            loop=step.fired.loop,
            pages=len(step.result.planned.pages),
            **tracing.named_in_logs(step.context.incident.traceparent),
        )


def _entry(step: Performed) -> dict[str, Any]:
    fired, result, row = step.fired, step.result, step.row
    description = f"Step {fired.step + 1} of policy “{row.version.policy.name}” fired{_paging(result.planned)}."
    data = {"policy_id": row.policy_id, "step": fired.step, "loop": fired.loop, **result.metadata()}
    return timeline_service.entry(
        row.incident_id, TimelineEventType.ESCALATION_STEP, description, at=step.context.at, data=data
    )
