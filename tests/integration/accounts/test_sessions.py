"""Sessions: refreshing and ending them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jose import jwt
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.config import Settings
from app.db.session import Database
from app.main import create_app
from app.utils.service_locator import build_services
from app.worker import Jobs
from tests.support.answers import problem
from tests.support.contention import meeting_at, stored_text
from tests.support.scenario import race
from tests.support.world import PASSWORD, Clock, Outbox, Person

LOGIN, REFRESH, LOGOUT = "/v1/auth/login/access-token", "/v1/auth/login/refresh-token", "/v1/auth/logout"
SignUp = Callable[..., Person]


def counts(client: TestClient, person: Person) -> bool:
    """Whether the person's access token is taken: by a gathered request as by an ordinary one."""
    gathered = person.on(client).send("GET /users/me")
    ordinary = person.on(client).send("GET /users/me", headers={"Idempotency-Key": "never gathered"})
    assert gathered.status_code == ordinary.status_code
    if gathered.status_code != 200:
        problem(gathered, 401)
    return gathered.status_code == 200


def spend(client: TestClient, refresh_token: str) -> dict[str, Any]:
    answer = client.post(REFRESH, json={"refresh_token": refresh_token})
    assert answer.status_code == 200, answer.text
    pair: dict[str, Any] = answer.json()
    return pair


def close(client: TestClient, user: Person, admin: Person, change: dict[str, Any] | None) -> None:
    """Change an account as the administrator, or delete it."""
    url = f"/v1/users/{user.id}"
    answer = (
        client.put(url, json=change, headers=admin.headers) if change else client.delete(url, headers=admin.headers)
    )
    assert answer.status_code == 200, answer.text


def test_the_tokens_are_not_each_others(client: TestClient, user: Person) -> None:
    access = user.headers["Authorization"].removeprefix("Bearer ")
    problem(client.post(REFRESH, json={"refresh_token": access}), 401)
    problem(client.get("/v1/users/me", headers={"Authorization": f"Bearer {user.refresh_token}"}), 401)


def test_logging_out_ends_this_session_and_no_other(client: TestClient, user: Person, log_in: SignUp) -> None:
    elsewhere = log_in(user.email)
    answer = client.post(LOGOUT, json={"refresh_token": user.refresh_token})
    assert (answer.status_code, answer.json().keys()) == (200, {"msg"})
    assert not counts(client, user)
    problem(client.post(REFRESH, json={"refresh_token": user.refresh_token}), 401)
    assert counts(client, elsewhere)


def test_logging_out_twice_is_no_error_and_with_no_token_of_ours_is_one(client: TestClient, user: Person) -> None:
    statuses = [client.post(LOGOUT, json={"refresh_token": user.refresh_token}).status_code for _ in range(2)]
    assert statuses == [200, 200]
    problem(client.post(LOGOUT, json={"refresh_token": "made up"}), 401)


@pytest.mark.parametrize(("days", "left"), [(13, 1), (14.9, 1), (15.1, 0)])
def test_cleaning_up_forgets_a_session_a_day_after_its_last_token(
    user: Person, session: Session, jobs: Jobs, clock: Clock, days: float, left: int
) -> None:
    clock.advance(days=days)
    jobs.clean_up()
    assert session.execute(text("SELECT count(*) FROM auth_sessions")).scalar_one() == left


def test_cleaning_up_ends_no_session_that_can_be_refreshed(
    client: TestClient, user: Person, jobs: Jobs, clock: Clock
) -> None:
    clock.advance(days=13)
    jobs.clean_up()
    spend(client, user.refresh_token)


@pytest.mark.parametrize(("days", "status"), [(13.9, 200), (14, 401)])
def test_a_refresh_token_lives_two_weeks(
    client: TestClient, user: Person, clock: Clock, days: float, status: int
) -> None:
    clock.advance(days=days)
    assert client.post(REFRESH, json={"refresh_token": user.refresh_token}).status_code == status


def test_a_spent_refresh_token_ends_everything_that_came_of_it(
    client: TestClient, user: Person, log_in: SignUp
) -> None:
    elsewhere = log_in(user.email)
    second = spend(client, user.refresh_token)
    third = spend(client, second["refresh_token"])
    problem(client.post(REFRESH, json={"refresh_token": user.refresh_token}), 401)
    problem(client.post(REFRESH, json={"refresh_token": third["refresh_token"]}), 401)
    for token in (second["access_token"], third["access_token"]):
        problem(client.get("/v1/users/me", headers={"Authorization": f"Bearer {token}"}), 401)
    assert not counts(client, user)
    assert counts(client, elsewhere)


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "another password"}, None], ids=str)
def test_every_token_ends_with_the_account_or_its_password(
    client: TestClient, user: Person, admin: Person, log_in: SignUp, change: dict[str, Any] | None
) -> None:
    people = [user, log_in(user.email)]
    close(client, user, admin, change)
    assert [counts(client, person) for person in people] == [False, False]
    for person in people:
        problem(client.post(REFRESH, json={"refresh_token": person.refresh_token}), 401)


def test_a_token_that_has_ended_stays_so_when_the_account_is_opened_again(
    client: TestClient, user: Person, admin: Person, log_in: SignUp
) -> None:
    for is_active in (False, True):
        close(client, user, admin, {"is_active": is_active})
    assert not counts(client, user)
    assert counts(client, log_in(user.email))


@pytest.mark.parametrize("closed", ["is_active = false", "deleted_at = now()"])
def test_a_closed_account_has_no_tokens_even_with_open_sessions(
    client: TestClient, user: Person, database: Database, closed: str
) -> None:
    with database.transaction() as session:
        session.execute(text(f"UPDATE users SET {closed}"))
    assert not counts(client, user)
    problem(client.post(REFRESH, json={"refresh_token": user.refresh_token}), 401)


@pytest.fixture
def served(own_database: Database, settings: Settings) -> Iterator[TestClient]:
    """The API on connections of its own, so that requests can be in each other's way."""
    services = build_services(settings, own_database, channels={"email": Outbox()})
    with TestClient(create_app(settings, services)) as client:
        client.post("/v1/auth/signup", json={"email": "user@example.com", "password": PASSWORD})
        yield client


def log_in_there(client: TestClient) -> dict[str, Any]:
    pair: dict[str, Any] = client.post(LOGIN, json={"username": "user@example.com", "password": PASSWORD}).json()
    return pair


def status_of(client: TestClient, access_token: str) -> int:
    return client.get("/v1/users/me", headers={"Authorization": f"Bearer {access_token}"}).status_code


def test_of_uses_of_one_refresh_token_at_once_one_wins_and_then_all_end(
    served: TestClient, own_database: Database
) -> None:
    pair, elsewhere = log_in_there(served), log_in_there(served)
    lock = "SELECT FROM refresh_tokens FOR UPDATE"
    jobs = [lambda: served.post(REFRESH, json={"refresh_token": pair["refresh_token"]})] * 3
    answers = meeting_at(own_database, lock, jobs)
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401]
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    assert [status_of(served, token) for token in (pair["access_token"], won["access_token"])] == [401, 401]
    assert status_of(served, elsewhere["access_token"]) == 200


def test_a_login_during_a_change_of_password_does_not_outlive_it(served: TestClient, own_database: Database) -> None:
    """It waits for the account, and finds another password there than it was given."""
    change = "UPDATE users SET hashed_password = 'of another password'"
    [answer] = meeting_at(
        own_database, change, [lambda: served.post(LOGIN, json={"username": "user@example.com", "password": PASSWORD})]
    )
    problem(answer, 401)


def test_logins_at_once_all_succeed(served: TestClient) -> None:
    credentials = {"username": "user@example.com", "password": PASSWORD}
    assert race(lambda: served.post(LOGIN, json=credentials).status_code, times=8) == [200] * 8


def test_of_tokens_only_fingerprints_are_stored(served: TestClient, own_database: Database) -> None:
    pair = log_in_there(served)
    stored = stored_text(own_database, "refresh_tokens", "auth_sessions", "users")
    assert pair["refresh_token"] not in stored
    assert pair["access_token"] not in stored
    assert PASSWORD not in stored
    assert jwt.get_unverified_claims(pair["access_token"])["sid"] in stored
