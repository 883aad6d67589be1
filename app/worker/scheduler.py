"""The job table and its lifecycle."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Lock

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor as SchedulerThreads
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from app.core.clock import utcnow
from app.db.session import is_unavailable
from app.schemas.health import WorkerHealth
from app.worker.jobs import Jobs

log = structlog.get_logger()

TICK_SECONDS = 1
CLEAN_UP_SECONDS = 3600
STALLED_AFTER = timedelta(seconds=60)


class Worker:
    """Wakes the jobs of one process, and tells whether they come through."""

    def __init__(self, jobs: Jobs, senders: ThreadPoolExecutor) -> None:
        self._jobs = jobs
        self._senders = senders
        self._started_at: datetime | None = None
        self._last_tick_at: datetime | None = None
        table = {"plan": (jobs.plan, TICK_SECONDS), "send": (jobs.send, TICK_SECONDS)}
        self._table = table | {"clean_up": (jobs.clean_up, CLEAN_UP_SECONDS)}
        self._locks = {name: Lock() for name in self._table}
        self._scheduler = AsyncIOScheduler(
            executors={"default": SchedulerThreads(len(self._table))},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone="UTC",
        )

    def start(self) -> None:
        """Begin to wake the jobs. Must be called on the event loop."""
        for name, (job, seconds) in self._table.items():
            self._scheduler.add_job(self._run, "interval", seconds=seconds, args=[name, job], id=name)
        self._scheduler.start()
        self._started_at = utcnow()
        log.info("worker_started", jobs=sorted(self._table))

    async def stop(self, *, grace_seconds: float) -> None:
        """Wake nobody any more and wait for what is in flight, up to the deadline.

        A message that is still being sent then stays leased and is sent again after its lease: nothing is dropped.
        """
        self._jobs.stopping.set()
        self._scheduler.pause()
        is_idle = await asyncio.to_thread(self._wait_until_idle, grace_seconds)
        self._scheduler.shutdown(wait=False)
        self._senders.shutdown(wait=False, cancel_futures=True)
        log.info("worker_stopped", is_idle=is_idle)

    def health(self) -> WorkerHealth:
        """Stalled means that no tick has come through for a minute."""
        began = self._last_tick_at or self._started_at
        if began is None:
            return WorkerHealth(status="starting", last_tick_at=None)
        if utcnow() - began > STALLED_AFTER:
            return WorkerHealth(status="stalled", last_tick_at=self._last_tick_at)
        return WorkerHealth(status="ok" if self._last_tick_at else "starting", last_tick_at=self._last_tick_at)

    def _run(self, name: str, job: Callable[[], None]) -> None:
        with self._locks[name]:
            try:
                job()
            except Exception as error:  # noqa: BLE001 - the next tick tries again
                self._report(name, error)
                return
        if name == "plan":
            self._last_tick_at = utcnow()

    def _report(self, name: str, error: Exception) -> None:
        """Log a failure; a database that is away is no news each second, so without a traceback."""
        is_away = is_unavailable(error)
        log.error("worker_job_failed", job=name, is_database_away=is_away, exc_info=None if is_away else error)
        if is_away:
            try:
                self._jobs.revive_database()
            except Exception:
                log.exception("database_not_revived")

    def _wait_until_idle(self, grace_seconds: float) -> bool:
        deadline = utcnow() + timedelta(seconds=grace_seconds)
        for lock in self._locks.values():
            left = (deadline - utcnow()).total_seconds()
            if not lock.acquire(timeout=max(left, 0)):
                return False
        return True
