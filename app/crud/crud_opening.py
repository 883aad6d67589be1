"""Writes everything that opening incidents writes, with one statement."""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import Insert, Select, func, select
from sqlalchemy.orm import Session

from app.crud import bulk
from app.crud.bulk import Row
from app.models import Escalation, Incident, TimelineEvent
from app.models.incident import UNRESOLVED

INCIDENT = (
    "id", "title", "description", "severity", "service", "metadata", "source", "created_by", "assigned_to", "alert_id",
    "alert_count", "alert_severity", "last_alert_at", "is_unmatched", "unmatched_due_at", "created_at", "updated_at",
    "traceparent",
)  # fmt: skip
ESCALATION = (
    "incident_id", "policy_id", "version_id", "state", "cycle", "loop", "repeats_left", "step", "next_run_at",
    "created_at", "updated_at",
)  # fmt: skip
ENTRY = ("incident_id", "event_type", "description", "user_id", "metadata", "created_at")


class CRUDOpening:
    """New incidents, with their first escalations and timeline entries."""

    def next_ids(self, session: Session, count: int) -> list[int]:
        """Ids for new incidents, ascending."""
        sequence = func.pg_get_serial_sequence(Incident.__tablename__, "id")
        query = select(func.nextval(sequence)).select_from(func.generate_series(1, count))
        return list(session.scalars(query))

    def add(
        self, session: Session, *, incidents: Sequence[Row], escalations: Sequence[Row], entries: Sequence[Row]
    ) -> set[int]:
        """Insert rows of the three tables. Returns the ids of the incidents that were inserted.

        An incident whose alert is open in another one is not, and neither are its escalations and entries. In the order
        of their alerts: two batches of the same alerts wait for each other in one direction only.
        """
        if not incidents:
            return set()
        ordered = sorted(incidents, key=lambda row: row["alert_id"] or "")
        rows = {"incidents": ordered, "escalations": escalations, "entries": entries}
        return set(session.scalars(_statement(), {name: bulk.as_json(of) for name, of in rows.items()}))


@cache
def _statement() -> Select[tuple[int]]:
    """One statement: an incident that is not inserted has no escalations and no entries either."""
    insertion = bulk.insertion(Incident, INCIDENT, bulk.given_rows(Incident, INCIDENT, "incidents"))
    without_duplicates = insertion.on_conflict_do_nothing(index_elements=["source", "alert_id"], index_where=UNRESOLVED)
    opened = without_duplicates.returning(bulk.table_of(Incident).c.id).cte("opened")
    ids = select(opened.c.id)
    parts = [_part_of(ids, Escalation, ESCALATION, "escalations"), _part_of(ids, TimelineEvent, ENTRY, "entries")]
    return ids.add_cte(*(part.cte(f"new_{part.table.name}") for part in parts))


def _part_of(
    opened: Select[tuple[int]], model: type[Escalation | TimelineEvent], names: tuple[str, ...], parameter: str
) -> Insert:
    given = bulk.given_rows(model, names, parameter)
    return bulk.insertion(model, names, given, given.c.incident_id.in_(opened))


crud_opening = CRUDOpening()
