"""Proving that an address is one's own: by a code that is sent to it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.channel import Outcome
from app.core.config import Settings
from app.models import AddressVerification, Notification
from app.utils.service_locator import Services, build_services
from tests.support.answers import problem
from tests.support.preferences import DEAD, GONE, ME, codes, post, preference, put, receive_code
from tests.support.scenario import Tick
from tests.support.world import LATER, NUMBER, OTHER_NUMBER, Clock, Outbox, Person


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


@pytest.fixture
def ask(client: TestClient, on_call: Person, tick: Tick, sms: Outbox) -> Callable[[], str]:
    """Asks for a code, and waits for it."""
    return partial(receive_code, client, on_call, tick, sms)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


def outbox_rows(session: Session) -> list[Notification]:
    session.expire_all()
    return list(session.scalars(select(Notification).order_by(Notification.id)))


def test_the_code_that_came_to_an_address_proves_it(
    client: TestClient, on_call: Person, tick: Tick, outbox: Outbox, sms: Outbox
) -> None:
    assert preference(client, on_call)["is_verified"] is False
    answer = post(client, on_call, "verify")
    assert (answer.status_code, answer.json()) == (
        200, {"msg": "A code is on its way. It expires after 15 minutes."}
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
        assert code not in person.on(client).send("GET /notifications").text


def test_a_code_that_waits_is_shown_to_nobody(
    client: TestClient, on_call: Person, admin: Person, tick: Tick, sms: Outbox, clock: Clock
) -> None:
    sms.answers = [LATER]
    post(client, on_call, "verify")
    tick()
    [code] = codes(sms)
    for person in (on_call, admin):
        listed = person.on(client).send("GET /notifications")
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
    on_call.on(client).call("PUT /users/me", {"phone_number": OTHER_NUMBER})
    problem(post(client, on_call, "confirm", {"code": code}), 422, pointer="/code")
    assert post(client, on_call, "confirm", {"code": ask()}).json()["is_verified"] is True
    on_call.on(client).call("PUT /users/me", {"phone_number": NUMBER})
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
    ("channel", "advice"), [("sms", "Set its address first"), ("slack", "An operator has to name its provider first")]
)
def test_an_unusable_channel_is_refused_with_what_to_do(
    client: TestClient, user: Person, what: str, channel: str, advice: str
) -> None:
    found = problem(post(client, user, what, channel=channel), 409)
    assert found["code"] == "channel_unusable"
    assert advice in found["detail"]


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
