"""Lets a process follow the level of the log that an administrator sets for all of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from threading import Lock
from time import monotonic

import structlog

from app.core.background import in_background
from app.core.logging import set_level
from app.core.vocabulary import LogLevel
from app.crud.crud_log_level import Followed
from app.db.session import Database, is_unavailable
from app.services.operations import log_level_service
from app.utils.service_locator import Services
from app.worker.threads import DaemonThreads

log = structlog.get_logger()

LOOK_SECONDS = 2.0


class LogLevelFollower:
    """Applies the level that is set, and the configured one when its time is over.

    How much of its time is left comes from the database's clock; then it is counted on the monotonic clock, so it ends
    while the database is away, too.
    """

    def __init__(
        self, read: Callable[[], Followed | None], configured: LogLevel, clock: Callable[[], float] = monotonic
    ) -> None:
        self._read = read
        self._configured = configured
        self._clock = clock
        self._level = configured
        self._followed: Followed | None = None
        self._ends_at: float | None = None
        self._is_failing = False
        self._lock = Lock()

    def look(self) -> None:
        """Read once, and follow. While the database is away, the last level counts on."""
        try:
            followed = self._read()
        except Exception as error:  # noqa: BLE001 - the next look tries again
            self._report(error)
            self.notice_time()
            return
        # Taken after the answer, so that it never ends before the database says so.
        ends_at = None if followed is None or followed.seconds_left is None else self._clock() + followed.seconds_left
        self._is_failing = False
        with self._lock:
            self._followed, self._ends_at = followed, ends_at
            self._apply()

    def notice_time(self) -> None:
        """End a level whose time is over, without the database."""
        with self._lock:
            self._apply()

    async def run(self, seconds: float = LOOK_SECONDS) -> None:
        """Look every so many seconds. A database that hangs delays no end of a level."""
        thread = DaemonThreads(1, "log-level")
        look: Future[None] = thread.submit(self.look)
        try:
            while True:
                await asyncio.sleep(seconds)
                if look.done():
                    look = thread.submit(self.look)
                else:
                    self.notice_time()
        finally:
            thread.shutdown()

    def _report(self, error: Exception) -> None:
        """Log a defect once. A database that is away is reported by all who need it more."""
        if not self._is_failing and not is_unavailable(error):
            self._is_failing = True
            log.error("log_level_unread", exc_info=error)

    def _apply(self) -> None:
        if self._ends_at is not None and self._clock() >= self._ends_at:
            self._followed, self._ends_at = None, None
        level = self._configured if self._followed is None else self._followed.level
        if level == self._level:
            return
        set_level(_more_talkative(level, self._level))  # of two levels one always shows a warning
        self._say(level)
        set_level(level)
        self._level = level

    def _say(self, level: LogLevel) -> None:
        until = self._followed.until if self._followed is not None else None
        log.warning(
            "log_level_changed",
            from_level=self._level,
            to_level=level,
            until=until.isoformat() if until is not None else None,
            by=self._followed.set_by if self._followed is not None else None,
        )


def _more_talkative(*levels: LogLevel) -> LogLevel:
    return min(levels, key=list(LogLevel).index)


def follower_of(database: Database, configured: LogLevel) -> LogLevelFollower:
    """What follows the level in this database."""
    return LogLevelFollower(partial(log_level_service.followed, database), configured)


@asynccontextmanager
async def following_log_level(services: Services) -> AsyncIterator[None]:
    """Follow while the block runs."""
    async with in_background(follower_of(services.database, services.settings.log_level).run()):
        yield
