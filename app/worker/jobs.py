"""What the worker does when it wakes. Each job runs in batches until nothing is due."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from threading import Event

import structlog
from sqlalchemy.orm import Session

from app.core import metrics, spans
from app.core.spans import Kind
from app.db.session import Database, is_contended, is_unavailable
from app.services.accounts import auth_service, guess_service
from app.services.delivery import fallback_service, lease_service, throttle_service
from app.services.delivery.ports import Delivery
from app.services.incidents import lifecycle_service
from app.services.operations import (
    audit_chain_service,
    breaker_service,
    dead_man_service,
    healing_service,
    health_service,
    idempotency_service,
    retention_service,
    work_service,
)
from app.services.operations.audit_chain import Head
from app.services.operations.health_service import Pulse
from app.services.policies import rollout_service, step_service, unmatched_service
from app.services.ports import Paging
from app.worker.batches import DEFAULT_LIMITS, Batches, PlanLimits, StillLocked
from app.worker.heart import Heart
from app.worker.lane import Lane, Threads
from app.worker.threads import DaemonThreads

log = structlog.get_logger()

NO_CHANNEL = "other"
RESETS = "resets"  # a job of its own: many messages may wait for what was reset, and no step waits for them
LOOKING = {"overdue", "healed"}  # parts of the plan that look, every second, whether others have done their work


def _recorded(part: str) -> AbstractContextManager[object]:
    """A span for a part of the plan that has something to do."""
    return nullcontext() if part in LOOKING else spans.span(f"plan {part}", Kind.INTERNAL, parent=None)


class Jobs:
    """The jobs of one process. `stopping` ends each of them after its current batch.

    Messages are sent `width` side by side on each channel, by `threads`.
    """

    def __init__(
        self,
        delivery: Delivery,
        paging: Paging,
        *,
        width: int,
        threads: Threads = DaemonThreads,
        limits: PlanLimits = DEFAULT_LIMITS,
        retention_days: int | None = None,
    ) -> None:
        self.retention_days = retention_days
        self.stopping = Event()
        self._limits = limits
        self._database: Database = delivery.database
        self._delivery = delivery
        self._breakers = delivery.breakers
        self.on_reset: Callable[[], object] = lambda: None  # called while a reset, or what it freed, waits
        self._paging = paging
        self._pulse = Pulse()
        self._batches = Batches(delivery.database, self.stopping, limits)
        self._is_rolling_out = False
        self._heart = Heart(delivery, self._pulse, self.stopping)
        self._audit_head: Head | None = None
        names: list[str | None] = [*delivery.channels, None]
        self.lanes = {
            name or NO_CHANNEL: Lane(name, delivery, self.stopping, width=width, threads=threads) for name in names
        }

    def plan(self) -> bool:
        """End snoozes, fire steps, roll policies out, page about unmatched incidents, handle pages not accepted.

        One part that fails does not stop the others. Raises the first error at the end. Returns True if a rollout has
        to go on at once.
        """
        self._is_rolling_out = False
        parts = self._parts()
        with self._database.reading() as session:
            due = work_service.parts_due(session, self._pulse)
        if RESETS in due or self._breakers.has_freed():
            self.on_reset()
        done: dict[str, int] = dict.fromkeys(parts, 0)
        errors: list[Exception] = []
        for name, part in parts.items():
            if name not in due and not any(done.values()):
                self._batches.locked_since.pop(name, None)
                continue  # what one part did may be work for those after it
            try:
                with _recorded(name):
                    done[name] = part()
            except Exception as error:
                if is_unavailable(error) and not is_contended(error):
                    raise
                log.exception("plan_part_failed", part=name)
                errors.append(error)
        if any(done.values()):
            log.info("plan_tick", **done)
        if errors:
            raise errors[0]
        self._pulse.ticked = time.monotonic()
        metrics.WORKER_TICKS.add()
        return self._is_rolling_out

    def _parts(self) -> dict[str, Callable[[], int]]:
        """The parts of the plan in their order, by their names in the log."""
        batch = self._limits.batch
        return {
            "overdue": lambda: self._batches.once(lambda session: healing_service.tell_overdue(session, self._pulse)),
            "snoozes_ended": lambda: self._batches.until_done(
                lambda s: lifecycle_service.end_snoozes(s, limit=batch), batch
            ),
            "steps_taken": self._fire,
            "policy_rollout": lambda: self._batches.unless_locked("policy_rollout", self._roll_out),
            "unmatched_taken": lambda: self._batches.until_done(
                lambda s: unmatched_service.page_due(s, self._paging, limit=batch), batch
            ),
            "leases_released": lambda: self._batches.until_done(lease_service.expire_leases, batch),
            "fell_back": lambda: self._batches.until_done(
                lambda s: fallback_service.fall_back(s, self._paging, limit=batch), 1
            ),
            "healed": lambda: self._batches.unless_locked("healed", self._heal),
            "recoveries_answered": lambda: self._batches.until_done(self._answer_recoveries, batch),
        }

    def send(self) -> None:
        """Send everything due in the outbox, one channel after another."""
        for name in self.lanes:
            self.send_by(name)

    def send_by(self, lane: str) -> None:
        """Send what is due on one channel."""
        taken = self.lanes[lane].drain()
        if taken:
            log.info("send_tick", channel=lane, taken=taken)

    def seconds_to_next_step(self, within: float) -> float | None:
        """Seconds until the next step is due, or None if that is beyond `within`."""
        with self._database.transaction() as session:
            return step_service.seconds_to_next(session, within=within)

    def beat(self) -> None:
        """Write this worker's heartbeat, with the state of its circuit breakers, and store those that have moved."""
        self._heart.beat()

    def restore(self) -> None:
        """Open the circuit breakers that were open before the restart, once. Raises if the database is away."""
        self._heart.restore()

    def follow_resets(self) -> None:
        """Close the circuit breakers that an administrator has reset, and make due what waited for closed ones."""
        self._heart.follow_resets()

    def when_breakers_move(self, call: Callable[[], object]) -> None:
        """Set what is called, from any thread, when a circuit breaker opens, closes or renews its pause."""
        self._breakers.on_move = call

    def leave(self) -> None:
        """Store which circuit breakers have moved while this worker stopped, and remove its heartbeat."""
        self._heart.leave()

    def is_well(self) -> bool:
        """True if nothing is overdue, stuck or failing, and somebody can be reached for every open incident."""
        with self._database.transaction() as session:
            return dead_man_service.is_well(session)

    def clean_up(self) -> None:
        """Delete what has expired: kept answers, sessions, tokens, full buckets, counts of guesses, breakers."""
        with self._database.transaction() as session:
            answers = idempotency_service.forget_old(session)
            sessions, tokens = auth_service.forget_old(session)
            buckets = throttle_service.forget_old(session)
            workers = health_service.forget_old(session)
            guesses = guess_service.forget_old(session)
            breakers = breaker_service.forget_old(session)
        if answers or sessions or tokens or buckets or workers or guesses or breakers:
            log.info(
                "clean_up_tick",
                answers=answers,
                sessions=sessions,
                reset_tokens=tokens,
                buckets=buckets,
                workers=workers,
                guesses=guesses,
                breakers=breakers,
            )

    def delete_expired(self) -> None:
        """Delete what is older than it is kept, if there is a limit. Stops between two batches."""
        if self.retention_days is None:
            return
        self._batches.until_nothing_is_left(partial(retention_service.delete_expired, days=self.retention_days))

    def log_audit_head(self) -> None:
        """Log the head of the audit log's chain, and an error if the chain has lost the one logged before."""
        with self._database.transaction() as session:
            self._audit_head = audit_chain_service.log_head(session, self._audit_head)

    def revive_database(self) -> None:
        """Restart the embedded database if its server was killed."""
        self._database.revive()

    def close(self) -> None:
        """End the threads that send."""
        for lane in self.lanes.values():
            lane.close()

    def _fire(self) -> int:
        """Fire what is due. A step that reaches nobody makes the next one due at once: repeat until nothing is due."""
        return self._batches.until_done(lambda s: step_service.run_due(s, self._paging, limit=self._limits.batch), 1)

    def _roll_out(self) -> int:
        """Roll policies out for a second. After each batch, what is due goes first: a rollout may take minutes."""
        contended: set[int] = set()
        done, began = 0, time.monotonic()
        while self._batches.once(lambda session: rollout_service.advance(session, contended, batch=self._limits.batch)):
            done += 1
            self._fire()
            if self.stopping.is_set() or time.monotonic() - began > self._limits.rollout_seconds:
                self._is_rolling_out = True
                break
        if contended:
            raise StillLocked(f"policies {sorted(contended)} wait for incidents that others have locked")
        return done

    def _answer_recoveries(self, session: Session) -> int:
        return auth_service.answer_password_recoveries(session, url=self._paging.public_url, limit=self._limits.batch)

    def _heal(self) -> int:
        done = self._batches.once(lambda session: healing_service.heal(session, self._pulse))
        if self._pulse.held:
            raise StillLocked(f"incidents {sorted(self._pulse.held)} are forgotten, and cannot be healed now")
        return done
