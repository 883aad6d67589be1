"""How a part of the plan runs: in batches, each in its own transaction, and skipping what others have locked."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db.session import Database, is_contended
from app.worker.lane import LOCKED_FOR_LONG_SECONDS

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """How many rows a transaction handles, how long a part may run, and how long and how often it may meet locks."""

    batch: int = 100
    longest_part_seconds: float = 10.0
    rollout_seconds: float = 1.0
    locked_for_long_seconds: float = LOCKED_FOR_LONG_SECONDS
    most_tries: int = 10
    pause_seconds: float = 1.0


DEFAULT_LIMITS = PlanLimits()


class StillLocked(Exception):
    """Something could not be done because it is locked."""


class Batches:
    """Runs the parts of one worker's plan. `stopping` ends each of them after its current batch."""

    def __init__(self, database: Database, stopping: Event, limits: PlanLimits) -> None:
        self._database = database
        self._stopping = stopping
        self._limits = limits
        self.locked_since: dict[str, float] = {}  # by part, on the monotonic clock

    def unless_locked(self, name: str, job: Callable[[], int]) -> int:
        """Skip what is locked: a later tick does it. Raises once it has been locked for long."""
        try:
            done = job()
        except (OperationalError, StillLocked) as error:
            if not (isinstance(error, StillLocked) or is_contended(error)):
                raise
            waited = time.monotonic() - self.locked_since.setdefault(name, time.monotonic())
            if waited > self._limits.locked_for_long_seconds:
                raise
            log.info("plan_part_lock_contended", part=name, reason=str(error))
            return 0
        self.locked_since.pop(name, None)
        return done

    def once(self, job: Callable[[Session], int]) -> int:
        """Run a job in one transaction. Returns what it returns."""
        with self._database.transaction() as session:
            return job(session)

    def until_nothing_is_left(self, one_batch: Callable[[Session], int]) -> None:
        """Run batches until one has nothing to do. One that met a lock is tried again after a pause, a few times."""
        met = 0
        while not self._stopping.is_set():
            try:
                if not self.once(one_batch):
                    return
                met = 0
            except OperationalError as error:
                met += 1
                if not is_contended(error) or met > self._limits.most_tries:
                    raise
                self._stopping.wait(self._limits.pause_seconds)

    def until_done(self, one_batch: Callable[[Session], int], full: int) -> int:
        """Run batches, each in its own transaction, until one is not full. Returns the number of rows.

        After `longest_part_seconds` the other parts have their turn; the next tick does the rest.
        """
        total, began = 0, time.monotonic()
        while not self._stopping.is_set() and time.monotonic() - began < self._limits.longest_part_seconds:
            done = self.once(one_batch)
            total += done
            if done < full:
                break
        return total
