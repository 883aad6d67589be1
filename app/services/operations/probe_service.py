"""Answers how the installation is, at once: looks at most once a second, and waits two seconds at most."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from threading import Lock, Thread
from time import monotonic

import structlog

from app.services.operations import health_checks
from app.services.operations.health_checks_service import Checks, Timed

log = structlog.get_logger()

FRESH_SECONDS = 1.0
LONGEST_SECONDS = 2.0


class Probe:
    """The checks of one process. Safe to share between threads.

    `look` runs in a thread of its own. While it hangs, everybody hears at once that the database does not answer.
    """

    def __init__(
        self,
        look: Callable[[], Checks],
        *,
        longest_seconds: float = LONGEST_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._look = look
        self._longest_seconds = longest_seconds
        self._clock = clock
        self._lock = Lock()
        self._began = 0.0
        self._last: Future[Checks] | None = None

    async def checks(self, fresh_seconds: float = FRESH_SECONDS) -> Mapping[str, Timed]:
        """The newest checks, so fresh or made now. Waiting needs no thread, so any number may wait."""
        last, began = self._newest(fresh_seconds)
        seconds = began + self._longest_seconds - self._clock()
        if not last.done() and seconds > 0:
            await asyncio.wait([asyncio.wrap_future(last)], timeout=seconds)
        return last.result() if last.done() else self._unanswered("no answer")

    def _newest(self, fresh_seconds: float) -> tuple[Future[Checks], float]:
        """The newest look and when it began. Begins one if the last one is old."""
        with self._lock:
            if self._last is None or (self._last.done() and self._clock() - self._began > fresh_seconds):
                self._last, self._began = Future(), self._clock()
                self._begin(self._last)
            return self._last, self._began

    def _begin(self, into: "Future[Checks]") -> None:
        """Look in a new thread. If the system has none left, this look has failed, and the next one may not."""
        try:
            Thread(target=self._run, args=[into], name="health", daemon=True).start()
        except RuntimeError as error:
            into.set_result(self._failed(error))

    def _run(self, into: "Future[Checks]") -> None:
        try:
            found = self._look()
        except Exception as error:  # noqa: BLE001 - it is logged
            found = self._failed(error)
        into.set_result(found)

    def _failed(self, error: Exception) -> Checks:
        log.error("health_check_failed", exc_info=error)
        return self._unanswered(type(error).__name__)

    def _unanswered(self, reason: str) -> Checks:
        """What is said without an answer: the time is what was waited for it, and not how long a look has hung."""
        waited = min(self._clock() - self._began, self._longest_seconds)
        return {"database": Timed(health_checks.of_database(reason), round(waited * 1000, 1))}
