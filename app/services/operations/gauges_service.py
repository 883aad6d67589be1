"""Reads what the metrics say of the whole installation: one truth from the database, whichever process is asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.core import metrics
from app.core.instruments import Labels, Readings
from app.crud import crud_backup, crud_escalation, crud_gauge, crud_heartbeat
from app.crud.clock import now
from app.crud.crud_heartbeat import ALIVE_WITHIN
from app.db import budget
from app.db.session import Database, is_contended, is_unavailable
from app.services.operations import health_checks
from app.services.operations.newest import Newest, Patience

log = structlog.get_logger()

ANSWER_SECONDS = 1.0  # a database that takes longer for a trivial statement is away
PARTS_SECONDS = 1.5
RECENT = timedelta(minutes=15)
PATIENCE = Patience(fresh_seconds=5.0, longest_seconds=1.9)

Found = dict[str, Mapping[Labels, float]]


@dataclass
class Look:
    """What a look at the database has found by now, and when the database answered it first."""

    found: Found = field(default_factory=dict)
    answered_at: float | None = None


class Gauges:
    """The readings of one process, at most five seconds old. Nobody waits for them for two seconds.

    A part that fails or is slow hides no other. Whether the database answers, a trivial statement shows.
    """

    def __init__(
        self, database: Database, patience: Patience = PATIENCE, *, parts_seconds: float = PARTS_SECONDS
    ) -> None:
        self._database = database
        self._patience = patience
        self._parts_seconds = parts_seconds
        self._unread: set[str] = set()
        self._last = Look()
        self._newest: Newest[Readings] = Newest(self._read, "gauges", patience)

    def readings(self) -> Readings:
        """What the database says. Without it, that it is away."""
        try:
            found = self._newest.get()
        except Exception:  # noqa: BLE001 - it was logged, or the database does not answer
            found = self._found_so_far()
        return metrics.KNOWN | dict(found)

    def _found_so_far(self) -> Readings:
        """What a look that takes long has found. If the database answered it long ago, it hangs."""
        look = self._last
        if look.answered_at is None or self._patience.clock() - look.answered_at > self._patience.fresh_seconds:
            return _is_up(0)
        return {**look.found, **_is_up(1)}

    def _read(self) -> Readings:
        self._last = look = Look()
        try:
            with self._database.transaction() as session:
                with budget.stopping_after(ANSWER_SECONDS):
                    at = now(session)
                look.answered_at = self._patience.clock()
                self._read_parts(session, at, look)
        except SQLAlchemyError as error:
            log.warning("gauges_without_database", reason=type(error).__name__)
            look.answered_at = None
            return _is_up(0)
        return {**look.found, **_is_up(1)}

    def _read_parts(self, session: Session, at: datetime, look: Look) -> None:
        """Each part may take its share of the time that the parts before it have left."""
        ends_at = monotonic() + self._parts_seconds
        for number, name in enumerate(PARTS):
            seconds = (ends_at - monotonic()) / (len(PARTS) - number)
            look.found = {**look.found, **self._read_part(session, name, at, seconds)}

    def _read_part(self, session: Session, name: str, at: datetime, seconds: float) -> Found:
        """One part. One that fails hides no other: not every PostgreSQL tells everybody everything."""
        try:
            with session.begin_nested(), budget.stopping_after(seconds):
                found = PARTS[name](session, at)
        except SQLAlchemyError as error:
            if is_unavailable(error) and not is_contended(error):
                raise
            if name not in self._unread:
                log.warning("gauges_unread", part=name, exc_info=error)
            self._unread.add(name)
            return {}
        if name in self._unread:
            log.info("gauges_read_again", part=name)
        self._unread.discard(name)
        return found


def _is_up(value: int) -> Found:
    return {metrics.DATABASE_UP.name: {(): float(value)}}


def _incidents(session: Session, _at: datetime) -> Found:
    return {metrics.INCIDENTS_OPEN.name: crud_gauge.open_incidents(session, metrics.UNRESOLVED)}


def _work(session: Session, at: datetime) -> Found:
    return {
        metrics.OLDEST_DUE_STEP.name: {(): _age(crud_escalation.next_due(session), at)},
        metrics.OUTBOX_OLDEST.name: {(): _age(crud_gauge.first_message_due(session), at)},
        metrics.OUTBOX_DEPTH.name: crud_gauge.outbox(session),
    }


def _workers(session: Session, at: datetime) -> Found:
    alive = crud_heartbeat.alive(session, since=at - ALIVE_WITHIN)
    lost = crud_gauge.lost_workers(session, since=at - RECENT, until=at - ALIVE_WITHIN)
    seen_at, ticked_at = crud_gauge.last_signs(session, since=at - RECENT)
    reports = {name: [worker.channels.get(name, {}) for worker in alive] for (name,) in metrics.BREAKER_OPEN.series}
    is_open = {name: health_checks.of_channel(report) is not health_checks.OK for name, report in reports.items()}
    return {
        metrics.WORKERS.name: {(metrics.ALIVE,): len(alive), (metrics.LOST,): lost},
        metrics.LAST_SEEN.name: {(): _timestamp(seen_at)},
        metrics.LAST_TICK.name: {(): _timestamp(ticked_at)},
        metrics.BREAKER_OPEN.name: {(name,): float(one) for name, one in is_open.items()},
    }


def _backups(session: Session, _at: datetime) -> Found:
    return {metrics.LAST_BACKUP.name: {(): _timestamp(crud_backup.last(session))}}


def _server(session: Session, _at: datetime) -> Found:
    found = crud_gauge.server(session)
    lag = found["replication_lag"]
    if lag is None and found["replicas"] == 0:
        lag = 0
    known = {
        metrics.CONNECTIONS_LEFT: found["connections_left"],
        metrics.DATABASE_BYTES: found["database_bytes"],
        metrics.WAL_BYTES: found["wal_bytes"],
        metrics.WAL_RETAINED: found["wal_retained"],
        metrics.REPLICAS: found["replicas"],
        metrics.REPLICATION_LAG: lag,
    }
    return {metric.name: {(): float(value)} for metric, value in known.items() if value is not None}


Part = Callable[[Session, datetime], Found]
PARTS: dict[str, Part] = {
    "incidents": _incidents,
    "work": _work,
    "workers": _workers,
    "backups": _backups,
    "server": _server,
}


def _age(due_at: datetime | None, at: datetime) -> float:
    return max((at - due_at).total_seconds(), 0.0) if due_at is not None else 0.0


def _timestamp(at: datetime | None) -> float:
    return at.timestamp() if at is not None else 0.0
