"""Looks at the installation: the database, its schema, the workers, what is due, the channels, the disk."""

import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter

from sqlalchemy.orm import Session

from app.crud import crud_escalation, crud_heartbeat, crud_work
from app.crud.clock import now
from app.crud.crud_heartbeat import ALIVE_WITHIN
from app.crud.locks import limit_statements
from app.db import migrations
from app.db.session import Database, is_contended, is_unavailable
from app.models import WorkerHeartbeat
from app.services.operations import health_checks
from app.services.operations.health_checks import Check

STATEMENT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Timed:
    """A check and how long it took."""

    check: Check
    milliseconds: float


Checks = dict[str, Timed]


@dataclass(frozen=True, slots=True)
class Installation:
    """What is looked at. `data_dir` is where the embedded database lies, if it is in use."""

    database: Database
    channels: Collection[str]
    data_dir: Path | None = None


def look(installation: Installation) -> Checks:
    """All checks. Without the database, only those that need none."""
    found: Checks = {}
    if installation.data_dir is not None:
        found["disk"] = timed(lambda: _disk(installation.data_dir or Path()))
    try:
        with installation.database.transaction() as session:
            limit_statements(session, STATEMENT_SECONDS)
            found["database"] = timed(lambda: _answers(session))
            found["schema"] = timed(lambda: health_checks.of_schema(migrations.missing(session.connection())))
            if found["schema"].check is health_checks.OK:  # otherwise the tables may not be there
                found |= _of_work(session, installation)
    except Exception as error:
        if not is_unavailable(error):
            raise
        found |= _unfinished(error, has_answered="database" in found)
    return found


def _unfinished(error: Exception, *, has_answered: bool) -> Checks:
    """A database that is slow is not away: other processes would be no faster."""
    reason = type(error).__name__
    if has_answered and is_contended(error):
        return {"work": timed(lambda: health_checks.of_slow_work(reason))}
    return {"database": timed(lambda: health_checks.of_database(reason))}


def _of_work(session: Session, installation: Installation) -> Checks:
    found, at = {}, now(session)
    workers = crud_heartbeat.alive(session, since=at - ALIVE_WITHIN)
    found["worker"] = timed(lambda: health_checks.of_workers(len(workers)))
    found["due_steps"] = timed(lambda: health_checks.of_lateness("step", _since(at, crud_escalation.next_due(session))))
    found["due_messages"] = timed(
        lambda: health_checks.of_lateness("message", _since(at, crud_work.first_due(session, installation.channels)))
    )
    for name in sorted(installation.channels):
        found[f"channel_{name}"] = timed(partial(_channel, name, workers))
    return found


def timed(check: Callable[[], Check]) -> Timed:
    """Make a check and measure it."""
    began = perf_counter()
    made = check()
    return Timed(made, round((perf_counter() - began) * 1000, 1))


def _answers(session: Session) -> Check:
    now(session)
    return health_checks.OK


def _since(at: datetime, due_at: datetime | None) -> timedelta | None:
    return at - due_at if due_at is not None and due_at < at else None


def _channel(name: str, workers: Sequence[WorkerHeartbeat]) -> Check:
    return health_checks.of_channel([worker.channels.get(name, {}) for worker in workers])


def _disk(directory: Path) -> Check:
    with suppress(FileNotFoundError):
        usage = shutil.disk_usage(directory)
        return health_checks.of_disk(usage.free, usage.total)
    return health_checks.OK
