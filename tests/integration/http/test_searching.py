"""What reading may cost: the database's time, words, values of a filter, and searches side by side."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.api import searching
from app.core.config import Settings
from app.core.errors import QueryTooSlow
from app.db.budget import limited
from app.db.session import Database
from app.utils.service_locator import Services
from tests.support.answers import problem
from tests.support.contention import waiting
from tests.support.statements import statements
from tests.support.waiting import wait_until
from tests.support.world import Person, real_connections

pytestmark = pytest.mark.slow

NAP = text("SELECT pg_sleep(0.3)")
SEARCHES = ("/v1/incidents", "/v1/users/directory")


def test_a_search_that_takes_too_long_says_how_to_narrow_it(settings: Settings, own_database: Database) -> None:
    with real_connections(settings, own_database) as api, own_database.transaction() as other:
        other.execute(text("LOCK TABLE incidents IN ACCESS EXCLUSIVE MODE"))
        found = problem(api.send("GET /incidents?q=di"), 503)
        assert found["code"] == "query_too_slow"
        for way in ("status", "service", "created_after", "longer words", "limit"):
            assert way in found["detail"]


def test_statements_that_are_fast_alone_share_one_limit(own_database: Database) -> None:
    def nap(times: int) -> None:
        with own_database.transaction() as session, limited(1):
            for _ in range(times):
                session.execute(NAP)

    nap(2)
    with pytest.raises(QueryTooSlow):
        nap(4)
    with own_database.transaction() as session:
        assert session.scalar(text("SHOW statement_timeout")) == "1min"


def test_the_limit_costs_no_statement_of_its_own(own_database: Database) -> None:
    with statements(own_database) as seen, own_database.transaction() as session, limited():
        for _ in range(3):
            assert session.scalar(text("SELECT 1")) == 1
    assert len(seen) == 3
    with own_database.transaction() as session, limited():
        assert session.scalar(text("SHOW statement_timeout")) == "2900ms"


@pytest.mark.parametrize("path", SEARCHES)
def test_a_search_has_at_most_six_words(client: TestClient, user: Person, path: str) -> None:
    assert client.get(f"{path}?q=a+b+c+d+e+f", headers=user.headers).status_code == 200
    found = problem(client.get(f"{path}?q=a+b+c+d+e+f+g", headers=user.headers), 422, pointer="q")
    assert found["detail"] == "q has 7 words. Use at most 6."
    problem(client.get(f"{path}?q=a+b+c+d+e+f+g"), 401)


@pytest.mark.parametrize(
    "parameter",
    ["incidents?service=a", "incidents?status=open", "incidents?created_by=1", "notifications?channel=email"],
)
def test_a_filter_has_at_most_a_hundred_values(client: TestClient, user: Person, parameter: str) -> None:
    path, _, pair = parameter.partition("?")
    assert client.get(f"/v1/{path}?{'&'.join([pair] * 100)}", headers=user.headers).status_code == 200
    name = pair.split("=")[0]
    problem(client.get(f"/v1/{path}?{'&'.join([pair] * 101)}", headers=user.headers), 422, pointer=name)


def test_searches_side_by_side_leave_the_rest_alone(settings: Settings, own_database: Database) -> None:
    """Of six searches of one person, two are at the database; everything else of theirs goes on."""
    with (
        real_connections(settings, own_database) as api,
        ThreadPoolExecutor(6) as threads,
        own_database.transaction() as other,
    ):
        other.execute(text("LOCK TABLE incidents IN ACCESS EXCLUSIVE MODE"))
        searches = [threads.submit(api.send, "GET /incidents?q=di") for _ in range(6)]
        wait_until(lambda: waiting(own_database) == searching.OF_ONE_USER, seconds=30)
        assert api.call("GET /users/me")["email"]
        assert waiting(own_database) == searching.OF_ONE_USER
        other.rollback()
        assert [search.result(60).status_code for search in searches] == [200] * 6


class Client:
    """Somebody who searches, and may close the connection before the answer comes."""

    def __init__(self, services: Services, person: Person, path: str = "/v1/incidents?q=di") -> None:
        raw_path, _, query = path.partition("?")
        headers = [(b"authorization", person.headers["Authorization"].encode())]
        scope = {"type": "http", "method": "GET", "path": raw_path, "query_string": query.encode(), "headers": headers}
        self.request = Request(
            {**scope, "app": SimpleNamespace(state=SimpleNamespace(services=services))}, self._receive
        )
        self.has_left, self.may_end, self.is_searching = asyncio.Event(), asyncio.Event(), False

    async def search(self) -> None:
        async with searching.turn(self.request):
            self.is_searching = True
            await self.may_end.wait()
        self.is_searching = False

    async def _receive(self) -> dict[str, Any]:
        await self.has_left.wait()
        return {"type": "http.disconnect"}


async def settle() -> None:
    """Let everybody go as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


def running(clients: list[Client]) -> list[int]:
    return [number for number, client in enumerate(clients) if client.is_searching]


def test_whoever_leaves_while_they_wait_frees_their_place(services: Services, user: Person) -> None:
    async def scenario() -> None:
        searching.set_up(threads=10)
        clients = [Client(services, user) for _ in range(5)]
        tasks = [asyncio.create_task(client.search()) for client in clients]
        await settle()
        assert running(clients) == [0, 1]
        clients[2].has_left.set()
        await settle()
        assert isinstance(tasks[2].exception(), searching.ClientLeft)
        tasks[3].cancel()
        clients[0].may_end.set()
        await settle()
        assert running(clients) == [1, 4]
        for client in clients:
            client.may_end.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        again = [Client(services, user) for _ in range(3)]
        tasks = [asyncio.create_task(client.search()) for client in again]
        await settle()
        assert running(again) == [0, 1]
        for client in again:
            client.may_end.set()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())


def test_the_searches_of_everybody_together_are_bounded(
    services: Services, user: Person, sign_up: Callable[..., Person]
) -> None:
    people = [user, *(sign_up(f"colleague{n}@example.com") for n in range(3))]

    async def most_at_once(threads: int) -> int:
        searching.set_up(threads)
        clients = [Client(services, person) for person in people for _ in range(2)]
        tasks = [asyncio.create_task(client.search()) for client in clients]
        await settle()
        found = len(running(clients))
        for client in clients:
            client.may_end.set()
        await asyncio.gather(*tasks)
        return found

    assert [asyncio.run(most_at_once(threads)) for threads in (2, 4, 10, 100)] == [1, 2, 4, 4]


def test_only_a_search_waits_for_its_turn(services: Services, user: Person) -> None:
    async def scenario() -> None:
        searching.set_up(threads=10)
        clients = [Client(services, user, "/v1/incidents?q=+&status=open") for _ in range(5)]
        tasks = [asyncio.create_task(client.search()) for client in clients]
        await settle()
        assert running(clients) == [0, 1, 2, 3, 4]
        for client in clients:
            client.may_end.set()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())
