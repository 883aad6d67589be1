"""Administrators see the circuit breakers, and close them."""

import asyncio
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome
from app.services.delivery.breaker import OPENS_AFTER
from app.services.delivery.ports import Delivery
from app.utils.service_locator import Services
from app.worker import Jobs
from tests.support.answers import problem
from tests.support.api import Api
from tests.support.audited import logged
from tests.support.world import Person

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
    """A worker whose mail provider fails, and that has reported it."""
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


def test_an_open_breaker_shows_why_since_when_and_on_which_workers(api: Api, opened: Delivery, jobs: Jobs) -> None:
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


def test_without_a_worker_the_stored_breakers_are_shown(api: Api, opened: Delivery, jobs: Jobs) -> None:
    jobs.leave()
    [provider] = email(api)["providers"]
    assert (provider["state"], provider["workers"], provider["last_error"]) == ("open", [], "The server answered 503.")


def test_a_reset_holds_before_and_after_the_worker_follows(api: Api, opened: Delivery, jobs: Jobs) -> None:
    answer = api.call("POST /channels/email/reset")
    assert (answer["state"], answer["providers"][0]["failing_messages"]) == ("closed", 0)
    assert email(api)["state"] == "closed"  # the worker's last word is older
    jobs.follow_resets()
    assert opened.breakers.wait_seconds(*KEY, at=time.monotonic()) == 0
    assert email(api)["state"] == "closed"
    fail(opened)
    jobs.beat()
    assert email(api)["state"] == "open"


def test_health_and_metrics_see_the_reset(api: Api, opened: Delivery, jobs: Jobs, services: Services) -> None:
    api.call("POST /channels/email/reset")
    jobs.follow_resets()
    assert asyncio.run(services.health.checks())["channel_email"].check.status == "ok"
    assert services.gauges.readings()["ims_circuit_breaker_open"]["email",] == 0


def test_one_provider_is_reset_alone(api: Api, opened: Delivery, jobs: Jobs) -> None:
    for number in range(OPENS_AFTER):
        opened.breakers.record("email", "other", number, error="busy", at=time.monotonic())
    jobs.beat()
    answer = api.call("POST /channels/email/reset", {"provider": "other"})
    assert {one["name"]: one["state"] for one in answer["providers"]} == {"other": "closed", "outbox": "open"}
    jobs.follow_resets()
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
    assert len(logged(api, action="channel.reset")) == 1


def test_a_reset_is_audited_with_what_was_open(api: Api, opened: Delivery) -> None:
    api.call("POST /channels/email/reset", {"provider": "outbox"})
    [entry] = logged(api, action="channel.reset")
    changes = {name: (change["from"], change["to"]) for name, change in entry["changes"].items()}
    assert changes == {"provider": (None, "outbox"), "open_providers": (["outbox"], [])}
