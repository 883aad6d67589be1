"""The job table and its lifecycle."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from threading import Event, Lock

import structlog
from apscheduler.executors.pool import BasePoolExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from app.core.clock import utcnow
from app.db.session import is_contended, is_unavailable
from app.schemas.health import WorkerHealth
from app.worker.jobs import RESETS, Jobs
from app.worker.listener import Listener
from app.worker.threads import DaemonThreads

log = structlog.get_logger()

TICK_SECONDS = 1
BEAT_SECONDS = 5
CLEAN_UP_SECONDS = 3600
AUDIT_SECONDS = 3600
STALLED_AFTER_SECONDS = 60
WELL_WITHIN_SECONDS = 5
PLAN = "plan"
SEND = "send"
BEAT = "beat"
RESETS_SECONDS = 3600  # NOTIFY wakes it, and so does the plan, which looks every second
RETENTION_SECONDS = 3600
DEAD_MAN, CLEAN_UP, AUDIT, RETENTION = "dead_man", "clean_up", "audit_head", "retention"
SELDOM = {DEAD_MAN, CLEAN_UP, AUDIT, RETENTION, RESETS}  # one failure there says nothing about paging now


class _JobThreads(BasePoolExecutor):  # type: ignore[misc]  # apscheduler has no types
    def __init__(self, threads: DaemonThreads) -> None:
        super().__init__(threads)


class Worker:
    """Wakes the jobs of one process, and reports whether they complete."""

    def __init__(
        self,
        jobs: Jobs,
        listener: Listener,
        *,
        ping: Callable[[], None] | None = None,
        ping_seconds: int = 60,
    ) -> None:
        self._jobs = jobs
        self._listener = listener
        self._ping = ping
        # On the monotonic clock, which nobody can set; `_last_tick_at` is for display only.
        self._started: float | None = None
        self._ticked: float | None = None
        self._last_tick_at: datetime | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next_step: asyncio.TimerHandle | None = None
        sends = {f"{SEND}:{name}": (partial(jobs.send_by, name), TICK_SECONDS) for name in jobs.lanes}
        self._table: dict[str, tuple[Callable[[], object], int]] = {
            PLAN: (self._plan, TICK_SECONDS),
            **sends,
            BEAT: (jobs.beat, BEAT_SECONDS),
            RESETS: (jobs.follow_resets, RESETS_SECONDS),
            CLEAN_UP: (jobs.clean_up, CLEAN_UP_SECONDS),
            AUDIT: (jobs.log_audit_head, AUDIT_SECONDS),
        }
        if jobs.retention_days is not None:
            self._table[RETENTION] = (jobs.delete_expired, RETENTION_SECONDS)
        if ping is not None:
            self._table[DEAD_MAN] = (self._ping_if_well, ping_seconds)
        self._locks = {name: Lock() for name in self._table}
        self._wanted = {name: Event() for name in self._table}
        self._failing: set[str] = set()
        self._threads = DaemonThreads(len(self._table), "job")
        self._scheduler = AsyncIOScheduler(
            executors={"default": _JobThreads(self._threads)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone="UTC",
        )

    def start(self) -> None:
        """Start waking the jobs. Call it on the event loop."""
        self._loop = asyncio.get_running_loop()
        for name, (_, seconds) in self._table.items():
            self._scheduler.add_job(self._run, "interval", seconds=seconds, args=[name], id=name)
        self._scheduler.start()
        self._listener.start(self.wake)
        self._jobs.when_breakers_move(self._follow_breakers)
        self._jobs.on_reset = partial(self.wake, RESETS)
        self.wake(BEAT)
        for name in (AUDIT, RETENTION):  # a service that is restarted within the hour would never do it
            self.wake(name)
        self._started = time.monotonic()
        self._watch(self._loop)
        log.info("worker_started", jobs=sorted(self._table))

    def wake(self, name: str) -> None:
        """Run a job at once, or once more if it runs already; `send` is the job of every channel. From any thread."""
        for job in self._table:
            if job == name or job.partition(":")[0] == name:
                self._wanted[job].set()
                # Not by the scheduler: it skips a run while it still counts the last one as running.
                if self._loop is not None and not self._jobs.stopping.is_set() and not self._locks[job].locked():
                    self._threads.submit(self._run_while_wanted, job)

    async def stop(self, *, grace_seconds: float) -> None:
        """Stop waking jobs and wait for running ones, up to the deadline.

        A message still being sent then keeps its lease and is sent again when it expires: nothing is dropped.
        """
        self._jobs.stopping.set()
        self._scheduler.pause()
        self._listener.stop()
        is_idle = await asyncio.to_thread(self._wait_until_idle, grace_seconds)
        self._scheduler.shutdown(wait=False)
        self._jobs.close()
        if is_idle:
            await asyncio.to_thread(self._leave)
        log.info("worker_stopped", is_idle=is_idle)

    def health(self) -> WorkerHealth:
        """`stalled` means that no tick has completed for a minute."""
        began = self._started if self._ticked is None else self._ticked
        if began is None:
            return WorkerHealth(status="starting", last_tick_at=None)
        if time.monotonic() - began > STALLED_AFTER_SECONDS:
            return WorkerHealth(status="stalled", last_tick_at=self._last_tick_at)
        return WorkerHealth(status="ok" if self._last_tick_at else "starting", last_tick_at=self._last_tick_at)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """On the loop, once a tick: if the wall clock was set back, run all jobs now and reschedule them.

        The scheduler plans by the wall clock and would otherwise wait until it catches up.
        """
        if self._jobs.stopping.is_set():
            return
        loop.call_later(TICK_SECONDS, self._watch, loop)
        now = utcnow()
        latest = {name: now + timedelta(seconds=seconds) for name, (_, seconds) in self._table.items()}
        if any(job.next_run_time > latest[job.id] for job in self._scheduler.get_jobs()):
            log.warning("clock_set_back")
            for name in self._table:
                self._scheduler.modify_job(name, next_run_time=now)

    def _run(self, name: str) -> None:
        """Run a job at its time. If it runs already, it runs once more after that."""
        self._wanted[name].set()
        self._run_while_wanted(name)

    def _run_while_wanted(self, name: str) -> None:
        """Run a job until no wake-up is left, unless it runs already: then that run sees the wake-up."""
        wanted, running = self._wanted[name], self._locks[name]
        # Asked after each release: a wake-up that found the lock taken has left it to this run. If the run fails, the
        # job has its next turn at its time.
        while wanted.is_set() and running.acquire(blocking=False):
            try:
                wanted.clear()
                goes_on = self._succeeds(name) and not self._jobs.stopping.is_set()
            finally:
                running.release()
            if not goes_on:
                return

    def _succeeds(self, name: str) -> bool:
        try:
            self._table[name][0]()
        except Exception as error:  # noqa: BLE001 - the next tick tries again
            self._failing.add(name)
            self._report(name, error)
            return False
        self._failing.discard(name)
        return True

    def _plan(self) -> None:
        if self._jobs.plan():
            self._wanted[PLAN].set()
        self._ticked, self._last_tick_at = time.monotonic(), utcnow()
        # Ticks come every second; a step that is due sooner fires at its exact time.
        seconds = self._jobs.seconds_to_next_step(TICK_SECONDS)
        if seconds is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._plan_in, self._loop, seconds)

    def _plan_in(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """On the loop: plan again at that time, and cancel the timer of an earlier run."""
        if self._next_step is not None:
            self._next_step.cancel()
        self._next_step = loop.call_later(seconds, self.wake, PLAN)

    def _ping_if_well(self) -> None:
        """Ping the dead-man URL if paging is healthy. Missing pings are the alarm."""
        is_ticking = self._ticked is not None and time.monotonic() - self._ticked < WELL_WITHIN_SECONDS
        failing = sorted(self._failing - SELDOM)
        if self._ping is None or not is_ticking or failing or not self._jobs.is_well():
            log.error("dead_man_withheld", is_ticking=is_ticking, failing_jobs=failing)
            return
        self._ping()

    def _follow_breakers(self) -> None:
        """Say what has moved, and send what waited for a breaker that closed."""
        self.wake(BEAT)
        self.wake(RESETS)

    def _leave(self) -> None:
        try:
            self._jobs.leave()
        except Exception as error:  # noqa: BLE001 - its heartbeat expires anyway
            log.info("worker_not_signed_off", reason=type(error).__name__)

    def _report(self, name: str, error: Exception) -> None:
        """Log a failure. A database that is away is logged without a traceback, because it repeats every second."""
        is_away = is_unavailable(error) and not is_contended(error)
        log.error("worker_job_failed", job=name, is_database_away=is_away, exc_info=None if is_away else error)
        if is_away:
            try:
                self._jobs.revive_database()
            except Exception:
                log.exception("database_not_revived")

    def _wait_until_idle(self, grace_seconds: float) -> bool:
        deadline = time.monotonic() + grace_seconds
        return all(lock.acquire(timeout=max(deadline - time.monotonic(), 0)) for lock in self._locks.values())
