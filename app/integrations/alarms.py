"""Calls functions at their times, all in one thread: a thread for each would cost more than what it watches over."""

import heapq
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from threading import Condition, Thread

import structlog

log = structlog.get_logger()


@dataclass(slots=True, order=True)
class Alarm:
    """A function and when it is called, in seconds of the monotonic clock."""

    at: float
    number: int
    ring: Callable[[], object] | None = field(compare=False)

    def cancel(self) -> None:
        """Do not call it any more. A call that has begun goes on."""
        self.ring = None


class Alarms:
    """Functions that wait for their times. They must return at once."""

    def __init__(self) -> None:
        self._waiting: list[Alarm] = []
        self._numbers = count()
        self._earlier = Condition()
        Thread(target=self._run, name="alarms", daemon=True).start()

    def after(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        """Call a function after so many seconds, unless it is cancelled before."""
        alarm = Alarm(time.monotonic() + seconds, next(self._numbers), ring)
        with self._earlier:
            heapq.heappush(self._waiting, alarm)
            if self._waiting[0] is alarm:
                self._earlier.notify()
        return alarm

    def _run(self) -> None:
        while True:
            ring = self._next().ring
            try:
                if ring is not None:
                    ring()
            except Exception:  # without this thread no deadline would hold any more
                log.exception("alarm_failed")

    def _next(self) -> Alarm:
        """Wait for the time of the next alarm, and take it."""
        with self._earlier:
            while not self._waiting or self._waiting[0].at > time.monotonic():
                self._earlier.wait(self._waiting[0].at - time.monotonic() if self._waiting else None)
            return heapq.heappop(self._waiting)


@cache
def alarms() -> Alarms:
    """The alarms of this process."""
    return Alarms()


os.register_at_fork(after_in_child=alarms.cache_clear)  # a copy of this process has none of its threads
