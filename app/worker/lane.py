"""Sends one channel's messages. A slow provider fills its own lane and no other."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from threading import Event

import structlog
from sqlalchemy.exc import OperationalError

from app.db.session import is_contended
from app.models import Notification
from app.services.delivery import (
    delivery_service,
    lease_service,
    readiness_service,
    recording_service,
    status_update_service,
    throttle_service,
)
from app.services.delivery.ports import Delivery
from app.services.delivery.recording_service import Attempt
from app.services.operations import work_service
from app.worker.flight import Flight, Pace
from app.worker.threads import DaemonThreads

log = structlog.get_logger()

LOOK_AGAIN_SECONDS = 0.2
REFILLED_AT = 4  # when a quarter of what the lane may hold is gone: the threads must not wait for the next claim
RELEASE_EVERY_SECONDS = 0.1
RECIPIENTS = 500
LOCKED_FOR_LONG_SECONDS = 30.0

Threads = Callable[[int, str], Executor]  # so many, with a name


class Lane:
    """Sends the messages of one channel, `width` side by side.

    Without a channel it takes the messages of channels that no live worker has set up. `clock` returns seconds.
    """

    def __init__(
        self,
        channel: str | None,
        delivery: Delivery,
        stopping: Event,
        *,
        width: int,
        threads: Threads = DaemonThreads,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel = channel
        self._delivery = delivery
        self._stopping = stopping
        self._width = width
        self._clock = clock
        self._locked: tuple[float, OperationalError] | None = None  # since when pages are blocked, and why
        self._threads = threads(width, f"send-{channel}")
        self._pace = Pace(width, clock)
        self._has_more = False  # after the last claim
        self._released_at = clock()

    def drain(self) -> int:
        """Send until nothing is due and nothing in flight. Returns how many messages were taken.

        Raises at the end if pages could not be released for over 30 s.
        """
        if not work_service.is_due_on(self._delivery, self._channel):
            self._locked = None
            return 0
        flight = Flight(self._threads)
        try:
            taken = self._drain(flight)
        finally:  # also while the database is away: what was sent must still be recorded
            self._finish(flight)
        if self._locked is not None and self._clock() - self._locked[0] > LOCKED_FOR_LONG_SECONDS:
            raise self._locked[1]
        return taken

    def close(self) -> None:
        """End the threads. A message that still hangs in one is sent again after its lease expires."""
        self._threads.shutdown()

    def _drain(self, flight: Flight) -> int:
        taken = 0
        while not self._stopping.is_set():
            room = self._pace.room()
            wanted = room - len(flight)
            if wanted >= room // REFILLED_AT:
                self._release_now_and_then()
                started = self._start(flight, limit=wanted)
                self._has_more = started == wanted
                taken += started
            if flight:
                self._record(flight.ended(within=LOOK_AGAIN_SECONDS))
            elif not self._has_more:
                break
        return taken

    def _start(self, flight: Flight, *, limit: int) -> int:
        """Claim messages, and let the threads send those whose provider may be called. Returns how many it claimed."""
        claimed = lease_service.claim(self._delivery, self._channel, limit=limit)
        ready = delivery_service.set_aside(self._delivery, claimed)
        checks = readiness_service.look_ahead(self._delivery, ready)
        for message in ready:
            flight.start(message, partial(delivery_service.try_once, self._delivery, message, checks.get(message.id)))
        return len(claimed)

    def _release_now_and_then(self) -> None:
        """Release pages, unless more than enough is due already and that was done just now."""
        now = self._clock()
        if not self._has_more or now - self._released_at >= RELEASE_EVERY_SECONDS:
            self._released_at = now
            self._release()

    def _release(self) -> None:
        """Release the pages that their recipients' token buckets allow. While some are locked, the rest is sent."""
        try:
            self._release_unlocked()
        except OperationalError as error:
            if not is_contended(error):
                raise
            self._locked = (self._locked[0] if self._locked else self._clock(), error)
            log.info("release_lock_contended", channel=self._channel, reason=type(error.orig).__name__)
        else:
            self._locked = None

    def _release_unlocked(self) -> None:
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
        with database.transaction() as session:  # half of the threads are for pages alone
            status_update_service.release(session, self._channel, self._delivery.paging, limit=max(self._width // 2, 1))

    def _record(self, attempts: Sequence[Attempt]) -> None:
        if attempts:
            # By id, so that two workers mostly lock in the same order. Where they do not, one soon gives way.
            recording_service.record_all(self._delivery, sorted(attempts, key=lambda attempt: attempt.message.id))
            self._pace.note(len(attempts))

    def _finish(self, flight: Flight) -> None:
        """Give back messages that were not started, wait for the others, and record each outcome as it arrives."""
        for message in flight.not_begun():
            self._give_back(message)
        for attempt in flight.rest():
            self._record([attempt])

    def _give_back(self, message: Notification) -> None:
        try:
            lease_service.give_back(self._delivery, message)
        except Exception as error:  # noqa: BLE001 - it is sent again after its lease
            log.warning("delivery_not_given_back", notification_id=message.id, reason=type(error).__name__)
