"""Listens for NOTIFY from PostgreSQL, so that a page does not wait for the next tick."""

from collections.abc import Callable
from threading import Event, Thread

import structlog

from app.db.session import Database, is_unavailable

log = structlog.get_logger()

LOOK_UP_SECONDS = 1.0
PAUSE_SECONDS = 1.0


class Listener:
    """A thread that LISTENs on its own connection. Without it, the ticks still find the work, every second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stopping = Event()
        self._thread: Thread | None = None

    def start(self, wake: Callable[[str], None]) -> None:
        """Call `wake` with the name of each job that has work."""
        self._thread = Thread(target=self._listen, args=[wake], name="listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening. Returns at once; the thread ends within a second."""
        self._stopping.set()

    def _listen(self, wake: Callable[[str], None]) -> None:
        while not self._stopping.is_set():
            try:
                for job in self._database.notifications(LOOK_UP_SECONDS, self._stopping.is_set):
                    wake(job)
            except Exception as error:
                log.warning("listener_lost_database", exc_info=None if is_unavailable(error) else error)
                self._stopping.wait(PAUSE_SECONDS)
