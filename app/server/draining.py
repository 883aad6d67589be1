"""Lets a process that was told to stop say so first, so that load balancers send it nothing more."""

import asyncio
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

# Some supervisors tell a process and its whole group, so it gets the same SIGTERM more than once.
ONE_STOP_SECONDS = 1.0
# By this the supervisor ends the drain of its processes. A second SIGTERM would not do: the first may be the group's.
END_DRAIN = signal.SIGUSR1


class Drain:
    """The time between being told to stop and stopping. `stop` is what SIGTERM did before."""

    def __init__(self, seconds: float, announce: Callable[[], None], stop: object) -> None:
        self._seconds = seconds
        self._announce = announce
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._is_supervised = multiprocessing.parent_process() is not None
        self._began: float | None = None
        self._timers: list[asyncio.TimerHandle] = []

    def begin(self, _number: int, _frame: FrameType | None) -> None:
        """SIGTERM came: drain. A second one that is deliberate ends that."""
        self._announce()
        if not self._seconds:
            self.end()
        elif self._began is None:
            self._began = monotonic()
            self._loop.call_soon_threadsafe(self._wait)
        elif not self._is_supervised and monotonic() - self._began >= ONE_STOP_SECONDS:
            self.end()

    def end(self, *_: object) -> None:
        """Stop the server."""
        if callable(self._stop):
            self._stop(signal.SIGTERM, None)
        else:  # the system's own way
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)

    def cancel(self) -> None:
        """Stop waiting: the server has stopped."""
        for timer in self._timers:
            timer.cancel()

    def _wait(self) -> None:
        self._timers.append(self._loop.call_later(self._seconds, self.end))


@contextmanager
def drained(seconds: float, announce: Callable[[], None]) -> Iterator[None]:
    """While the block runs, the first SIGTERM announces the end and stops the server so many seconds later.

    A second one stops it at once; one of several processes leaves the second one to its supervisor. Call it on the
    event loop, after the server has set its own signal handlers.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    drain = Drain(seconds, announce, before)
    signal.signal(END_DRAIN, drain.end)
    signal.signal(signal.SIGTERM, drain.begin)
    try:
        yield
    finally:
        drain.cancel()
        signal.signal(signal.SIGTERM, before)
        signal.signal(END_DRAIN, signal.SIG_IGN)  # it is over
