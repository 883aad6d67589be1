"""The process that starts the others: stops them together, and leaves the port when they do."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic

import uvicorn
from uvicorn.supervisors import Multiprocess

from app.server.draining import END_DRAIN, ONE_STOP_SECONDS

STOPS = frozenset({signal.SIGTERM, signal.SIGINT})
POLL_SECONDS = 0.1


class Supervisor(Multiprocess):
    """Uvicorn's supervisor. Being told to stop a second time ends the drain of its processes."""

    def terminate_all(self) -> None:
        """Tell all processes to stop. The port then refuses connections once the last of them has left it.

        Uvicorn keeps the socket open, so that clients would wait for an answer until the last process has ended.
        """
        super().terminate_all()
        for listening in self.sockets:
            listening.close()

    def join_all(self) -> None:
        """Wait until all processes have ended."""
        deliberate_from = monotonic() + ONE_STOP_SECONDS
        while alive := [each.process for each in self.processes if each.exitcode is None]:
            alive[0].join(POLL_SECONDS)
            is_told_again = not STOPS.isdisjoint(self.signal_queue)
            self.signal_queue.clear()
            if is_told_again and monotonic() >= deliberate_from:
                _end_drains(each.pid for each in alive if each.pid is not None)


def _end_drains(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, END_DRAIN)


def supervise(config: uvicorn.Config) -> None:
    """Listen, and run the processes until this one is told to stop."""
    Supervisor(config, [config.bind_socket()]).run()
