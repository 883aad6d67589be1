"""Lets a process that was told to stop say so first, so that load balancers send it nothing more."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def drained(seconds: float, announce: Callable[[], None]) -> Iterator[None]:
    """While the block runs, the first SIGTERM announces the end and stops the server so many seconds later.

    A second one stops it at once. Call it on the event loop, after the server has set its own signal handlers.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield
        return
    stop = signal.getsignal(signal.SIGTERM)
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []

    def begin(number: int, frame: FrameType | None) -> None:
        announce()
        if seconds and not timers:
            loop.call_soon_threadsafe(lambda: timers.append(loop.call_later(seconds, _call, stop, number)))
        else:
            _call(stop, number, frame)

    signal.signal(signal.SIGTERM, begin)
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        signal.signal(signal.SIGTERM, stop)


def _call(handler: object, number: int, frame: FrameType | None = None) -> None:
    """What the signal did before."""
    if callable(handler):
        handler(number, frame)
    else:  # the system's own way
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
