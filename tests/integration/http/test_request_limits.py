"""How many requests a client may make in a minute, what it is told, and what is never limited."""

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from limits.aio.storage import MemoryStorage
from limits.errors import StorageError
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.api.middleware.request_limits import Quotas, RequestLimits
from app.core.config import Settings
from app.core.errors import ConfigurationError
from app.core.request_limits import Counter, ProcessCounter, SharedCounter
from app.main import create_app
from app.utils.service_locator import Services, build_services
from tests.support.answers import problem
from tests.support.world import Person

USER, API_KEY, SENDER = 5, 4, 7
TOKEN = "the token of the webhook"
NEVER_LIMITED = [
    ("GET", "/health"),
    ("GET", "/health/live"),
    ("GET", "/metrics"),
    ("GET", "/p/1.2.3.x"),
    ("POST", "/v1/alerts/elastic"),
    ("POST", "/v1/notifications/callbacks/twilio"),
]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    quotas = {"rate_limit_per_user": USER, "rate_limit_per_api_key": API_KEY, "rate_limit_per_sender": SENDER}
    return settings.model_copy(update={"rate_limit_enabled": True, "elastic_webhook_token": SecretStr(TOKEN), **quotas})


@pytest.fixture
def limited(settings: Settings, services: Services) -> FastAPI:
    return create_app(settings, services)


@pytest.fixture
def asks(limited: FastAPI) -> Iterator[Callable[..., Any]]:
    """Asks for a user's own account, as a client with an address."""
    with TestClient(limited, client=("127.0.0.1", 50000)) as client:

        def ask(path: str = "/v1/users/me", *, sender: str = "192.0.2.1", method: str = "GET", **headers: str) -> Any:
            return client.request(method, path, headers={"X-Forwarded-For": sender, **headers})

        yield ask


def test_a_user_may_make_so_many_requests_and_no_more(asks: Callable[..., Any], user: Person) -> None:
    answers = [asks(sender=f"192.0.2.{number}", **user.headers) for number in range(USER + 1)]
    assert [answer.status_code for answer in answers] == [200] * USER + [429]
    refusal = problem(answers[-1], 429)
    assert refusal["code"] == "too_many_requests"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60


def test_each_answer_says_where_the_client_stands(asks: Callable[..., Any], user: Person) -> None:
    answers = [asks(**user.headers) for _ in range(USER + 2)]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {f'"user";q={USER};w=60'}
    told = [re.fullmatch(r'"user";r=(\d+);t=(\d+)', answer.headers["RateLimit"]) for answer in answers]
    assert [match and int(match[1]) for match in told] == [4, 3, 2, 1, 0, 0, 0]
    assert all(match and 1 <= int(match[2]) <= 60 for match in told)


def test_a_refusal_of_the_api_says_it_as_well(asks: Callable[..., Any]) -> None:
    answer = asks()
    assert answer.status_code == 401
    assert answer.headers["RateLimit-Policy"] == f'"sender";q={SENDER};w=60'


def test_one_user_does_not_use_up_what_another_one_has(asks: Callable[..., Any], user: Person, admin: Person) -> None:
    for _ in range(USER + 1):
        asks(**user.headers)
    assert asks(**admin.headers).status_code == 200


def test_several_logins_of_one_user_are_one_user(
    asks: Callable[..., Any], user: Person, log_in: Callable[..., Person]
) -> None:
    again = log_in(user.email)
    answers = [asks(**(user, again)[number % 2].headers).status_code for number in range(USER + 1)]
    assert answers == [200] * USER + [429]


def test_whoever_is_not_logged_in_is_counted_by_sender(asks: Callable[..., Any], user: Person) -> None:
    assert [asks("/reset-password").status_code for _ in range(SENDER + 1)] == [200] * SENDER + [429]
    assert asks("/reset-password", sender="192.0.2.2").status_code == 200
    assert asks(**user.headers).status_code == 200  # from the same address


def test_one_network_of_ipv6_is_one_sender(asks: Callable[..., Any]) -> None:
    answers = [asks("/reset-password", sender=f"2001:db8::{number}").status_code for number in range(SENDER + 1)]
    assert answers == [200] * SENDER + [429]


def test_a_forged_access_token_is_counted_by_its_sender(asks: Callable[..., Any], user: Person) -> None:
    forged = [f"{user.headers['Authorization']}{number}" for number in range(SENDER + 1)]
    answers = [asks(Authorization=token).status_code for token in forged]
    assert answers == [401] * SENDER + [429]


def test_an_api_key_is_counted_by_itself_wherever_it_comes_from(asks: Callable[..., Any]) -> None:
    def ask(number: int) -> Any:
        return asks(sender=f"192.0.2.{number}", Authorization="Bearer ims_some_key")

    answers = [ask(number) for number in range(API_KEY + 1)]
    assert [answer.status_code for answer in answers] == [401] * API_KEY + [429]
    assert answers[0].headers["RateLimit-Policy"] == f'"api-key";q={API_KEY};w=60'


def test_made_up_api_keys_are_counted_by_their_sender(asks: Callable[..., Any]) -> None:
    answers = [asks(Authorization=f"Bearer ims_{number}").status_code for number in range(SENDER + 1)]
    assert answers == [401] * SENDER + [429]


@pytest.mark.parametrize(("method", "path"), NEVER_LIMITED)
def test_what_must_get_through_is_never_limited(asks: Callable[..., Any], method: str, path: str) -> None:
    answers = [asks(path, method=method, **{"X-Webhook-Token": TOKEN}) for _ in range(SENDER * 2)]
    assert 429 not in {answer.status_code for answer in answers}
    assert not any("RateLimit" in answer.headers for answer in answers)


def test_a_limit_that_is_reached_is_logged_once(asks: Callable[..., Any]) -> None:
    with capture_logs() as logs:
        for _ in range(SENDER + 5):
            asks()
    [line] = [line for line in logs if line["event"] == "requests_limited"]
    assert (line["limit"], line["requests"]) == ("sender", SENDER)


def test_without_a_quota_nobody_is_limited_or_told(settings: Settings, services: Services) -> None:
    quotas = dict.fromkeys(("rate_limit_per_user", "rate_limit_per_api_key", "rate_limit_per_sender"), 0)
    app = create_app(settings.model_copy(update=quotas), services)
    with TestClient(app) as client:
        answers = [client.get("/v1/users/me") for _ in range(SENDER * 2)]
    assert {answer.status_code for answer in answers} == {401}
    assert not any("RateLimit" in answer.headers for answer in answers)


def test_limits_that_are_switched_off_say_nothing(client: TestClient, user: Person) -> None:
    answers = [client.get("/v1/users/me", headers=user.headers) for _ in range(SENDER * 2)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any("RateLimit" in answer.headers for answer in answers)


def test_processes_that_share_a_storage_count_together(settings: Settings, services: Services, user: Person) -> None:
    """Redis, as far as its client is concerned."""
    shared = SharedCounter(MemoryStorage())
    parts = build_services(settings, services.database, channels=services.channels)
    apps = [create_app(settings, parts) for _ in range(2)]
    for app in apps:
        _use(app, shared)
    clients = [TestClient(app) for app in apps]
    answers = [clients[n % 2].get("/v1/users/me", headers=user.headers).status_code for n in range(USER + 1)]
    assert answers == [200] * USER + [429]


def _use(app: FastAPI, counter: SharedCounter) -> None:
    [limits] = [one for one in app.user_middleware if getattr(one.cls, "__name__", "") == RequestLimits.__name__]
    limits.kwargs["counter"] = counter


class Away(MemoryStorage):
    """A storage that cannot be reached."""

    asked = 0

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        self.asked += 1
        raise StorageError(ConnectionError("nobody listens"))


def add(counter: Counter, times: int) -> list[int]:
    """Count some requests of one client."""

    async def run() -> list[int]:
        return [(await counter.add("a"))[0] for _ in range(times)]

    return asyncio.run(run())


@pytest.mark.parametrize(("retry_seconds", "asked"), [(3600, 1), (0, 3)])
def test_a_process_counts_alone_while_the_storage_is_away(retry_seconds: float, asked: int) -> None:
    storage = Away()
    counter = SharedCounter(storage, retry_seconds=retry_seconds)
    with capture_logs() as logs:
        assert add(counter, 3) == [1, 2, 3]
    assert [line["event"] for line in logs] == ["rate_limit_storage_unavailable"] * asked
    assert storage.asked == asked


def test_a_window_takes_a_minute() -> None:
    made, seconds = asyncio.run(ProcessCounter().add("a"))
    assert made == 1
    assert seconds == pytest.approx(60, abs=1)


@pytest.mark.parametrize(("seconds", "told"), [(60.000000000015, 60), (59.2, 60), (0.3, 1), (-0.1, 1)])
def test_a_client_is_told_whole_seconds_of_the_window(settings: Settings, seconds: float, told: int) -> None:
    class Counting:
        async def add(self, key: str) -> tuple[int, float]:
            return 1, seconds

    limits = RequestLimits(PlainTextResponse("well"), quotas=Quotas.of(settings), counter=Counting())
    answer = TestClient(limits).get("/v1/users/me")
    assert answer.headers["RateLimit"] == f'"sender";r={SENDER - 1};t={told}'


@pytest.mark.parametrize("url", ["http://127.0.0.1", "10.0.0.7:6379", "memcached://x", "memory://"])
def test_a_storage_that_is_no_redis_is_refused_and_not_repeated(url: str) -> None:
    settings = Settings(_env_file=None, rate_limit_storage_url=SecretStr(url))
    with pytest.raises(ConfigurationError, match="RATE_LIMIT_STORAGE_URL must look like redis://") as refusal:
        settings.check()
    assert url not in str(refusal.value)


def test_a_redis_whose_package_is_missing_is_told_at_the_start() -> None:
    """The service's requirements do not have it."""
    settings = Settings(_env_file=None, rate_limit_storage_url=SecretStr("redis://:hush@127.0.0.1:6379/0"))
    with pytest.raises(ConfigurationError, match="RATE_LIMIT_STORAGE_URL needs the package redis") as refusal:
        settings.check()
    assert "hush" not in str(refusal.value)
