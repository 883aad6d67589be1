"""A forgotten password: a mail with a token that works once, and soon no more."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.core.channel import Outcome
from app.core.config import Settings
from app.core.vocabulary import AttemptOutcome
from app.db.session import Database
from app.main import create_app
from app.utils.service_locator import build_services
from app.worker import Jobs
from tests.support.answers import problem
from tests.support.contention import meeting_at, stored_text
from tests.support.inline import inline_jobs
from tests.support.statements import statements
from tests.support.world import PASSWORD, Clock, Outbox, Person

RECOVERY, RESET, LOGIN = "/v1/auth/password-recovery/", "/v1/auth/reset-password", "/v1/auth/login/access-token"
NEW_PASSWORD = "another horse battery"
TOKEN = re.compile(r"^http://127\.0\.0\.1:8000/reset-password/([\w-]{43})$", re.MULTILINE)
Tick = Callable[[], None]
SignUp = Callable[..., Person]


def mailed_token(outbox: Outbox) -> str:
    """The token in the newest mail."""
    [token] = TOKEN.findall(outbox.sent[-1].body)
    return str(token)


@pytest.fixture
def ask(client: TestClient, tick: Tick, outbox: Outbox) -> Callable[[str], str]:
    """Asks for a new password and reads the mail."""

    def run(email: str) -> str:
        assert client.post(RECOVERY + email).status_code == 200
        tick()
        return mailed_token(outbox)

    return run


def reset(client: TestClient, token: str, password: str = NEW_PASSWORD) -> int:
    answer = client.post(RESET, json={"token": token, "new_password": password})
    if answer.status_code != 200:
        assert problem(answer, 400)["code"] == "invalid_reset_token"
    return answer.status_code


def log_in_status(client: TestClient, email: str, password: str) -> int:
    return client.post(LOGIN, json={"username": email, "password": password}).status_code


def test_a_known_address_gets_one_mail_with_a_token(
    client: TestClient, user: Person, tick: Tick, outbox: Outbox
) -> None:
    client.post(RECOVERY + user.email)
    assert outbox.sent == []  # the answer waits for no mail server
    tick()
    [mail] = outbox.sent
    assert (mail.address, mail.subject) == (user.email, "Set a new password")
    assert mailed_token(outbox)
    assert "after 30 minutes" in mail.body


@pytest.mark.parametrize(
    "email", ["user@example.com", "USER@EXAMPLE.com", "nobody@example.com", "o'neil+x@example.com"]
)
def test_the_answer_does_not_tell_whether_the_address_is_known(client: TestClient, user: Person, email: str) -> None:
    answers = [client.post(RECOVERY + address) for address in ("user@example.com", email)]
    [known, other] = [(answer.status_code, answer.json(), answer.headers.keys()) for answer in answers]
    assert other == known
    assert known[1].keys() == {"msg"}


def test_a_request_does_the_same_for_a_known_and_an_unknown_address(
    client: TestClient, user: Person, database: Database
) -> None:
    """Only the worker looks whether the address is known, so that how long the answer takes tells nothing."""
    done = []
    for email in (user.email, "nobody@example.com"):
        with statements(database) as seen:
            client.post(RECOVERY + email)
        done.append([statement for statement in seen if "SAVEPOINT" not in statement])
    assert done[0] == done[1]
    assert not [statement for statement in done[0] if "users" in statement]
    assert user.email in stored_text(database, "password_recoveries")
    assert stored_text(database, "notifications") == ""


def test_a_request_ends_when_it_is_answered(client: TestClient, user: Person, jobs: Jobs, database: Database) -> None:
    for email in (user.email, "nobody@example.com"):
        client.post(RECOVERY + email)
    jobs.plan()
    assert stored_text(database, "password_recoveries") == ""


def test_an_unknown_address_gets_no_mail(client: TestClient, user: Person, tick: Tick, outbox: Outbox) -> None:
    client.post(RECOVERY + "nobody@example.com")
    tick()
    assert outbox.sent == []


@pytest.mark.parametrize("change", [{"is_active": False}, None], ids=["deactivated", "deleted"])
def test_a_closed_account_gets_no_mail_and_the_same_answer(
    client: TestClient, user: Person, admin: Person, tick: Tick, outbox: Outbox, change: dict[str, Any] | None
) -> None:
    open_answer = client.post(RECOVERY + admin.email)
    change_account(client, user, admin, change)
    assert client.post(RECOVERY + user.email).json() == open_answer.json()
    tick()
    assert [mail.address for mail in outbox.sent] == [admin.email]


def change_account(client: TestClient, user: Person, admin: Person, change: dict[str, Any] | None) -> None:
    url = f"/v1/users/{user.id}"
    if change is None:
        assert client.delete(url, headers=admin.headers).status_code == 200
    else:
        assert client.put(url, json=change, headers=admin.headers).status_code == 200


def test_the_mail_goes_to_the_address_on_record_not_to_the_one_sent(
    client: TestClient, sign_up: SignUp, tick: Tick, outbox: Outbox
) -> None:
    sign_up("mike@example.com")
    client.post(RECOVERY + "MİKE@example.com")
    client.post(RECOVERY + "m\u0131ke@example.com")
    tick()
    assert {mail.address for mail in outbox.sent} <= {"mike@example.com"}


def test_the_token_sets_a_new_password_and_ends_every_session(
    client: TestClient, user: Person, log_in: SignUp, ask: Callable[[str], str]
) -> None:
    people = [user, log_in(user.email)]
    answer = client.post(RESET, json={"token": ask(user.email), "new_password": NEW_PASSWORD})
    assert (answer.status_code, answer.json().keys()) == (200, {"msg"})
    for person in people:
        problem(person.on(client).send("GET /users/me"), 401)
        problem(client.post("/v1/auth/login/refresh-token", json={"refresh_token": person.refresh_token}), 401)
    assert [log_in_status(client, user.email, p) for p in (PASSWORD, NEW_PASSWORD)] == [401, 200]


def test_the_token_works_once(client: TestClient, user: Person, ask: Callable[[str], str]) -> None:
    token = ask(user.email)
    assert [reset(client, token), reset(client, token, PASSWORD)] == [200, 400]
    assert log_in_status(client, user.email, NEW_PASSWORD) == 200


def test_using_one_token_spends_the_others(client: TestClient, user: Person, ask: Callable[[str], str]) -> None:
    first, second = ask(user.email), ask(user.email)
    assert first != second
    assert [reset(client, first), reset(client, second)] == [200, 400]


@pytest.mark.parametrize(("minutes", "status"), [(29.9, 200), (30, 400), (60 * 24 * 40, 400)])
def test_the_token_expires(
    client: TestClient, user: Person, ask: Callable[[str], str], clock: Clock, minutes: float, status: int
) -> None:
    token = ask(user.email)
    clock.advance(minutes=minutes)
    assert reset(client, token) == status


def test_an_expired_token_is_refused_also_after_it_was_cleaned_up(
    client: TestClient, user: Person, ask: Callable[[str], str], clock: Clock, jobs: Jobs, database: Database
) -> None:
    token = ask(user.email)
    clock.advance(days=2)
    jobs.clean_up()
    with database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM password_reset_tokens")).scalar_one() == 0
    assert reset(client, token) == 400


@pytest.mark.parametrize("token", ["made up", "x" * 4096, "ü", "' OR 1=1 --"])
def test_a_token_that_was_never_mailed_is_refused(client: TestClient, user: Person, token: str) -> None:
    assert reset(client, token) == 400
    assert log_in_status(client, user.email, PASSWORD) == 200


def test_no_other_token_of_ours_sets_a_password(client: TestClient, user: Person) -> None:
    for token in (user.refresh_token, user.headers["Authorization"].removeprefix("Bearer ")):
        assert reset(client, token) == 400


@pytest.mark.parametrize(
    "change",
    [{"is_active": False}, {"password": "a third password"}, {"email": "moved@example.com"}, None],
    ids=["deactivated", "password", "address", "deleted"],
)
def test_a_token_ends_with_what_it_was_asked_for(
    client: TestClient, user: Person, admin: Person, ask: Callable[[str], str], change: dict[str, Any] | None
) -> None:
    """Who reads the old mailbox does not get into the account for that."""
    token = ask(user.email)
    change_account(client, user, admin, change)
    assert reset(client, token) == 400
    if change == {"is_active": False}:
        change_account(client, user, admin, {"is_active": True})
        assert reset(client, token) == 400


def test_a_weak_new_password_is_refused_and_spends_no_token(
    client: TestClient, user: Person, ask: Callable[[str], str]
) -> None:
    token = ask(user.email)
    answer = client.post(RESET, json={"token": token, "new_password": "short"})
    problem(answer, 422, pointer="/new_password")
    assert "short" not in answer.text.replace("shorter", "")
    assert reset(client, token) == 200


@pytest.mark.parametrize(
    "outcome",
    [Outcome(AttemptOutcome.ACCEPTED), Outcome(AttemptOutcome.DEAD, error="550 no such user")],
    ids=["accepted", "dead"],
)
def test_the_token_is_kept_nowhere_once_the_mail_has_gone(
    client: TestClient, user: Person, admin: Person, tick: Tick, outbox: Outbox, database: Database, outcome: Outcome
) -> None:
    outbox.answers = [outcome]
    client.post(RECOVERY + user.email)
    tick()
    token = mailed_token(outbox)
    stored = stored_text(database, "notifications", "password_reset_tokens")
    assert user.email in stored
    assert token not in stored
    assert token not in admin.on(client).send("GET /notifications").text
    assert reset(client, token) == 200


def test_a_mail_that_must_be_sent_again_still_says_the_token(
    client: TestClient, user: Person, tick: Tick, outbox: Outbox, clock: Clock
) -> None:
    outbox.answers = [Outcome(AttemptOutcome.RETRY, error="451 later")]
    client.post(RECOVERY + user.email)
    tick()
    clock.advance(seconds=2)
    tick()
    first, second = outbox.sent
    assert first.body == second.body
    assert first.idempotency_key == second.idempotency_key
    assert reset(client, mailed_token(outbox)) == 200


def test_who_may_see_the_delivery_never_sees_the_text(
    client: TestClient, user: Person, admin: Person, outbox: Outbox, jobs: Jobs, tick: Tick
) -> None:
    client.post(RECOVERY + user.email)
    jobs.plan()
    waiting = admin.on(client).send("GET /notifications")
    tick()
    assert [delivery["kind"] for delivery in waiting.json()] == ["password_reset"]
    assert mailed_token(outbox) not in waiting.text


def test_of_uses_of_one_token_at_once_one_wins(settings: Settings, own_database: Database) -> None:
    outbox = Outbox()
    services = build_services(settings, own_database, channels={"email": outbox})
    with TestClient(create_app(settings, services)) as client:
        client.post("/v1/auth/signup", json={"email": "user@example.com", "password": PASSWORD})
        client.post(RECOVERY + "user@example.com")
        inline_jobs(services).plan()
        with own_database.transaction() as session:
            body = session.execute(text("SELECT body FROM notifications WHERE kind = 'password_reset'")).scalar_one()
        [token] = TOKEN.findall(body)
        passwords = [f"password number {number}" for number in range(3)]
        jobs = [partial(reset, client, token, password) for password in passwords]
        statuses = meeting_at(own_database, "SELECT FROM password_reset_tokens FOR UPDATE", jobs)
        assert sorted(statuses) == [200, 400, 400]
        assert [log_in_status(client, "user@example.com", p) == 200 for p in passwords] == [s == 200 for s in statuses]
