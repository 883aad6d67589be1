"""Where an address must be verified, who vouches for one, and the message that tries a channel out."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.config import Settings
from app.utils.service_locator import Services
from tests.support.answers import problem
from tests.support.preferences import DEAD, post, put, receive_code
from tests.support.scenario import Opener, Tick, events, steps
from tests.support.world import ADMIN, NUMBER, OTHER_NUMBER, Outbox, Person


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


@pytest.fixture
def ask(client: TestClient, on_call: Person, tick: Tick, sms: Outbox) -> Callable[[], str]:
    """Asks for a code, and waits for it."""
    return partial(receive_code, client, on_call, tick, sms)


def test_an_administrator_vouches_for_an_address(client: TestClient, on_call: Person, admin: Person) -> None:
    put(client, on_call, address=OTHER_NUMBER)
    assert put(client, admin, whose=on_call.id, position=1)["is_verified"] is False
    assert put(client, admin, whose=on_call.id, address=OTHER_NUMBER)["is_verified"] is True
    assert put(client, on_call, address=OTHER_NUMBER)["is_verified"] is True
    assert put(client, on_call, address="+15550111")["is_verified"] is False


class TestWhereAddressesMustBeVerified:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"require_verified_addresses": True})

    @pytest.fixture
    def page(
        self, client: TestClient, on_call: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick
    ) -> Callable[..., list[dict[str, Any]]]:
        """Pages the person on call; answers whom the step skipped."""

        def run(**action: Any) -> list[dict[str, Any]]:
            policy = add_policy(steps=steps(0, target=on_call.id, **action))
            incident = open_incident()
            tick()
            path = f"/v1/escalation/policies/{policy['id']}"
            client.put(path, json={"is_active": False}, headers=admin.headers)
            [event] = events(client, incident, admin)
            skipped: list[dict[str, Any]] = event["metadata"]["skipped"]
            return skipped

        return run

    def test_a_page_does_not_go_to_an_address_that_is_not(
        self,
        client: TestClient,
        on_call: Person,
        page: Callable[..., list[dict[str, Any]]],
        outbox: Outbox,
        sms: Outbox,
    ) -> None:
        put(client, on_call, position=1)
        who = {"recipient": f"user:{on_call.id}", "recipient_name": "On Call"}
        skip = {**who, "channel": "sms", "reason": "not_verified"}
        assert page() == [skip]
        assert ([mail.address for mail in outbox.sent], sms.sent) == ([on_call.email], [])

    def test_a_named_channel_is_skipped_and_the_administrators_are_paged(
        self, page: Callable[..., list[dict[str, Any]]], outbox: Outbox, sms: Outbox
    ) -> None:
        assert [skip["reason"] for skip in page(channels=["sms"])] == ["not_verified"]
        assert ([mail.address for mail in outbox.sent], sms.sent) == ([ADMIN], [])

    def test_a_page_goes_there_once_it_is(
        self,
        client: TestClient,
        on_call: Person,
        page: Callable[..., list[dict[str, Any]]],
        ask: Callable[[], str],
        sms: Outbox,
    ) -> None:
        post(client, on_call, "confirm", {"code": ask()})
        assert page(channels=["sms"]) == []
        assert [message.kind for message in sms.sent] == ["verification", "page"]

    def test_a_page_does_not_fall_back_to_an_address_that_is_not(
        self, page: Callable[..., list[dict[str, Any]]], tick: Tick, outbox: Outbox, sms: Outbox
    ) -> None:
        outbox.answers = [DEAD]
        page()
        tick()
        assert sms.sent == []
        assert outbox.sent[-1].address == ADMIN

    def test_another_mail_address_than_the_accounts_is_to_be_verified(
        self, client: TestClient, on_call: Person, page: Callable[..., list[dict[str, Any]]], outbox: Outbox
    ) -> None:
        put(client, on_call, "email", address="elsewhere@example.com")
        page()
        assert [mail.address for mail in outbox.sent] == [ADMIN]
        put(client, on_call, "email", address=on_call.email.upper())
        page()
        assert outbox.sent[-1].address.lower() == on_call.email

    def test_a_test_asks_for_the_proof_first(self, client: TestClient, on_call: Person, ask: Callable[[], str]) -> None:
        assert "Verify" in problem(post(client, on_call, "test"), 409)["detail"]
        post(client, on_call, "confirm", {"code": ask()})
        assert post(client, on_call, "test").status_code == 200


def test_addresses_must_be_verified_in_production(settings: Settings) -> None:
    assert settings.require_verified_addresses is False
    production = Settings(_env_file=None, environment="production", secret_key="k" * 64, smtp_host="mail.example.com")
    assert production.require_verified_addresses is True


def test_a_test_is_sent_for_real(client: TestClient, on_call: Person, tick: Tick, outbox: Outbox, sms: Outbox) -> None:
    answer = post(client, on_call, "test")
    assert answer.status_code == 200, answer.text
    sent = answer.json()
    assert (sent["kind"], sent["status"], sent["channel"], sent["recipient"]) == ("test", "pending", "sms", NUMBER)
    assert (sent["incident_id"], sent["attempts"]) == (None, [])
    tick()
    assert outbox.sent == []
    [message] = sms.sent
    assert (message.address, message.kind) == (NUMBER, "test")
    assert "the test of your sms channel" in message.body
    [listed] = on_call.on(client).call("GET /notifications")
    assert (listed["id"], listed["status"], len(listed["attempts"])) == (sent["id"], "accepted", 1)


def test_a_test_says_what_is_wrong_with_a_channel(
    client: TestClient, on_call: Person, tick: Tick, sms: Outbox, outbox: Outbox
) -> None:
    sms.answers = [DEAD]
    post(client, on_call, "test")
    tick()
    tick()
    [listed] = on_call.on(client).call("GET /notifications")
    assert (listed["status"], listed["last_error"]) == ("dead", "refused")
    assert outbox.sent == []  # it is no page: nothing falls back
