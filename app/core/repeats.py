"""Counts what repeats, so that an attacker who repeats it fills no table."""

import time
from collections import Counter
from collections.abc import Callable, Hashable
from threading import Lock

WINDOW_SECONDS = 60.0
MAX_KEYS = 1000
OTHERS = object()  # the key of all beyond MAX_KEYS


class Repeats:
    """Tells which repetitions to record: the 1st, 10th, 100th, ... of a key within a minute, in this process.

    At most MAX_KEYS keys are told apart in a minute; all others count as one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._began_at = clock()
        self._counts: Counter[Hashable] = Counter()

    def note(self, key: Hashable) -> int | None:
        """Count one. Returns how many there were in this minute if that is to be recorded, else None."""
        with self._lock:
            now = self._clock()
            if now - self._began_at >= WINDOW_SECONDS:
                self._began_at = now
                self._counts.clear()
            counted = key if key in self._counts or len(self._counts) < MAX_KEYS else OTHERS
            self._counts[counted] += 1
            return count if is_power_of_ten(count := self._counts[counted]) else None


def is_power_of_ten(count: int) -> bool:
    """True for 1, 10, 100, ..."""
    while count >= 10 and count % 10 == 0:
        count //= 10
    return count == 1
