"""The ordinary worker, with a fault built in: `python -m tests.faults.worker_process`.

FAULT_POINT, FAULT_COUNT, FAULT_SIGNAL: send itself the signal when it comes to the point for the n-th time.
FAULT_SKEW_SECONDS: how far the wall clock of this process is off.
"""

import os
import signal
import sys
import time
from datetime import datetime, timedelta, tzinfo
from itertools import count
from typing import Any

from app.__main__ import main
from app.core import crash_points

REAL = datetime
TOUCHED = ("app.", "apscheduler.", "structlog.")


def install_fault(point: str, at_count: int, which: signal.Signals) -> None:
    reached = count(1)

    def strike(name: str) -> None:
        if name == point and next(reached) == at_count:
            os.kill(os.getpid(), which)

    crash_points.install(strike)


class _AnyDatetime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, REAL)


def skew_clock(seconds: float) -> None:
    """Put wrong the clock that the service, its scheduler and its log ask. The monotonic one has no hour to be off."""

    class Skewed(REAL, metaclass=_AnyDatetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return REAL.now(tz) + timedelta(seconds=seconds)

    real_time = time.time
    time.time = lambda: real_time() + seconds
    import app.utils.service_locator
    import app.worker  # noqa: F401 - loaded first, so that it is put wrong as well

    for name, module in list(sys.modules.items()):
        if name.startswith(TOUCHED) and getattr(module, "datetime", None) is REAL:
            setattr(module, "datetime", Skewed)  # noqa: B010 - mypy knows no such attribute of a module


if __name__ == "__main__":
    if wanted := os.environ.get("FAULT_POINT"):
        signal_name = os.environ.get("FAULT_SIGNAL", "SIGKILL")
        install_fault(wanted, int(os.environ.get("FAULT_COUNT", "1")), signal.Signals[signal_name])
    if skew := os.environ.get("FAULT_SKEW_SECONDS"):
        skew_clock(float(skew))
    sys.exit(main(["worker"]))
