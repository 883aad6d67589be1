"""Waiting for a condition, never for a while."""

import time
from collections.abc import Callable

PAUSE_SECONDS = 0.05


def wait_until(holds: Callable[[], bool], *, seconds: float) -> None:
    """Return as soon as the condition holds; fail when it does not within the deadline."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"it did not come true within {seconds} s"
        time.sleep(PAUSE_SECONDS)
