"""Keeps the workers' heartbeats, and says whether this process can work."""

import os
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app import __version__
from app.core.clock import zone_data_version
from app.core.errors import NotReady, WorkerStalled
from app.core.vocabulary import HealthStatus, Phase
from app.crud import crud_heartbeat
from app.crud.clock import now
from app.crud.crud_heartbeat import ALIVE_WITHIN
from app.schemas.health import Health, HealthCheck, Readiness, WorkerHealth
from app.schemas.worker import WorkerRead
from app.services.operations import health_checks
from app.services.operations.health_checks_service import Timed, timed

log = structlog.get_logger()

FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(slots=True)
class Pulse:
    """This worker's identity and its place in the round over open incidents. `held` were locked and come first.

    `ticked` is when it last completed a tick, on the monotonic clock. `followed_reset` is the last reset of circuit
    breakers that it has followed.
    """

    id: UUID = field(default_factory=uuid4)
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    started_at: datetime | None = None
    looked_at: int = 0
    held: set[int] = field(default_factory=set)
    ticked: float | None = None
    was_overdue: bool = False
    is_different: bool = False
    followed_reset: int = 0


def beat(session: Session, pulse: Pulse, channels: dict[str, Any], set_up: Collection[str]) -> None:
    """Write this worker's heartbeat, and log if the workers do not all have the same channels set up."""
    at = now(session)
    pulse.started_at = pulse.started_at or at
    crud_heartbeat.put(
        session,
        id_=pulse.id,
        name=pulse.name,
        version=__version__,
        started_at=pulse.started_at,
        last_seen_at=at,
        last_tick_at=at - timedelta(seconds=monotonic() - pulse.ticked) if pulse.ticked is not None else None,
        channels=channels,
        followed_reset=pulse.followed_reset,
        set_up=sorted(set_up),
    )
    alive = crud_heartbeat.set_up(session, since=at - ALIVE_WITHIN)
    if (len(alive) > 1) != pulse.is_different:
        pulse.is_different = len(alive) > 1
        each = sorted(map(sorted, alive))
        if pulse.is_different:
            log.error("workers_differ", channels=each)
        else:
            log.info("workers_agree", channels=each)


def leave(session: Session, pulse: Pulse) -> None:
    """Remove the heartbeat of a worker that shuts down normally."""
    crud_heartbeat.remove(session, pulse.id)


def workers(session: Session) -> list[WorkerRead]:
    """Every worker seen in the last day, and whether it is alive."""
    alive_since = now(session) - ALIVE_WITHIN
    return [
        WorkerRead(
            id=row.id,
            name=row.name,
            version=row.version,
            is_alive=row.last_seen_at > alive_since,
            started_at=row.started_at,
            last_seen_at=row.last_seen_at,
            set_up=row.set_up,
            channels=row.channels,
        )
        for row in crud_heartbeat.all(session)
    ]


def forget_old(session: Session) -> int:
    """Delete workers not seen for a day. Returns how many."""
    return crud_heartbeat.forget(session, before=now(session) - FORGOTTEN_AFTER)


def require_ready(checks: Mapping[str, Timed], phase: Phase) -> Readiness:
    """All checks of a process that should get requests. Raises NotReady."""
    all_checks = {"process": timed(lambda: health_checks.of_phase(phase)), **checks}
    made = {name: one.check for name, one in all_checks.items()}
    shown = {name: _shown(one) for name, one in all_checks.items()}
    status = health_checks.overall(made)
    if status is HealthStatus.FAILED:
        reasons = [one.detail or "" for one in made.values() if one.status is HealthStatus.FAILED]
        raise NotReady(" ".join(reasons), checks={name: one.model_dump(mode="json") for name, one in shown.items()})
    return Readiness(status=status, version=__version__, checks=shown)


def _shown(one: Timed) -> HealthCheck:
    return HealthCheck(status=one.check.status, latency_ms=one.milliseconds, detail=one.check.detail)


def require_work(checks: Mapping[str, Timed], worker: WorkerHealth) -> Health:
    """Check this process: the database answers and the worker completes its ticks.

    Raises OperationalError, as a statement would, and WorkerStalled.
    """
    database = checks["database"].check
    if database.status is HealthStatus.FAILED:
        raise OperationalError("health", {}, TimeoutError()) from TimeoutError(database.detail)
    if worker.status == "stalled":
        state = worker.model_dump(mode="json")
        raise WorkerStalled(
            "The worker has completed no tick for a minute, so pages are late. Check the service's log.",
            database="ok",
            worker=state,
        )
    return Health(status="ok", version=__version__, tzdata=zone_data_version(), database="ok", worker=worker)
