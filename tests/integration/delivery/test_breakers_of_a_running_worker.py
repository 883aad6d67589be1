"""A running worker sends what waited as soon as a circuit breaker closes, whoever closes it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.core.config import Settings
from app.db.session import Database
from app.services.delivery.breaker import OPENS_AFTER, Breakers
from app.services.operations import channel_service
from app.utils.service_locator import build_services
from app.worker import Jobs
from app.worker.listener import Listener
from app.worker.scheduler import Worker
from tests.support.waiting import wait_until
from tests.support.working import work_during
from tests.support.world import Outbox

KEY = ("email", "outbox")


class Deaf(Listener):
    """Hears no NOTIFY."""

    def start(self, wake: Callable[[str], None]) -> None: ...


def test_a_reset_that_no_notify_announced_and_a_success_free_what_waited(
    settings: Settings, own_database: Database, outbox: Outbox
) -> None:
    services = build_services(settings, own_database, channels={outbox.name: outbox})
    breakers = services.delivery.breakers
    jobs = Jobs(services.delivery, services.paging, width=1)
    worker = Worker(jobs, Deaf(own_database))

    def scenario() -> None:
        hold_a_message(breakers)
        with own_database.transaction() as session:
            channel_service.reset(session, "email", None, services.channels)
        wait_until(lambda: breakers.opened() == {} and not breakers._freed, seconds=30)
        hold_a_message(breakers)
        assert breakers.record(*KEY, 1, error=None, at=time.monotonic())
        wait_until(lambda: not breakers._freed, seconds=30)

    work_during(worker, scenario)


def hold_a_message(breakers: Breakers) -> None:
    for number in range(OPENS_AFTER):
        breakers.record(*KEY, number, error="503", at=time.monotonic())
    due = datetime.now(UTC) + timedelta(seconds=5)
    assert breakers.hold([(KEY, 1, due)], asked_at=time.monotonic()) == {}
