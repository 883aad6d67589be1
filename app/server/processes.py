"""Worker processes as copies of the one that starts them: it has imported the application, and they need not."""

import signal
import sys
from multiprocessing.context import ForkProcess
from types import SimpleNamespace

import uvicorn._subprocess

# Elsewhere the system's libraries may not survive a copy.
CAN_COPY = sys.platform == "linux"
# Uvicorn's supervisor only notes these signals. A copy would do so too, and not end, until its own server listens.
ENDS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP})


class Copy(ForkProcess):
    """A copy of this process that each of these signals ends, from its first moment."""

    def start(self) -> None:
        """Start it. A signal that comes meanwhile waits until the copy has its own way to take it."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def run(self) -> None:
        """In the copy: do what Uvicorn asks for."""
        for number in ENDS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
        super().run()


def copy_this_one() -> None:
    """Let Uvicorn start its processes as copies of this one, which must have no thread at work and no connection open.

    Uvicorn has no setting for it: by default each process imports everything again.
    """
    uvicorn._subprocess.spawn = SimpleNamespace(Process=Copy)  # type: ignore[assignment]  # noqa: SLF001
