"""The incidents that alerts have opened: finding them by their alert's key, and counting repetitions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, Insert, Integer, Row, Select, String, any_, bindparam, func, select, update
from sqlalchemy.orm import Session

from app.core.vocabulary import IncidentStatus, Severity
from app.crud import bulk
from app.models import Incident, TimelineEvent

ALERT_BATCHES = 0x1A5BA7
UNRESOLVED = Incident.status != IncidentStatus.RESOLVED
REPEATED = ("id", "description", "metadata", "alert_count", "last_alert_at", "updated_at")
ENTRY = ("incident_id", "event_type", "description", "metadata", "created_at")


@dataclass(frozen=True, slots=True)
class AlertedIncident:
    """What an alert must know of its unresolved incident, which is locked."""

    id: int
    key: str
    metadata: dict[str, Any]
    description: str | None
    is_description_edited: bool
    alert_count: int
    alert_severity: Severity | None


@dataclass(frozen=True, slots=True)
class Repetitions:
    """An incident whose alert was repeated, as it is from now on."""

    id: int
    description: str | None
    metadata: dict[str, Any]
    alert_count: int


class CRUDAlert:
    def one_batch_at_a_time(self, session: Session) -> None:
        """Wait for other batches of alerts to end: two that share several alerts would wait for each other."""
        session.execute(select(func.pg_advisory_xact_lock(ALERT_BATCHES)))

    def lock_unresolved(
        self, session: Session, source: str, keys: Collection[str], *, waits: bool
    ) -> dict[str, AlertedIncident]:
        """Lock the unresolved incident of each key that has one, in the order of their ids.

        Unless it `waits`, it skips what another transaction has locked.
        """
        if not keys:
            return {}
        rows = session.execute(_locking(waits=waits), {"source": source, "keys": list(keys)})
        return {row[1]: _alerted(row) for row in rows}

    def unresolved_keys(self, session: Session, source: str, keys: Collection[str]) -> set[str]:
        """Those of the keys that have an unresolved incident, locked or not."""
        if not keys:
            return set()
        query = select(Incident.alert_id).where(Incident.source == source, Incident.alert_id.in_(keys), UNRESOLVED)
        return {key for key in session.scalars(query) if key is not None}

    def count(
        self, session: Session, repeated: Sequence[Repetitions], entries: Sequence[bulk.Row], *, at: datetime
    ) -> None:
        """Keep what is repeated of locked incidents, and its entries in their timelines. One statement for all."""
        if repeated:
            rows = [_row(incident, at) for incident in repeated]
            values = {"repeated": bulk.as_json(rows), "entries": bulk.as_json(entries)}
            session.execute(_counting(), values | {"ids": [incident.id for incident in repeated]})


@cache
def _unresolved() -> Select[Any]:
    keys = bindparam("keys", type_=ARRAY(String))
    return (
        select(
            Incident.id,
            Incident.alert_id,
            Incident.metadata_,
            Incident.description,
            Incident.is_description_edited,
            Incident.alert_count,
            Incident.alert_severity,
        )
        .where(Incident.source == bindparam("source"), Incident.alert_id == any_(keys), UNRESOLVED)
        .order_by(Incident.id)
    )


@cache
def _locking(*, waits: bool) -> Select[Any]:
    return _unresolved().with_for_update(of=Incident, key_share=True, skip_locked=not waits)


def _alerted(row: Row[Any]) -> AlertedIncident:
    incident = AlertedIncident(*tuple(row))
    severity = incident.alert_severity
    return incident if severity is None else replace(incident, alert_severity=Severity(severity))


@cache
def _counting() -> Insert:
    """The update of the incidents, and the insertion of the entries, as one statement."""
    repeated = bulk.given_rows(Incident, REPEATED, "repeated")
    incidents = bulk.table_of(Incident)
    values = {name: repeated.c[name] for name in REPEATED if name != "id"}
    # The ids are told twice: the planner knows nothing of the rows in a parameter, and would read the whole table.
    mine = (incidents.c.id == repeated.c.id) & (incidents.c.id == any_(bindparam("ids", type_=ARRAY(Integer))))
    counted = update(incidents).where(mine).values(values)
    entries = bulk.given_rows(TimelineEvent, ENTRY, "entries")
    return bulk.insertion(TimelineEvent, ENTRY, entries).add_cte(counted.cte("counted"))


def _row(repeated: Repetitions, at: datetime) -> dict[str, Any]:
    return {
        "id": repeated.id,
        "description": repeated.description,
        "metadata": repeated.metadata,
        "alert_count": repeated.alert_count,
        "last_alert_at": at,
        "updated_at": at,
    }


crud_alert = CRUDAlert()
