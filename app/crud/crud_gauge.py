"""What the metrics ask the database. Each question reads what it counts, in an index, however much else there is."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, String, column, func, literal_column, select, text, values
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.core.vocabulary import UNDER_WAY, DeliveryStatus, IncidentStatus, Severity
from app.crud.crud_notification import WAITING
from app.models import Incident, Notification, WorkerHeartbeat

COUNTED = 10_000  # counting ends there: beyond, the number makes no difference to anybody
# Sessions that anybody may open, whichever database they are on; and what PostgreSQL writes and keeps. A replica has
# no position of its own in the log: its numbers are those that it has received.
SERVER = text("""
    SELECT
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true), '0')::int
            - (SELECT coalesce(sum(numbackends), 0) FROM pg_stat_database) AS connections_left,
        pg_database_size(current_database()) AS database_bytes,
        pg_wal_lsn_diff(at.lsn, '0/0') AS wal_bytes,
        (SELECT coalesce(max(pg_wal_lsn_diff(at.lsn, restart_lsn)), 0) FROM pg_replication_slots) AS wal_retained,
        (SELECT count(*) FROM pg_stat_replication) AS replicas,
        (SELECT extract(epoch FROM max(replay_lag)) FROM pg_stat_replication) AS replication_lag
    FROM (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END) AS at (lsn)
""")


class CRUDGauge:
    def open_incidents(self, session: Session, states: Sequence[IncidentStatus]) -> dict[tuple[str, ...], int]:
        """How many incidents are in these states, by severity and state."""
        return {(severity, status): number for severity, status, number in session.execute(_incidents(tuple(states)))}

    def outbox(self, session: Session) -> dict[tuple[str, ...], int]:
        """How many messages wait or are being sent, by status."""
        [row] = session.execute(_outbox())
        return {(str(status),): number for status, number in zip(UNDER_WAY, row, strict=True)}

    def first_message_due(self, session: Session) -> datetime | None:
        """When the oldest waiting message was or will be due; even if it is throttled."""
        due_at = Notification.next_attempt_at
        return session.scalar(select(due_at).where(WAITING, due_at.is_not(None)).order_by(due_at).limit(1))

    def lost_workers(self, session: Session, *, since: datetime, until: datetime) -> int:
        """How many workers were last seen in this time, and did not sign off."""
        seen_at = WorkerHeartbeat.last_seen_at
        return session.scalar(select(_counted((seen_at >= since) & (seen_at <= until), seen_at))) or 0

    def last_signs(self, session: Session, *, since: datetime) -> tuple[datetime | None, datetime | None]:
        """When any worker that was seen since a time was last seen, and when it last completed a tick."""
        seen_at, ticked_at = WorkerHeartbeat.last_seen_at, WorkerHeartbeat.last_tick_at
        [row] = session.execute(select(func.max(seen_at), func.max(ticked_at)).where(seen_at >= since))
        return row[0], row[1]

    def server(self, session: Session) -> dict[str, Any]:
        """The state of PostgreSQL itself. `replication_lag` is None without replicas, or if the role may not see it."""
        return dict(session.execute(SERVER).mappings().one())


@cache
def _incidents(states: tuple[IncidentStatus, ...]) -> Select[Any]:
    """Compared with a list of values: for constants PostgreSQL may read all unresolved incidents once for each."""
    given = values(column("severity", String), column("status", String), name="given")
    pairs = given.data([(str(severity), str(status)) for severity in Severity for status in states])
    mine = (Incident.severity == pairs.c.severity) & (Incident.status == pairs.c.status)
    some = select(literal_column("1")).where(mine).limit(COUNTED).correlate(pairs).subquery()
    return select(pairs.c.severity, pairs.c.status, select(func.count()).select_from(some).scalar_subquery())


@cache
def _outbox() -> Select[Any]:
    orders = {DeliveryStatus.SENDING: Notification.lease_until}
    return select(*(_counted(Notification.status == one, orders.get(one, Notification.id)) for one in UNDER_WAY))


def _counted(condition: ColumnElement[bool], order: InstrumentedAttribute[Any]) -> Any:
    """How many rows meet a condition, up to COUNTED."""
    some = select(literal_column("1")).where(condition).order_by(order).limit(COUNTED).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


crud_gauge = CRUDGauge()
