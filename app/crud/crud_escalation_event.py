"""The steps that fired."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase
from app.crud.pagination import Page, Slice, columns_of, sliced_each
from app.models import Escalation, EscalationEvent


class CRUDEvent(CRUDBase[EscalationEvent]):
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
def _of_incidents() -> Select[Any]:
    of = EscalationEvent
    return sliced_each(select(*columns_of(of)), of.id, of.metadata_, parent=of.incident_id, newest_first=False)


crud_event = CRUDEvent(EscalationEvent)
