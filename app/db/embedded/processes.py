"""Finds the processes of our server, and ends those left over from a crash."""

import fcntl
import os
import socket
import time
from contextlib import suppress
from typing import NamedTuple

import psutil

from app.db.embedded.home import EmbeddedPostgresError, Home

LAST_RESORT_SECONDS = 10.0
POLL_SECONDS = 0.01


class Postmaster(NamedTuple):
    """What postmaster.pid says about a running server."""

    process: psutil.Process
    port: int
    status: str

    def answers(self) -> bool:
        """True if it accepts connections."""
        if self.status != "ready":
            return False
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), LAST_RESORT_SECONDS):
            return True
        return False


class Processes:
    """The processes that work on the files of one server. Callers hold start.lock."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def postmaster(self) -> Postmaster | None:
        """Read postmaster.pid, and trust it only if that process is our server."""
        with suppress(FileNotFoundError, IndexError, ValueError, psutil.Error):
            lines = (self._home.data / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            if self._is_ours(process):
                return Postmaster(process, int(lines[3]), lines[7].strip())
        return None

    def try_server_lock(self) -> int | None:
        """Take server.lock if no process of the server is running."""
        fd = self._home.open("server.lock")
        if locks(fd):
            return fd
        os.close(fd)
        return None

    def ends_within(self, seconds: float) -> bool:
        """Wait until the server's last process has ended. False on timeout."""
        deadline = time.monotonic() + seconds
        while (server_lock := self.try_server_lock()) is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        os.close(server_lock)
        return True

    def end_leftovers(self) -> None:
        """End processes left by a killed start or postmaster. SIGKILL is safe: the WAL recovers."""
        if self.ends_within(0):
            return
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if self._is_ours(process):
                    process.kill()
        if not self.ends_within(LAST_RESORT_SECONDS):
            raise EmbeddedPostgresError(
                f"Processes that this one cannot see or end still use {self._home.data}: a server in a container? "
                "Stop them, choose another data directory, or set DATABASE_URL."
            )

    def last_port(self) -> int:
        """The port of a crashed server, so that its clients find the new one there; 0 if unknown.

        Removes its pid file: PostgreSQL would mistake a zombie, or a stranger with that pid, for its postmaster.
        """
        pid_file = self._home.data / "postmaster.pid"
        with suppress(FileNotFoundError, IndexError, ValueError):
            lines = pid_file.read_text().splitlines()
            if not self._is_run_by_hand(int(lines[0])):
                pid_file.unlink()
            return int(lines[3])
        return 0

    def _is_run_by_hand(self, pid: int) -> bool:
        """True if an operator started this server by hand; it then has no server.lock."""
        with suppress(psutil.Error):
            return any(str(self._home.data) in word for word in psutil.Process(pid).cmdline())
        return False

    @property
    def mark(self) -> str:
        """The cluster_name that identifies a process as ours."""
        home = self._home.path.stat()
        return f"embedded-{home.st_dev:x}-{home.st_ino:x}"

    def _is_ours(self, process: psutil.Process) -> bool:
        """True if a process is ours: programs by their options, the server's children by their title."""
        words = process.cmdline()
        title = " ".join(words)
        return f"cluster_name={self.mark}" in words or title.startswith(f"postgres: {self.mark}: ")


def locks(fd: int) -> bool:
    """True if we now hold this file's lock exclusively."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
