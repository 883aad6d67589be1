"""Who guesses secrets is slowed down, where the setting says so, and the owner of an account is never locked out."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text
from structlog.testing import capture_logs

from app.core.config import Settings
from app.core.errors import TooManyRequests
from app.core.rate_limit import PER_SENDER
from app.crud import crud_user
from app.db.session import Database
from app.main import create_app
from app.services.accounts import guess_service
from app.services.accounts.guess import LIMITS
from app.services.accounts.guess_service import Guess, Guesses
from app.utils.service_locator import Services, build_services
from app.worker import Jobs
from tests.support.answers import problem
from tests.support.api import together
from tests.support.contention import stored_text
from tests.support.scenario import Tick
from tests.support.statements import statements
from tests.support.world import ADMIN, PASSWORD, Clock, Outbox, Person, add_admins, real_connections

HOME, CAFE, ATTACKER = "192.0.2.1", "198.51.100.7", "203.0.113.9"
FREE = LIMITS["login"].account.free  # type: ignore[union-attr]  # a login has both
Tries = Callable[..., bool]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"rate_limit_enabled": True})


@pytest.fixture
def limited(application: FastAPI, client: TestClient) -> TestClient:
    """The API with limits. Its client claims any address, as a trusted proxy does."""
    return TestClient(application, client=("127.0.0.1", 50000))


@pytest.fixture
def guesses(services: Services) -> Guesses:
    return services.guesses


@pytest.fixture
def tries(guesses: Guesses) -> Tries:
    """Tries a password, which is wrong. True if it was checked at all."""

    def run(sender: str, account: str, action: str = "login") -> bool:
        try:
            guess_service.begin(guesses, action, sender=sender, account=account)
        except TooManyRequests:
            return False
        return True

    return run


def log_in(client: TestClient, email: str, password: str = PASSWORD, sender: str = HOME) -> Any:
    body = {"username": email, "password": password}
    return client.post("/v1/auth/login/access-token", json=body, headers={"X-Forwarded-For": sender})


def test_too_many_guesses_at_one_account_are_told_to_wait(limited: TestClient, user: Person) -> None:
    assert [log_in(limited, user.email, "a wrong guess").status_code for _ in range(FREE)] == [401] * FREE
    answer = log_in(limited, user.email.upper())
    assert problem(answer, 429)["code"] == "too_many_requests"
    assert answer.headers["Retry-After"] == "1"


def test_the_delay_grows_with_each_guess(tries: Tries, clock: Clock) -> None:
    for sender in range(FREE):
        assert tries(f"192.0.2.{sender}", "ada@example.com")
    for seconds in (1, 2, 4, 8):
        clock.advance(seconds=seconds - 0.01)
        assert not tries(ATTACKER, "ada@example.com")
        clock.advance(seconds=0.02)
        assert tries(ATTACKER, "ada@example.com")


def test_what_was_refused_does_not_count(tries: Tries, clock: Clock) -> None:
    assert sum(tries(ATTACKER, "ada@example.com") for _ in range(500)) == FREE
    clock.advance(seconds=1)
    assert tries(ATTACKER, "ada@example.com")


def test_guesses_are_forgotten_after_a_day_without_any(tries: Tries, clock: Clock) -> None:
    for _ in range(20):
        tries(ATTACKER, "ada@example.com")
        clock.advance(minutes=15)
    assert tries(ATTACKER, "ada@example.com")
    assert not tries(ATTACKER, "ada@example.com")
    clock.advance(hours=24)
    assert sum(tries(ATTACKER, "ada@example.com") for _ in range(10)) == FREE


def test_guesses_at_one_account_do_not_lock_another_out(limited: TestClient, user: Person) -> None:
    for number in range(FREE + 1):
        log_in(limited, "somebody@example.com", "a wrong guess", f"203.0.113.{number}")
    assert log_in(limited, user.email, sender=CAFE).status_code == 200


def test_one_sender_cannot_try_one_password_on_many_accounts(tries: Tries) -> None:
    most = LIMITS["login"].sender.free
    assert sum(tries(ATTACKER, f"{number}@example.com") for number in range(most + 50)) == most
    assert tries(CAFE, "0@example.com")


def test_one_network_of_ipv6_is_one_sender(limited: TestClient) -> None:
    most = LIMITS["login"].sender.free
    answers = [log_in(limited, f"{n}@example.com", sender=f"2001:db8::{n:x}").status_code for n in range(most + 1)]
    assert answers == [401] * most + [429]
    assert log_in(limited, "new@example.com", sender="2001:db8:0:1::1").status_code == 401


def test_an_attack_does_not_lock_out_the_owner_where_they_are_known(limited: TestClient, user: Person) -> None:
    assert log_in(limited, user.email).status_code == 200
    for number in range(FREE * 4):
        log_in(limited, user.email, "a wrong guess", f"203.0.113.{number}")
    assert log_in(limited, user.email, sender=ATTACKER).status_code == 429
    for _ in range(3):
        assert log_in(limited, user.email).status_code == 200


def test_a_known_sender_may_mistype_and_then_has_to_wait_as_well(limited: TestClient, user: Person) -> None:
    log_in(limited, user.email)
    assert [log_in(limited, user.email, "a typo").status_code for _ in range(FREE)] == [401] * FREE
    assert log_in(limited, user.email).status_code == 429


def test_a_right_password_clears_what_a_known_sender_mistyped(limited: TestClient, user: Person) -> None:
    log_in(limited, user.email)
    for _ in range(3):
        for _ in range(FREE - 1):
            assert log_in(limited, user.email, "a typo").status_code == 401
        assert log_in(limited, user.email).status_code == 200


def test_a_known_sender_is_known_for_its_own_account_only(limited: TestClient, user: Person, admin: Person) -> None:
    """Somebody with an account of their own has no more guesses at another one."""
    log_in(limited, user.email, sender=ATTACKER)
    answers = [log_in(limited, admin.email, "a wrong guess", ATTACKER).status_code for _ in range(FREE + 1)]
    assert answers == [401] * FREE + [429]


def test_a_login_in_between_gives_no_more_guesses_at_others(
    limited: TestClient, sign_up: Callable[..., Person]
) -> None:
    """A success gives back its own guess only, not those at other accounts."""
    most, own = LIMITS["login"].sender.free, sign_up("attacker@example.com")
    for number in range(most - 1):
        assert log_in(limited, f"{number}@example.com", "x", ATTACKER).status_code == 401
    assert log_in(limited, own.email, sender=ATTACKER).status_code == 200
    assert log_in(limited, "a@example.com", "x", ATTACKER).status_code == 401
    assert log_in(limited, "b@example.com", "x", ATTACKER).status_code == 429


def test_a_login_of_the_owner_gives_attackers_no_more_guesses(limited: TestClient, user: Person) -> None:
    for number in range(FREE - 1):
        log_in(limited, user.email, "a wrong guess", f"203.0.113.{number}")
    assert log_in(limited, user.email, sender=CAFE).status_code == 200
    assert log_in(limited, user.email, "a wrong guess", ATTACKER).status_code == 401
    assert log_in(limited, user.email, "a wrong guess", ATTACKER).status_code == 429


def test_a_sender_is_known_for_90_days_after_the_last_login(
    guesses: Guesses, database: Database, clock: Clock, user: Person
) -> None:
    def begin() -> Guess:
        return guess_service.begin(guesses, "login", sender=HOME, account=user.email)

    with database.transaction() as session:
        owner = crud_user.by_email(session, user.email)
        assert owner is not None
        guess_service.proved_owner(session, begin(), owner)
    clock.advance(days=89)
    assert begin().is_known
    clock.advance(days=2)
    assert not begin().is_known


def test_the_owner_gets_in_from_a_new_place_by_mail_during_an_attack(
    limited: TestClient, user: Person, tick: Tick, outbox: Outbox
) -> None:
    """Whoever has the mail of the account proves to be its owner, and is known from then on."""
    for number in range(FREE * 2):
        log_in(limited, user.email, "a wrong guess", f"203.0.113.{number}")
    assert log_in(limited, user.email, sender=CAFE).status_code == 429
    here = {"X-Forwarded-For": CAFE}
    assert limited.post(f"/v1/auth/password-recovery/{user.email}", headers=here).status_code == 200
    tick()
    token = outbox.sent[-1].body.partition("/reset-password/")[2].split()[0]
    body = {"token": token, "new_password": "another horse battery"}
    assert limited.post("/v1/auth/reset-password", json=body, headers=here).status_code == 200
    assert log_in(limited, user.email, "another horse battery", CAFE).status_code == 200
    assert log_in(limited, user.email, "another horse battery", ATTACKER).status_code == 429


def test_one_address_gets_only_so_many_recovery_mails(limited: TestClient, user: Person, clock: Clock) -> None:
    def ask(sender: str = HOME) -> int:
        path = f"/v1/auth/password-recovery/{user.email}"
        return limited.post(path, headers={"X-Forwarded-For": sender}).status_code

    assert [ask(f"192.0.2.{number}") for number in range(6)] == [200] * 5 + [429]
    clock.advance(minutes=5)
    assert ask() == 200


def test_recoveries_asked_for_by_others_leave_the_owner_theirs(limited: TestClient, user: Person) -> None:
    log_in(limited, user.email)
    path = f"/v1/auth/password-recovery/{user.email}"
    for number in range(8):
        limited.post(path, headers={"X-Forwarded-For": f"203.0.113.{number}"})
    assert limited.post(path, headers={"X-Forwarded-For": HOME}).status_code == 200


@pytest.mark.parametrize("action", sorted(LIMITS))
def test_every_kind_of_guess_has_its_limit(tries: Tries, action: str) -> None:
    account = LIMITS[action].account
    most = min(LIMITS[action].sender.free, account.free if account else 10_000)
    assert sum(tries(ATTACKER, "ada@example.com", action) for _ in range(most + 20)) == most


def test_an_unknown_address_takes_the_same_statements(limited: TestClient, user: Person, database: Database) -> None:
    seen = []
    for email in (user.email, "nobody@example.com"):
        with statements(database) as asked:
            log_in(limited, email, "a wrong guess", ATTACKER)
        seen.append([statement for statement in asked if "SAVEPOINT" not in statement])
    assert seen[0] == seen[1]
    assert any("INSERT INTO guess_counts" in statement for statement in seen[0])


def test_a_refused_guess_looks_at_no_password(limited: TestClient, user: Person, database: Database) -> None:
    for _ in range(FREE):
        log_in(limited, user.email, "a wrong guess", ATTACKER)
    with statements(database) as asked:
        assert log_in(limited, user.email, sender=ATTACKER).status_code == 429
    assert not any("FROM users" in statement for statement in asked)


def test_the_counts_name_nobody(limited: TestClient, user: Person, database: Database) -> None:
    log_in(limited, user.email)
    log_in(limited, user.email, "a wrong guess", ATTACKER)
    stored = stored_text(database, "guess_counts", "known_senders")
    assert stored
    assert not any(word in stored for word in (user.email, HOME, ATTACKER, f"({user.id},"))


def test_a_slowed_down_guess_is_logged_without_its_account(tries: Tries) -> None:
    with capture_logs() as logs:
        for _ in range(FREE + 5):
            tries(ATTACKER, "ada@example.com")
    [line] = [line for line in logs if line["event"] == "guesses_slowed_down"]
    assert (line["action"], line["guesses"], line["seconds"]) == ("login", FREE, 1)
    assert "ada" not in str(line)
    assert ATTACKER not in str(line)


def test_what_is_forgotten_is_deleted(tries: Tries, jobs: Jobs, database: Database, clock: Clock) -> None:
    tries(ATTACKER, "ada@example.com")
    with database.transaction() as session:
        session.execute(text("INSERT INTO known_senders VALUES ('a', now() + interval '1 hour')"))
    jobs.clean_up()
    assert stored_text(database, "guess_counts", "known_senders").count("\n") == 2
    clock.advance(hours=2)
    jobs.clean_up()
    assert stored_text(database, "guess_counts", "known_senders").count("\n") == 0  # that of the account
    clock.advance(hours=23)
    jobs.clean_up()
    assert stored_text(database, "guess_counts", "known_senders") == ""


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("PUT /users/me", {"password": "another password"}),
        ("POST /api-keys", {"name": "robot", "scopes": ["admin"]}),
    ],
    ids=["password", "key"],
)
def test_a_wrong_current_password_counts_although_the_request_is_undone(
    settings: Settings, own_database: Database, line: str, body: dict[str, Any]
) -> None:
    with real_connections(settings, own_database) as admin:
        wrong = {**body, "current_password": "wrong"}
        answers = [admin.send(line, wrong).status_code for _ in range(FREE + 1)]
        assert answers == [422] * FREE + [429]
        assert admin.send("PUT /users/me", {"full_name": "Ada"}).status_code == 200


def test_a_right_current_password_makes_a_key_and_does_not_count(settings: Settings, own_database: Database) -> None:
    with real_connections(settings, own_database) as admin:
        body = {"name": "robot", "scopes": ["admin"], "current_password": PASSWORD}
        assert {admin.send("POST /api-keys", body).status_code for _ in range(2 * FREE)} == {201}


def test_guesses_made_side_by_side_count_one_by_one(settings: Settings, own_database: Database) -> None:
    guesses = build_services(settings, own_database, channels={}).guesses

    def try_once() -> bool:
        try:
            guess_service.begin(guesses, "login", sender=ATTACKER, account=ADMIN)
        except TooManyRequests:
            return False
        return True

    assert sum(together([try_once] * 32)) == FREE


@pytest.mark.slow
def test_an_attack_on_two_processes_finds_nothing_and_the_owner_gets_in(
    settings: Settings, own_database: Database
) -> None:
    """Scaled down: see `tests/e2e/test_guessing_attack.py`."""
    add_admins(own_database)
    parts = [build_services(settings, own_database, channels={"email": Outbox()}) for _ in range(2)]
    processes = [TestClient(create_app(settings, services), client=("127.0.0.1", 50000)) for services in parts]
    assert log_in(processes[0], ADMIN).status_code == 200
    checked = 0
    for number in range(200):
        answer = log_in(processes[number % 2], ADMIN, f"weak {number}", f"203.0.113.{number % 20}")
        checked += answer.status_code == 401
    assert checked <= FREE + 6  # within a minute
    assert [log_in(process, ADMIN).status_code for process in processes] == [200, 200]


def test_in_development_nobody_is_limited(application: FastAPI, client: TestClient, user: Person) -> None:
    services: Services = application.state.services
    open_to_all = services.settings.model_copy(update={"rate_limit_enabled": False})
    application.state.services = build_services(open_to_all, services.database, channels=services.channels)
    answers = [log_in(client, user.email, "a wrong guess").status_code for _ in range(FREE + 7)]
    assert answers == [401] * len(answers)
    assert stored_text(services.database, "guess_counts", "known_senders") == ""


def test_signing_up_and_test_messages_are_counted_in_the_process(limited: TestClient) -> None:
    most = PER_SENDER["signup"].amount
    answers = [limited.post("/v1/auth/signup", json={"email": "x", "password": "y"}).status_code for _ in range(3)]
    assert answers == [422] * 3  # what cannot be read is not counted
    bodies = ({"email": f"{number}@example.com", "password": PASSWORD} for number in range(most + 1))
    assert [limited.post("/v1/auth/signup", json=body).status_code for body in bodies] == [201] * most + [429]
