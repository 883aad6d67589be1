"""Proving that an address is one's own, trying a channel out, and what happens when an address is gone."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.channel import Outcome
from app.core.config import Settings
from app.core.vocabulary import AttemptOutcome
from app.db.session import Database
from app.models import AddressVerification, Notification
from app.utils.service_locator import Services, build_services
from tests.answers import problem
from tests.conftest import ADMIN, Clock, Outbox, Person
from tests.preferences import ME, post, preference, put
from tests.scenario import Opener, Tick, events, steps

NUMBER, OTHER_NUMBER = "+15550100", "+15550199"
GONE = Outcome(AttemptOutcome.DEAD, status_code=404, error="unknown number", is_address_gone=True)
DEAD = Outcome(AttemptOutcome.DEAD, status_code=400, error="refused")
LATER = Outcome(AttemptOutcome.RETRY, error="busy")


@pytest.fixture
def sms() -> Outbox:
    return Outbox("sms")


@pytest.fixture
def services(settings: Settings, database: Database, outbox: Outbox, sms: Outbox) -> Services:
    """An installation with two channels."""
    return build_services(settings, database, channels={"email": outbox, "sms": sms})


@pytest.fixture
def on_call(sign_up: Callable[..., Person]) -> Person:
    return sign_up("oncall@example.com", phone_number=NUMBER)


def codes(channel: Outbox) -> list[str]:
    """Every code that came by a channel."""
    return [re.findall(r"\b[0-9]{6}\b", message.body)[0] for message in channel.sent]


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


def outbox_rows(session: Session) -> list[Notification]:
    session.expire_all()
    return list(session.scalars(select(Notification).order_by(Notification.id)))


@pytest.fixture
def ask(client: TestClient, on_call: Person, tick: Tick, sms: Outbox) -> Callable[[], str]:
    """Asks for a code, and waits for it."""

    def run() -> str:
        answer = post(client, on_call, "verify")
        assert answer.status_code == 200, answer.text
        tick()
        return codes(sms)[-1]

    return run


def test_the_code_that_came_to_an_address_proves_it(
    client: TestClient, on_call: Person, tick: Tick, outbox: Outbox, sms: Outbox
) -> None:
    assert preference(client, on_call)["is_verified"] is False
    answer = post(client, on_call, "verify")
    assert (answer.status_code, answer.json()) == (
        200, {"msg": "A code is on its way. It is good for 15 minutes."}
    )  # fmt: skip
    assert sms.sent == []  # a worker sends it
    tick()
    assert (outbox.sent, [message.address for message in sms.sent]) == ([], [NUMBER])
    confirmed = post(client, on_call, "confirm", {"code": codes(sms)[0]})
    assert confirmed.status_code == 200, confirmed.text
    assert confirmed.json() == preference(client, on_call)
    assert confirmed.json()["is_verified"] is True


def test_a_code_is_nowhere_once_it_was_sent(
    client: TestClient, on_call: Person, admin: Person, ask: Callable[[], str], session: Session
) -> None:
    code = ask()
    [row] = outbox_rows(session)
    assert (row.subject, row.body, row.html, row.facts) == ("", "", None, {})
    sealed = session.scalars(select(AddressVerification.code_hash)).one()
    assert code not in sealed
    for person in (on_call, admin):
        assert code not in client.get("/v1/notifications", headers=person.headers).text


def test_a_code_that_waits_is_shown_to_nobody(
    client: TestClient, on_call: Person, admin: Person, tick: Tick, sms: Outbox, clock: Clock
) -> None:
    sms.answers = [LATER]
    post(client, on_call, "verify")
    tick()
    [code] = codes(sms)
    for person in (on_call, admin):
        listed = client.get("/v1/notifications", headers=person.headers)
        assert [row["status"] for row in listed.json()] == ["retry"]
        assert code not in listed.text
    clock.advance(seconds=2)
    tick()
    assert codes(sms) == [code, code]  # it was kept for as long as it had to be sent


@pytest.mark.parametrize("answer", [DEAD, GONE])
def test_a_code_that_cannot_be_sent_is_erased_as_well(
    client: TestClient, on_call: Person, tick: Tick, sms: Outbox, session: Session, answer: Outcome
) -> None:
    sms.answers = [answer]
    post(client, on_call, "verify")
    tick()
    row = outbox_rows(session)[0]
    assert (row.kind, row.status, row.body, row.facts) == ("verification", "dead", "", {})


@pytest.mark.parametrize(("seconds", "status"), [(15 * 60 - 1, 200), (15 * 60, 422)])
def test_a_code_is_good_for_a_quarter_of_an_hour(
    client: TestClient, on_call: Person, ask: Callable[[], str], clock: Clock, seconds: int, status: int
) -> None:
    code = ask()
    clock.advance(seconds=seconds)
    assert post(client, on_call, "confirm", {"code": code}).status_code == status


def test_a_wrong_code_proves_nothing_and_the_right_one_still_does(
    client: TestClient, on_call: Person, ask: Callable[[], str]
) -> None:
    code = ask()
    found = problem(post(client, on_call, "confirm", {"code": wrong(code)}), 422, pointer="/code")
    assert (found["code"], code in found["detail"]) == ("wrong_code", False)
    assert preference(client, on_call)["is_verified"] is False
    assert post(client, on_call, "confirm", {"code": f" {code} "}).json()["is_verified"] is True


def test_a_code_can_be_tried_five_times(client: TestClient, on_call: Person, ask: Callable[[], str]) -> None:
    code = ask()
    for _ in range(5):
        problem(post(client, on_call, "confirm", {"code": wrong(code)}), 422, pointer="/code")
    problem(post(client, on_call, "confirm", {"code": code}), 422, pointer="/code")
    assert preference(client, on_call)["is_verified"] is False
    assert post(client, on_call, "confirm", {"code": ask()}).json()["is_verified"] is True


def test_the_fifth_try_may_still_be_right(client: TestClient, on_call: Person, ask: Callable[[], str]) -> None:
    code = ask()
    for _ in range(4):
        post(client, on_call, "confirm", {"code": wrong(code)})
    assert post(client, on_call, "confirm", {"code": code}).status_code == 200


def test_only_the_newest_code_counts_and_only_once(client: TestClient, on_call: Person, ask: Callable[[], str]) -> None:
    first, second = ask(), ask()
    if first != second:
        problem(post(client, on_call, "confirm", {"code": first}), 422, pointer="/code")
    assert post(client, on_call, "confirm", {"code": second}).status_code == 200
    problem(post(client, on_call, "confirm", {"code": second}), 422, pointer="/code")
    assert preference(client, on_call)["is_verified"] is True


def test_three_codes_are_sent_in_a_quarter_of_an_hour(
    client: TestClient, on_call: Person, ask: Callable[[], str], clock: Clock, sms: Outbox, tick: Tick
) -> None:
    ask()
    clock.advance(minutes=10)
    ask()
    code = ask()
    answer = post(client, on_call, "verify")
    problem(answer, 429)
    wait = int(answer.headers["retry-after"])
    assert 4 * 60 < wait <= 5 * 60
    tick()
    assert len(sms.sent) == 3
    assert post(client, on_call, "confirm", {"code": code}).status_code == 200  # the last one that was sent
    clock.advance(seconds=wait)
    assert post(client, on_call, "verify").status_code == 200


def test_codes_are_counted_for_each_person_and_channel(
    client: TestClient, on_call: Person, user: Person, ask: Callable[[], str]
) -> None:
    for _ in range(3):
        ask()
    assert post(client, on_call, "verify", channel="email").status_code == 200
    put(client, user, address=OTHER_NUMBER)
    assert post(client, user, "verify").status_code == 200


@pytest.mark.parametrize("is_back", [False, True])
def test_a_code_is_void_for_another_address(
    client: TestClient, on_call: Person, ask: Callable[[], str], is_back: bool
) -> None:
    code = ask()
    put(client, on_call, address=OTHER_NUMBER)
    problem(post(client, on_call, "confirm", {"code": code}), 422, pointer="/code")
    if is_back:
        put(client, on_call, address=NUMBER)
    answer = post(client, on_call, "confirm", {"code": code})
    assert answer.status_code == (200 if is_back else 422)
    assert preference(client, on_call)["is_verified"] is is_back


def test_an_address_that_changes_is_no_longer_verified(
    client: TestClient, on_call: Person, ask: Callable[[], str]
) -> None:
    assert post(client, on_call, "confirm", {"code": ask()}).status_code == 200
    assert put(client, on_call, address=OTHER_NUMBER)["is_verified"] is False
    assert put(client, on_call, address=None)["is_verified"] is True


def test_a_number_that_changes_in_the_profile_is_no_longer_verified(
    client: TestClient, on_call: Person, ask: Callable[[], str]
) -> None:
    code = ask()
    changed = client.put("/v1/users/me", json={"phone_number": OTHER_NUMBER}, headers=on_call.headers)
    assert changed.status_code == 200, changed.text
    problem(post(client, on_call, "confirm", {"code": code}), 422, pointer="/code")
    assert post(client, on_call, "confirm", {"code": ask()}).json()["is_verified"] is True
    client.put("/v1/users/me", json={"phone_number": NUMBER}, headers=on_call.headers)
    assert preference(client, on_call)["is_verified"] is False


def test_a_code_is_nobody_elses_and_no_other_channels(
    client: TestClient, on_call: Person, sign_up: Callable[..., Person], ask: Callable[[], str]
) -> None:
    code = ask()
    other = sign_up(phone_number=NUMBER)
    problem(post(client, other, "confirm", {"code": code}), 422, pointer="/code")
    problem(post(client, on_call, "confirm", {"code": code}, channel="email"), 422, pointer="/code")


def test_a_confirmation_has_a_code(client: TestClient, on_call: Person) -> None:
    bodies: list[Any] = [{}, {"code": ""}, {"code": None}, {"code": 123456}, {"code": "1" * 33}, []]
    for body in bodies:
        problem(post(client, on_call, "confirm", body), 422)


def test_verifying_needs_a_login_and_a_channel_that_there_is(client: TestClient, on_call: Person) -> None:
    for what in ("verify", "confirm", "test"):
        assert client.post(f"{ME}/sms/{what}", json={"code": "123456"}).status_code == 401
        assert post(client, on_call, what, {"code": "123456"}, channel="pager").status_code == 404


@pytest.mark.parametrize("what", ["verify", "test"])
@pytest.mark.parametrize(
    ("channel", "advice"), [("sms", "set its address first"), ("slack", "an operator has to name its provider")]
)
def test_what_leads_nowhere_is_refused_with_what_to_do(
    client: TestClient, user: Person, what: str, channel: str, advice: str
) -> None:
    found = problem(post(client, user, what, channel=channel), 409)
    assert found["code"] == "channel_unusable"
    assert advice in found["detail"]


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
        skip = {"recipient": f"user:{on_call.id}", "channel": "sms", "reason": "not_verified"}
        assert page() == [skip]
        assert ([mail.address for mail in outbox.sent], sms.sent) == ([on_call.email], [])

    def test_a_channel_that_is_named_is_skipped_and_the_administrators_are_paged(
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
    assert "a test of your sms channel" in message.body
    [listed] = client.get("/v1/notifications", headers=on_call.headers).json()
    assert (listed["id"], listed["status"], len(listed["attempts"])) == (sent["id"], "accepted", 1)


def test_a_test_says_what_is_wrong_with_a_channel(
    client: TestClient, on_call: Person, tick: Tick, sms: Outbox, outbox: Outbox
) -> None:
    sms.answers = [DEAD]
    post(client, on_call, "test")
    tick()
    tick()
    [listed] = client.get("/v1/notifications", headers=on_call.headers).json()
    assert (listed["status"], listed["last_error"]) == ("dead", "refused")
    assert outbox.sent == []  # it is no page: nothing falls back


@pytest.mark.parametrize("what", ["verify", "confirm", "test"])
def test_who_asks_again_and_again_is_slowed_down(
    settings: Settings, client: TestClient, application: Any, services: Services, on_call: Person, what: str
) -> None:
    strict = settings.model_copy(update={"rate_limit_enabled": True})
    application.state.services = build_services(strict, services.database, channels={"sms": Outbox("sms")})
    answers = [post(client, on_call, what, {"code": "123456"}) for _ in range(21)]
    problem(answers[-1], 429)
    assert int(answers[-1].headers["retry-after"]) > 0
    assert answers[0].status_code != 429
