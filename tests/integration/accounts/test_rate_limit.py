"""Who guesses is slowed down, where the setting says so."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.core.rate_limit import RateLimits
from app.main import create_app
from app.utils.service_locator import Services, build_services
from tests.support.world import Person


@pytest.fixture
def limited(services: Services) -> Iterator[TestClient]:
    """The API with rate limits switched on."""
    limits = RateLimits(is_enabled=True)
    strict = build_services(services.settings, services.database, channels=services.channels, rate_limits=limits)
    with TestClient(create_app(strict.settings, strict)) as client:
        yield client


def guess(client: TestClient, username: str) -> int:
    answer = client.post("/v1/auth/login/access-token", json={"username": username, "password": "a wrong guess"})
    return answer.status_code


def test_too_many_guesses_at_one_account_are_told_to_wait(limited: TestClient, user: Person) -> None:
    assert [guess(limited, user.email) for _ in range(10)] == [401] * 10
    answer = limited.post("/v1/auth/login/access-token", json={"username": user.email.upper(), "password": "x"})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
    assert 0 < int(answer.headers["Retry-After"]) <= 60


def test_guesses_at_one_account_do_not_lock_another_out(limited: TestClient, user: Person) -> None:
    for _ in range(11):
        guess(limited, "somebody@example.com")
    assert guess(limited, user.email) == 401


def test_one_address_gets_only_so_many_recovery_mails(limited: TestClient, user: Person) -> None:
    statuses = [limited.post(f"/v1/auth/password-recovery/{user.email}").status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]


def test_in_development_nobody_is_limited(client: TestClient, user: Person) -> None:
    assert [guess(client, user.email) for _ in range(12)] == [401] * 12
