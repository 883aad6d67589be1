"""An administrator closes circuit breakers: every worker follows, and what waited for the provider is sent at once."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome
from app.crud.clock import now
from app.db.session import WAKE_CHANNEL, Database
from app.models import Notification
from app.services.delivery.breaker import OPENS_AFTER, Breakers
from app.services.delivery.ports import Delivery
from app.services.operations import channel_service
from app.utils.service_locator import Services
from app.worker import Jobs
from app.worker.listener import Listener
from tests.support.answers import problem
from tests.support.api import Api
from tests.support.audited import logged
from tests.support.inline import inline_jobs
from tests.support.scenario import Opener
from tests.support.waiting import wait_until
from tests.support.world import Outbox, Person

KEY = ("email", "outbox")
RETRY = Outcome(AttemptOutcome.RETRY, status_code=503, error="The server answered 503: inside")


@pytest.fixture
def delivery(services: Services) -> Delivery:
    return services.delivery


@pytest.fixture
def api(client: TestClient, admin: Person) -> Api:
    return admin.on(client)


@pytest.fixture
def opened(jobs: Jobs, delivery: Delivery) -> Delivery:
    """A worker whose mail provider fails, and that has said so."""
    fail(delivery)
    jobs.beat()
    return delivery


def fail(delivery: Delivery) -> None:
    for number in range(OPENS_AFTER):
        delivery.breakers.record(*KEY, number, error=RETRY.error, at=time.monotonic())


def email(api: Api) -> dict[str, Any]:
    [found] = [channel for channel in api.call("GET /channels") if channel["name"] == "email"]
    return dict(found)


def test_every_channel_is_listed_with_its_providers(api: Api, jobs: Jobs, delivery: Delivery) -> None:
    jobs.beat()
    listed = {channel["name"]: channel for channel in api.call("GET /channels")}
    assert {"email", "sms", "push", "webhook", "slack", "teams", "apprise"} <= listed.keys()
    assert (listed["email"]["is_set_up"], listed["sms"]["is_set_up"]) == (True, False)
    assert {channel["state"] for channel in listed.values()} == {"closed"}
    assert [one["name"] for one in listed["email"]["providers"]] == ["outbox"]


def test_an_open_breaker_shows_why_since_when_and_who_says_so(api: Api, opened: Delivery, jobs: Jobs) -> None:
    found = email(api)
    [provider] = found["providers"]
    assert (found["state"], provider["state"], provider["failing_messages"]) == ("open", "open", OPENS_AFTER)
    assert provider["last_error"] == RETRY.error
    assert provider["open_since"] < provider["next_probe_at"]
    assert provider["workers"] == [jobs._pulse.name]


def test_a_probe_makes_it_half_open(api: Api, opened: Delivery, jobs: Jobs) -> None:
    assert opened.breakers.wait_seconds(*KEY, at=time.monotonic() + 5) == 0
    jobs.beat()
    assert email(api)["state"] == "half_open"


def test_without_a_worker_the_stored_breakers_speak(api: Api, opened: Delivery, jobs: Jobs) -> None:
    jobs.leave()
    [provider] = email(api)["providers"]
    assert (provider["state"], provider["workers"], provider["last_error"]) == ("open", [], "The server answered 503.")


def test_a_reset_holds_before_and_after_the_worker_follows(api: Api, opened: Delivery, jobs: Jobs) -> None:
    answer = api.call("POST /channels/email/reset")
    assert (answer["state"], answer["providers"][0]["failing_messages"]) == ("closed", 0)
    assert email(api)["state"] == "closed"  # the worker's last word is older
    jobs.plan()
    assert opened.breakers.wait_seconds(*KEY, at=time.monotonic()) == 0
    assert email(api)["state"] == "closed"
    fail(opened)
    jobs.beat()
    assert email(api)["state"] == "open"


def test_health_and_metrics_see_the_reset(api: Api, opened: Delivery, jobs: Jobs, services: Services) -> None:
    api.call("POST /channels/email/reset")
    jobs.plan()
    assert asyncio.run(services.health.checks())["channel_email"].check.status == "ok"
    assert services.gauges.readings()["ims_circuit_breaker_open"]["email",] == 0


def test_one_provider_is_reset_alone(api: Api, opened: Delivery, jobs: Jobs) -> None:
    for number in range(OPENS_AFTER):
        opened.breakers.record("email", "other", number, error="busy", at=time.monotonic())
    jobs.beat()
    answer = api.call("POST /channels/email/reset", {"provider": "other"})
    assert {one["name"]: one["state"] for one in answer["providers"]} == {"other": "closed", "outbox": "open"}
    jobs.plan()
    assert list(opened.breakers.opened()) == [KEY]
    assert api.call("POST /channels/email/reset", {"provider": "other"}) == email(api)  # again


def test_what_nobody_knows_is_not_found(api: Api) -> None:
    found = problem(api.send("POST /channels/pigeon/reset"), 404)
    assert "email, sms" in found["detail"]
    assert "outbox" in problem(api.send("POST /channels/email/reset", {"provider": "other"}), 404)["detail"]


def test_resetting_a_closed_one_changes_nothing(api: Api, jobs: Jobs) -> None:
    jobs.beat()
    before = email(api)
    assert api.call("POST /channels/email/reset") == before == email(api)


def test_a_reset_is_audited_with_what_was_open(api: Api, opened: Delivery) -> None:
    api.call("POST /channels/email/reset", {"provider": "outbox"})
    [entry] = logged(api, action="channel.reset")
    changes = {name: (change["from"], change["to"]) for name, change in entry["changes"].items()}
    assert changes == {"provider": (None, "outbox"), "open_providers": (["outbox"], [])}


@pytest.fixture
def waiting(opened: Delivery, add_policy: Opener, open_incident: Opener, jobs: Jobs, session: Session) -> Notification:
    """A page that waits for the end of its provider's pause."""
    add_policy()
    open_incident()
    jobs.plan()
    jobs.send()
    page = session.scalars(select(Notification)).one()
    assert page.next_attempt_at is not None
    assert page.next_attempt_at > now(session) + timedelta(seconds=1)
    return page


def test_what_waited_is_sent_at_once(api: Api, waiting: Notification, jobs: Jobs, outbox: Outbox) -> None:
    jobs.send()
    assert outbox.sent == []
    api.call("POST /channels/email/reset")
    jobs.plan()
    jobs.send()
    assert len(outbox.sent) == 1


def test_a_message_with_a_delay_of_its_own_is_not_hurried(
    api: Api, waiting: Notification, jobs: Jobs, session: Session, outbox: Outbox
) -> None:
    session.execute(text("UPDATE notifications SET next_attempt_at = next_attempt_at + interval '2 minutes'"))
    session.commit()
    api.call("POST /channels/email/reset")
    jobs.plan()
    jobs.send()
    assert outbox.sent == []


def test_what_is_put_off_while_the_reset_comes_is_not_kept_waiting() -> None:
    breakers, at = Breakers(), 100.0
    due = datetime(2026, 11, 30, tzinfo=UTC)
    assert breakers.hold([(KEY, 1, due)], asked_at=at) == {}
    assert breakers.reset(*KEY, at=at + 1) == ([], {1: due})
    assert breakers.hold([(KEY, 2, due)], asked_at=at + 0.5) == {2: due}
    assert breakers.reset("email", None, at=at + 2) == ([], {})


def test_attempts_that_began_before_the_reset_open_nothing() -> None:
    breakers = Breakers()
    for number in range(OPENS_AFTER):
        breakers.record(*KEY, number, error="503", at=0.0, began_at=0.0)
    closed, _ = breakers.reset("email", None, at=10.0)
    assert closed == [KEY]
    for number in range(10 * OPENS_AFTER):
        assert not breakers.record(*KEY, number, error="503", at=11.0, began_at=9.0)
    assert breakers.wait_seconds(*KEY, at=11.0) == 0
    assert breakers.record(*KEY, 99, error="503", at=12.0, began_at=11.0)


def test_many_providers_take_no_more_room() -> None:
    breakers = Breakers()
    for number in range(2000):
        breakers.record("webhook", f"host-{number}", 1, error="503", at=float(number))
    assert len(breakers.report()["webhook"]) == 500
    assert "host-1999" in breakers.report()["webhook"]
    for number in range(5000):
        breakers.record(*KEY, number, error="503", at=2000.0)
    assert breakers.report()["email"]["outbox"]["failing_messages"] == 1000
    assert breakers.forget_idle(4000.0) == [KEY]
    assert breakers.report() == {}
    assert breakers.take_moved() == {KEY: None}


@pytest.fixture
def worker(own_database: Database, services: Services) -> Iterator[Jobs]:
    """A worker whose breaker is open, on a database of its own."""
    delivery = Delivery(own_database, services.channels, services.paging, timedelta(seconds=60))
    fail(delivery)
    jobs = inline_jobs(services, delivery)
    jobs.beat()
    yield jobs
    jobs.close()


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_running_worker_follows_by_notify_or_by_its_next_tick(
    own_database: Database, worker: Jobs, services: Services, is_heard: bool
) -> None:
    heard = Event()

    def wake(job: str) -> None:
        if job == "resets":
            worker.follow_resets()
            heard.set()

    listener = Listener(own_database)
    if is_heard:
        listener.start(wake)
        wait_until(lambda: _is_listening(own_database), seconds=5)
    with own_database.transaction() as session:
        channel_service.reset(session, "email", None, services.channels)
    if is_heard:
        assert heard.wait(2)
    else:
        worker.plan()
    listener.stop()
    assert worker._breakers.opened() == {}


def _is_listening(database: Database) -> bool:
    asked = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = :listen")
    with database.transaction() as session:
        return bool(session.scalar(asked, {"listen": f"LISTEN {WAKE_CHANNEL}"}))
