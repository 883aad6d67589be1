"""What the worker does when it is woken. Each job goes on in batches until nothing is due."""

from collections.abc import Callable
from concurrent.futures import Executor
from threading import Event

import structlog
from sqlalchemy.orm import Session

from app.db.session import Database
from app.services import (
    auth_service,
    delivery_service,
    idempotency_service,
    incident_service,
    policy_service,
    step_service,
)
from app.services.delivery_service import Delivery
from app.services.ports import Paging

log = structlog.get_logger()

BATCH = 100


class Jobs:
    """The jobs of one process. `stopping` ends each of them after its current batch."""

    def __init__(self, delivery: Delivery, paging: Paging, senders: Executor) -> None:
        self.stopping = Event()
        self._database: Database = delivery.database
        self._delivery = delivery
        self._paging = paging
        self._senders = senders

    def plan(self) -> None:
        """End snoozes, carry policy changes on, fire the steps that are due."""
        done = {
            "snoozes_ended": self._batches(lambda s: incident_service.end_snoozes(s, limit=BATCH), BATCH),
            "policy_spread": self._batches(policy_service.spread_next, 1),
            # A step that reached nobody makes the next one due at once: look again until nothing is.
            "steps_taken": self._batches(lambda s: step_service.run_due(s, self._paging, limit=BATCH), 1),
        }
        if any(done.values()):
            log.info("plan_tick", **done)

    def send(self) -> None:
        """Send what is due in the outbox."""
        released = self._batches(delivery_service.release_expired, BATCH)
        sent = 0
        while not self.stopping.is_set():
            taken = delivery_service.send_due(self._delivery, self._senders, limit=BATCH)
            sent += taken
            if taken < BATCH:
                break
        if sent or released:
            log.info("send_tick", taken=sent, released=released)

    def clean_up(self) -> None:
        """Forget what no longer counts: old answers, dead sessions, expired reset tokens."""
        with self._database.transaction() as session:
            answers = idempotency_service.forget_old(session)
            sessions, tokens = auth_service.forget_old(session)
        if answers or sessions or tokens:
            log.info("clean_up_tick", answers=answers, sessions=sessions, reset_tokens=tokens)

    def revive_database(self) -> None:
        """Bring an embedded database back whose server was killed."""
        self._database.revive()

    def _batches(self, one_batch: Callable[[Session], int], full: int) -> int:
        """Do batches, each in a transaction of its own, until one is not full. Returns how many rows there were."""
        total = 0
        while not self.stopping.is_set():
            with self._database.transaction() as session:
                done = one_batch(session)
            total += done
            if done < full:
                break
        return total
