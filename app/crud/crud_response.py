"""People's responses to many incidents at once: locking the incidents, and writing what changes with one statement."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, Insert, Integer, Select, Update, any_, bindparam, select, update
from sqlalchemy.orm import Session

from app.core.vocabulary import EscalationState, IncidentStatus, Severity
from app.crud import bulk
from app.models import Escalation, Incident, IncidentAssignment, TimelineEvent

MOVED = (
    "id", "status", "severity", "cycle", "policy_cycles", "acknowledged_at", "resolved_at", "snoozed_until",
    "assigned_to", "updated_at",
)  # fmt: skip
ASSIGNED = ("incident_id", "user_id", "role", "assigned_at")
ENTRY = ("incident_id", "event_type", "description", "user_id", "metadata", "created_at")


@dataclass(frozen=True, slots=True)
class LockedIncident:
    """A locked incident, as it is answered. The attributes are named as those of `Incident`."""

    id: int
    title: str
    description: str | None
    status: IncidentStatus
    severity: Severity
    service: str
    created_by: int | None
    assigned_to: int | None
    alert_id: str | None
    source: str
    metadata_: dict[str, Any]
    alert_count: int
    last_alert_at: datetime | None
    created_at: datetime
    updated_at: datetime
    cycle: int
    policy_cycles: int
    acknowledged_at: datetime | None
    resolved_at: datetime | None
    snoozed_until: datetime | None
    next_escalation_at: datetime | None = None  # not read with the others

    def row(self) -> bulk.Row:
        """The columns that a response may change."""
        return {name: getattr(self, name) for name in MOVED}


READ = [field.name for field in fields(LockedIncident) if field.name != "next_escalation_at"]


class CRUDResponse:
    def lock(self, session: Session, ids: Collection[int], *, waits: bool) -> dict[int, LockedIncident]:
        """Lock the incidents in the order of their ids. Unless it `waits`, it skips what others have locked."""
        if not ids:
            return {}
        rows = session.execute(_locking(waits=waits), {"ids": list(ids)})
        return {row[0]: LockedIncident(*row) for row in rows}

    def write(
        self,
        session: Session,
        moved: Collection[LockedIncident],
        *,
        assignments: Sequence[bulk.Row],
        entries: Sequence[bulk.Row],
    ) -> None:
        """Write how locked incidents are from now on, and stop their escalations; add assignees and entries."""
        if not moved:
            return
        rows = {"moved": [incident.row() for incident in moved], "assignments": assignments, "entries": entries}
        values = {name: bulk.as_json(of) for name, of in rows.items()}
        session.execute(_writing(), values | {"ids": [incident.id for incident in moved]})


@cache
def _locking(*, waits: bool) -> Select[Any]:
    columns = [getattr(Incident, name) for name in READ]
    query = select(*columns).where(Incident.id == any_(_ids())).order_by(Incident.id)
    return query.with_for_update(of=Incident, key_share=True, skip_locked=not waits)


@cache
def _writing() -> Insert:
    entries = bulk.insertion(TimelineEvent, ENTRY, bulk.given_rows(TimelineEvent, ENTRY, "entries"))
    given = bulk.given_rows(IncidentAssignment, ASSIGNED, "assignments")
    assigned = bulk.insertion(IncidentAssignment, ASSIGNED, given)
    return entries.add_cte(_moving().cte("moved"), _stopping().cte("stopped"), assigned.cte("assigned"))


def _moving() -> Update:
    incidents, given = bulk.table_of(Incident), bulk.given_rows(Incident, MOVED, "moved")
    values = {name: given.c[name] for name in MOVED if name != "id"}
    # The ids are told twice: the planner knows nothing of the rows in a parameter, and would read the whole table.
    mine = (incidents.c.id == given.c.id) & (incidents.c.id == any_(_ids()))
    return update(incidents).where(mine).values(**values, unmatched_due_at=None)


def _stopping() -> Update:
    """What `escalation_state.transition` says of `Stopped`."""
    escalations = bulk.table_of(Escalation)
    running = (escalations.c.incident_id == any_(_ids())) & (escalations.c.state == EscalationState.RUNNING)
    return update(escalations).where(running).values(state=EscalationState.STOPPED, next_run_at=None)


def _ids() -> Any:
    return bindparam("ids", type_=ARRAY(Integer))


crud_response = CRUDResponse()
