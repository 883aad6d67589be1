"""Wrong tokens of webhooks: they are limited and logged, and the admins hear when a token that worked is refused."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.crud import crud_webhook_token
from app.crud.clock import now
from app.main import create_app
from app.services.accounts.guess import LIMITS
from app.utils.service_locator import Services, build_services
from tests.support.answers import problem
from tests.support.api import Api
from tests.support.contention import stored_text
from tests.support.scenario import Tick
from tests.support.world import ADMIN, Clock, Outbox, Person

OLD, NEW = "the token until today", "the token from today on"
HOOK = "POST /alerts/elastic"
Starter = Callable[..., TestClient]


@contextmanager
def process(services: Services, token: str, *, is_limited: bool = False) -> Iterator[TestClient]:
    """A process of the service that takes this token."""
    changed = {"elastic_webhook_token": SecretStr(token), "rate_limit_enabled": is_limited}
    settings = services.settings.model_copy(update=changed)
    parts = build_services(settings, services.database, channels=services.channels)
    with TestClient(create_app(settings, parts)) as client:
        yield client


def post(client: TestClient, token: str, *, wants: int) -> None:
    Api(client).call(HOOK, {"id": "a"}, headers={"X-Webhook-Token": token}, wants=wants)


def addresses(outbox: Outbox) -> list[str]:
    return [envelope.address for envelope in outbox.sent]


def test_a_token_that_worked_and_is_refused_pages_the_admins_once(
    services: Services, admin: Person, tick: Tick, outbox: Outbox
) -> None:
    with process(services, OLD) as client:
        post(client, OLD, wants=201)
    for _ in range(2):  # processes that know of each other by the database only
        with process(services, NEW) as client:
            post(client, NEW, wants=201)
            for _ in range(3):
                post(client, OLD, wants=401)
        tick()
    assert addresses(outbox) == [ADMIN]
    assert "Alerts from elastic are refused" in outbox.sent[0].subject
    with process(services, NEW) as client:
        about = [i["title"] for i in admin.on(client).call("GET /incidents?source=system")]
    assert about == ["Alerts from elastic are refused: a token that worked is wrong now"]


def test_of_processes_that_refuse_a_token_at_once_one_is_first(services: Services) -> None:
    """Both have read that it worked: the incident may be resolved before the second one looks."""
    with services.database.transaction() as session:
        crud_webhook_token.keep_working(session, "elastic", "seal", at=now(session))
        refused = [crud_webhook_token.mark_refused(session, "elastic", "seal", at=now(session)) for _ in range(2)]
    assert refused == [True, False]


def test_a_token_that_works_again_and_is_refused_again_pages_again(
    services: Services, admin: Person, tick: Tick, outbox: Outbox, clock: Clock
) -> None:
    for _ in range(2):
        with process(services, OLD) as client:
            post(client, OLD, wants=201)
        with process(services, NEW) as client:
            post(client, OLD, wants=401)
            [incident] = admin.on(client).call("GET /incidents?source=system&status=open")
            tick()
            clock.advance(minutes=5)
            admin.on(client).call(f"POST /incidents/{incident['id']}/resolve")
    assert addresses(outbox) == [ADMIN] * 2


def test_a_token_that_never_worked_pages_nobody(services: Services, admin: Person, tick: Tick, outbox: Outbox) -> None:
    with process(services, NEW) as client:
        post(client, NEW, wants=201)
        post(client, "a guess", wants=401)
        tick()
        assert admin.on(client).call("GET /incidents?source=system") == []
    assert not [envelope for envelope in outbox.sent if "are refused" in envelope.subject]


def test_wrong_tokens_are_limited_and_a_right_one_never_is(services: Services) -> None:
    limit = LIMITS["webhook_token"].sender.free
    with process(services, NEW, is_limited=True) as client, capture_logs() as logs:
        for _ in range(limit):
            post(client, "a guess", wants=401)
        refusal = Api(client).send(HOOK, {"id": "a"}, headers={"X-Webhook-Token": "a guess"})
        assert "Retry-After" in refusal.headers
        problem(refusal, 429)
        for _ in range(limit + 1):  # through the same proxy
            post(client, NEW, wants=201)
    assert [line["source"] for line in logs if line["event"] == "webhook_token_refused"] == ["elastic"] * limit
    assert "a guess" not in str(logs)


def test_a_sender_is_told_that_the_token_worked_also_behind_guesses(
    services: Services, admin: Person, tick: Tick, outbox: Outbox
) -> None:
    """The page does not depend on the limit, which somebody else may have used up."""
    with process(services, OLD) as client:
        post(client, OLD, wants=201)
    with process(services, NEW, is_limited=True) as client:
        for _ in range(LIMITS["webhook_token"].sender.free):
            post(client, "a guess", wants=401)
        post(client, OLD, wants=429)
    tick()
    assert addresses(outbox) == [ADMIN]


@pytest.mark.parametrize("token", [OLD, NEW])
def test_the_database_has_no_token_in_it(services: Services, token: str) -> None:
    with process(services, token) as client:
        post(client, token, wants=201)
    assert token not in stored_text(services.database, "webhook_tokens")
