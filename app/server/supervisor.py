"""The process that starts the others: stops them together, and leaves the port when they do."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from socket import socket
from time import monotonic

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from app.server.draining import END_DRAIN, ONE_STOP_SECONDS

STOPS = frozenset({signal.SIGTERM, signal.SIGINT})
POLL_SECONDS = 0.1
HANGS_AFTER_SECONDS = 5
RETRY_SECONDS = 5.0

log = structlog.get_logger()


class Supervisor(Multiprocess):
    """Uvicorn's supervisor. Being told to stop a second time ends the drain of its processes.

    If all processes fail while they start, it ends. Once one has served, the cause is elsewhere, such as a database
    that is away: then the others go on, and those that failed are tried again.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        self.has_failed = False
        self._has_served = False
        self._replaced_at: dict[int, float] = {}

    def run(self) -> None:
        """Run the processes until this one is told to stop. An error stops them as well."""
        try:
            super().run()
        except BaseException:
            self.terminate_all()
            self.join_all()
            raise

    def keep_subprocess_alive(self) -> None:
        """Replace each process that has ended or hangs."""
        living = {place for place, each in enumerate(self.processes) if each.is_alive(HANGS_AFTER_SECONDS)}
        if not self._has_served:
            self._has_served = any(self.processes[place].is_ready(HANGS_AFTER_SECONDS) for place in living)
        for place, process in enumerate(self.processes):
            if place in living:
                continue
            process.kill()
            process.join()
            if self._has_served or process.exitcode != STARTUP_FAILURE:
                self._replace(place)
            elif not living:  # as long as one still starts, it may be the first to serve
                self.has_failed = True
                self.should_exit.set()
                return

    def _replace(self, place: int) -> None:
        """Start another process, unless that was done just now: one that ends at once would be replaced for ever."""
        at, ended = monotonic(), self.processes[place]
        if at - self._replaced_at.get(place, 0.0) < RETRY_SECONDS:
            return
        self._replaced_at[place] = at
        try:
            process = Process(self.config, self.sockets)
            process.start()
        except OSError as error:  # the system is out of processes, memory or descriptors
            log.warning("process_not_replaced", pid=ended.pid, reason=str(error))
            return
        log.error("process_replaced", pid=ended.pid, exit_code=ended.exitcode)
        self.processes[place] = process

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


def supervise(config: uvicorn.Config) -> int:
    """Listen, and run the processes until this one is told to stop. Returns the exit code."""
    supervisor = Supervisor(config, [config.bind_socket()])
    supervisor.run()
    return STARTUP_FAILURE if supervisor.has_failed else 0
