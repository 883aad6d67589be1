"""The steps that fired."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert

from app.crud import bulk
from app.crud.base import CRUDBase
from app.crud.pagination import Page, Slice, columns_of, sliced_each
from app.models import Escalation, EscalationEvent

FIRED = (
    "incident_id", "policy_id", "cycle", "loop", "step", "status", "triggered_at", "completed_at", "metadata",
)  # fmt: skip
KEY = ("incident_id", "policy_id", "cycle", "loop", "step")  # unique: a step fires once in each loop of each cycle


class CRUDEvent(CRUDBase[EscalationEvent]):
    def insert_each(self, session: Session, rows: Sequence[dict[str, Any]]) -> list[int]:
        """Insert rows, as column -> value, with one statement. Returns their ids, in the same order."""
        inserted = session.execute(_inserting(), {"rows": bulk.as_json(rows)})
        ids = {row[1:]: row.id for row in inserted}
        return [ids[tuple(row[name] for name in KEY)] for row in rows]

    def slice(self, session: Session, incident_id: int, part: Slice) -> Page[Row[Any]]:
        return part.read_each(session, _of_incidents(), [incident_id])[incident_id]

    def of_cycle(self, session: Session, incident_id: int, cycle: int) -> Sequence[EscalationEvent]:
        """Every step that fired in a cycle of an incident, oldest first."""
        query = select(EscalationEvent).filter_by(incident_id=incident_id, cycle=cycle)
        return session.scalars(query.order_by(EscalationEvent.id)).all()

    def has_fired(self, session: Session, row: Escalation) -> bool:
        """True if the step at which an escalation stands has fired in this cycle before, in an earlier loop."""
        same = select(EscalationEvent.id).where(
            EscalationEvent.incident_id == row.incident_id,
            EscalationEvent.policy_id == row.policy_id,
            EscalationEvent.cycle == row.cycle,
            EscalationEvent.step == row.step,
        )
        return session.scalars(same.limit(1)).first() is not None


@cache
def _inserting() -> ReturningInsert[Any]:
    columns = bulk.table_of(EscalationEvent).c
    insertion = bulk.insertion(EscalationEvent, FIRED, bulk.given_rows(EscalationEvent, FIRED, "rows"))
    return insertion.returning(columns.id, *(columns[name] for name in KEY))


@cache
def _of_incidents() -> Select[Any]:
    of = EscalationEvent
    return sliced_each(select(*columns_of(of)), of.id, of.metadata_, parent=of.incident_id, newest_first=False)


crud_event = CRUDEvent(EscalationEvent)
