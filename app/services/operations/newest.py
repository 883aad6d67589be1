"""Looks at something that may take long, or hang, for callers who must hear at once."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock, Thread
from time import monotonic
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long something that was seen is new, and how long anybody waits for it. `clock` returns seconds."""

    fresh_seconds: float
    longest_seconds: float
    clock: Callable[[], float] = monotonic


class Newest(Generic[Seen]):
    """What `look` saw last. Safe to share between threads.

    `look` runs in a thread of its own, once for all callers of that time. While it hangs, everybody hears that at once.
    """

    def __init__(self, look: Callable[[], Seen], name: str, patience: Patience) -> None:
        self._look = look
        self._name = name
        self._patience = patience
        self._lock = Lock()
        self._began = 0.0
        self._last: Future[Seen] | None = None

    def get(self) -> Seen:
        """What was seen just now. Raises TimeoutError, and what `look` raises."""
        clock = self._patience.clock
        with self._lock:
            is_old = clock() - self._began > self._patience.fresh_seconds
            if self._last is None or (self._last.done() and is_old):
                self._last, self._began = Future(), clock()
                self._begin(self._last)
            last, began = self._last, self._began
        return last.result(max(began + self._patience.longest_seconds - clock(), 0))

    def _begin(self, into: "Future[Seen]") -> None:
        """Look in a new thread. If the system has none left, this look has failed, and the next one may not."""
        try:
            Thread(target=self._run, args=[into], name=self._name, daemon=True).start()
        except RuntimeError as error:
            into.set_exception(error)

    def _run(self, into: "Future[Seen]") -> None:
        try:
            into.set_result(self._look())
        except Exception as error:
            log.exception("look_failed", look=self._name)
            into.set_exception(error)
