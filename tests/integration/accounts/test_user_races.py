"""Changes of accounts that meet: each is refused or is there afterwards."""

from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.core.config import Settings
from app.db.session import Database
from app.utils.service_locator import Services, build_services
from tests.support.answers import problem
from tests.support.contention import meeting_at
from tests.support.scenario import race
from tests.support.world import PASSWORD, Outbox, add_admins

USERS = "/v1/users"
CURRENT = {"current_password": PASSWORD}
ALL_ACCOUNTS = "SELECT FROM users FOR UPDATE"
Headers = dict[str, str]


@pytest.fixture
def services(settings: Settings, own_database: Database) -> Services:
    """On connections of its own, so that requests can be in each other's way."""
    return build_services(settings, own_database, channels={"email": Outbox()})


@pytest.fixture
def admins(services: Services, client: TestClient) -> dict[int, Headers]:
    """Two administrators, by their ids."""
    found: dict[int, Headers] = {}
    for email in ("a@example.com", "b@example.com"):
        add_admins(services.database, email)
        answer = client.post("/v1/auth/login/access-token", json={"username": email, "password": PASSWORD})
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        found[client.get(f"{USERS}/me", headers=headers).json()["id"]] = headers
    return found


def end(client: TestClient, user_id: int, change: dict[str, Any] | None, by: Headers) -> int:
    url = f"{USERS}/{user_id}"
    answer = client.put(url, json=change, headers=by) if change else client.delete(url, headers=by)
    if answer.status_code != 200:
        problem(answer, 409)
    return answer.status_code


@pytest.mark.parametrize("change_of_a", [{"is_active": False}, {"is_superuser": False}, None], ids=str)
@pytest.mark.parametrize("change_of_b", [{"is_active": False}, {"is_superuser": False}, None], ids=str)
def test_two_administrators_do_not_end_each_other(
    client: TestClient,
    own_database: Database,
    admins: dict[int, Headers],
    change_of_a: dict[str, Any] | None,
    change_of_b: dict[str, Any] | None,
) -> None:
    a, b = admins
    jobs = [lambda: end(client, b, change_of_b, admins[a]), lambda: end(client, a, change_of_a, admins[b])]
    assert sorted(meeting_at(own_database, ALL_ACCOUNTS, jobs)) == [200, 409]
    with own_database.transaction() as session:
        left = text("SELECT count(*) FROM users WHERE is_superuser AND is_active AND deleted_at IS NULL")
        assert session.execute(left).scalar_one() == 1


def test_of_two_administrators_who_both_step_down_one_stays(
    client: TestClient, own_database: Database, admins: dict[int, Headers]
) -> None:
    jobs = [partial(end, client, own, None, headers) for own, headers in admins.items()]
    assert sorted(meeting_at(own_database, ALL_ACCOUNTS, jobs)) == [200, 409]


def test_of_accounts_for_one_address_at_once_one_is_made(client: TestClient, admins: dict[int, Headers]) -> None:
    body = {"email": "new@example.com", "password": PASSWORD}
    assert sorted(race(lambda: client.post("/v1/auth/signup", json=body).status_code, times=6)) == [201] + [409] * 5


def test_a_change_overwrites_what_was_committed_while_it_waited(
    client: TestClient, own_database: Database, admins: dict[int, Headers]
) -> None:
    """Also back to what it was when the request began: the answer says what is stored."""
    a, b = admins
    client.put(f"{USERS}/{a}", json={"full_name": "Ada"}, headers=admins[a])
    other = f"UPDATE users SET full_name = 'Grace', phone_number = '+15550100' WHERE id = {a}"
    jobs = [lambda: client.put(f"{USERS}/me", json={"full_name": "Ada"}, headers=admins[a])]
    [answer] = meeting_at(own_database, other, jobs)
    stored = client.get(f"{USERS}/{a}", headers=admins[b]).json()
    assert (stored["full_name"], stored["phone_number"]) == ("Ada", "+15550100")
    assert answer.json() == stored


def test_changes_of_different_fields_at_once_are_all_there(
    client: TestClient, own_database: Database, admins: dict[int, Headers]
) -> None:
    a, b = admins
    changes = [{"full_name": "Ada"}, {"phone_number": "+15550100"}, {"email": "moved@example.com", **CURRENT}]
    jobs = [partial(client.put, f"{USERS}/me", json=change, headers=admins[a]) for change in changes]
    assert [answer.status_code for answer in meeting_at(own_database, ALL_ACCOUNTS, jobs)] == [200] * 3
    stored = client.get(f"{USERS}/{a}", headers=admins[b]).json()
    assert stored == {**stored, "full_name": "Ada", "phone_number": "+15550100", "pending_email": "moved@example.com"}
