"""One channel's way out. A slow provider fills its own lane and no other."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, as_completed, wait
from threading import Event

import structlog
from sqlalchemy.exc import OperationalError

from app.db.session import is_contended
from app.models import Notification
from app.services.delivery import delivery_service, recording_service, throttle_service
from app.services.delivery.ports import Delivery
from app.services.delivery.recording_service import Attempt
from app.worker.threads import DaemonThreads

log = structlog.get_logger()

LOOK_AGAIN_SECONDS = 0.2
RECIPIENTS = 500
INLINE_BATCH = 100
HELD_FOR_LONG_SECONDS = 30.0

Running = dict[Future[Attempt | None], Notification]


class Lane:
    """Sends the messages of one channel, `width` side by side; with 0, one after the other in the caller's thread.

    Without a channel it takes those that no channel here can send. `clock` tells seconds.
    """

    def __init__(
        self,
        channel: str | None,
        delivery: Delivery,
        stopping: Event,
        *,
        width: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel = channel
        self._delivery = delivery
        self._stopping = stopping
        self._width = width
        self._clock = clock
        self._held: tuple[float, OperationalError] | None = None  # since when no pages could be let go, and why
        self._threads = DaemonThreads(width, f"send-{channel}") if width else None

    def drain(self) -> int:
        """Send until nothing is due and nothing in flight. Returns how many messages were taken.

        Raises in the end what has kept pages from being let go for over 30 s.
        """
        taken = self._drain_inline() if self._threads is None else self._drain_beside(self._threads)
        if self._held is not None and self._clock() - self._held[0] > HELD_FOR_LONG_SECONDS:
            raise self._held[1]
        return taken

    def _drain_beside(self, threads: DaemonThreads) -> int:
        running: Running = {}
        try:
            return self._drain(threads, running)
        finally:  # also when the database is away: what was sent is still to be recorded
            self._finish(running)

    def _drain(self, threads: DaemonThreads, running: Running) -> int:
        taken = 0
        while not self._stopping.is_set():
            if len(running) <= self._width:
                self._let_go()
                claimed = delivery_service.claim(self._delivery, self._channel, limit=2 * self._width - len(running))
                running |= {threads.submit(delivery_service.try_once, self._delivery, m): m for m in claimed}
                taken += len(claimed)
            if not running:
                break
            done, _ = wait(running, timeout=LOOK_AGAIN_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                del running[future]
            self._record(done)
        return taken

    def close(self) -> None:
        """Let the threads go; what still hangs in one is sent again after its lease."""
        if self._threads is not None:
            self._threads.shutdown()

    def _drain_inline(self) -> int:
        self._let_go()
        taken = 0
        while not self._stopping.is_set() and (
            claimed := delivery_service.claim(self._delivery, self._channel, limit=INLINE_BATCH)
        ):
            for message in claimed:
                delivery_service.send(self._delivery, message)
            taken += len(claimed)
        return taken

    def _let_go(self) -> None:
        """Let the pages go whose people's pace allows it. While others hold some, the rest is sent all the same."""
        try:
            self._let_go_free()
        except OperationalError as error:
            if not is_contended(error):
                raise
            self._held = (self._held[0] if self._held else self._clock(), error)
            log.info("pages_wait", channel=self._channel, reason=type(error.orig).__name__)
        else:
            self._held = None

    def _let_go_free(self) -> None:
        database = self._delivery.database
        if self._channel is None:
            with database.transaction() as session:
                throttle_service.release_excluding(session, self._delivery.channels)
            return
        with database.transaction() as session:
            recipients = throttle_service.due(session, self._channel, limit=RECIPIENTS)
        if recipients:
            with database.transaction() as session:
                throttle_service.release(session, self._channel, recipients)

    def _record(self, done: Iterable[Future[Attempt | None]]) -> None:
        attempts = [attempt for attempt in (future.result() for future in done) if attempt is not None]
        if attempts:
            # In one order, so that two workers do not wait for each other.
            recording_service.record_all(self._delivery, sorted(attempts, key=lambda attempt: attempt.message.id))

    def _finish(self, running: Running) -> None:
        """Give back what was not begun, wait for what was, and record it as it comes."""
        for future, message in running.items():
            if future.cancel():
                self._give_back(message)
        for future in as_completed([future for future in running if not future.cancelled()]):
            self._record([future])

    def _give_back(self, message: Notification) -> None:
        try:
            delivery_service.give_back(self._delivery, message)
        except Exception as error:  # noqa: BLE001 - it is sent again after its lease
            log.warning("delivery_not_given_back", notification_id=message.id, reason=type(error).__name__)
