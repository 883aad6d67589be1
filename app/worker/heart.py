"""A worker's heartbeat, and what it shares of its circuit breakers with administrators and with later workers."""

from threading import Event, Lock

import structlog

from app.services.delivery import hold_service
from app.services.delivery.ports import Delivery
from app.services.operations import breaker_service, health_service
from app.services.operations.health_service import Pulse

log = structlog.get_logger()


class Heart:
    """Beats for one worker. `stopping` ends what would take long."""

    def __init__(self, delivery: Delivery, pulse: Pulse, stopping: Event) -> None:
        self._delivery = delivery
        self._pulse = pulse
        self._stopping = stopping
        self._is_restored = False
        self._following, self._beating = Lock(), Lock()

    def beat(self) -> None:
        """Write the heartbeat, with the state of the circuit breakers, and store those that have moved."""
        with self._beating:  # so that the last heartbeat that is written is also the newest
            breaker_service.forget_idle(self._delivery.breakers)
            with self._delivery.database.transaction() as session:
                report = breaker_service.report(session, self._delivery.breakers)
                health_service.beat(session, self._pulse, report, list(self._delivery.channels))
            self.restore()
            breaker_service.save(self._delivery, self._pulse)

    def restore(self) -> None:
        """Open the circuit breakers that were open before the restart, once. Raises if the database is away."""
        if self._is_restored:
            return
        with self._following:
            if not self._is_restored:
                breaker_service.restore(self._delivery, self._pulse)
                self._is_restored = True

    def follow_resets(self) -> None:
        """Close the circuit breakers that were reset, and say so in the heartbeat.

        Makes due what waited for those and for others that have closed.
        """
        with self._following:
            followed = breaker_service.follow(self._delivery, self._pulse)
        hold_service.bring_forward_freed(self._delivery, self._stopping)
        if followed:
            self.beat()

    def leave(self) -> None:
        """Store which circuit breakers have moved while the worker stopped, and remove the heartbeat."""
        try:
            breaker_service.save(self._delivery, self._pulse)
        except Exception as error:  # noqa: BLE001 - the next worker probes once more than it needs to
            log.warning("circuit_breakers_not_stored", reason=type(error).__name__)
        with self._delivery.database.transaction() as session:
            health_service.leave(session, self._pulse)
