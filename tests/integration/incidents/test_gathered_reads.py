"""Incidents and lists that are asked for at one moment are read together. The answers are those of the ordinary way."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import text

from app.core.batches import ALONE
from app.core.config import Settings
from app.core.vocabulary import Severity
from app.crud.incident_list import IncidentFilter
from app.crud.time_slice import TimeSlice
from app.db.session import Database
from app.models import User
from app.services.asked import Asked
from app.services.incidents import collaboration_service, incident_service
from tests.support.api import Api, together
from tests.support.statements import statements
from tests.support.world import Person, real_connections

ORDINARY = {"Idempotency-Key": "a request with a key is never gathered"}
LISTS = [
    "limit=3", "limit=500", "limit=2&cursor=100000000", "limit=2&cursor=3ffffffffffffff7fffffff",
    "status=open", "severity=high", "service=db", "source=api",
    "source=nobody", "created_by=1", "assigned_to=1&limit=1", "",
]  # fmt: skip


@pytest.fixture
def api(client: TestClient, user: Person) -> Api:
    return user.on(client)


def same(answer: Response, other: Response) -> bool:
    """True if two answers are the same bytes, and lead on to the same rows."""
    links = [one.headers.get("link", "").replace("skip=0&", "").replace("?skip=0", "?") for one in (answer, other)]
    return (answer.status_code, answer.content) == (other.status_code, other.content) and links[0] == links[1]


@pytest.mark.parametrize("query", LISTS)
def test_a_gathered_list_is_the_ordinary_one(api: Api, query: str) -> None:
    for severity in ("high", "low", "high", "medium"):
        api.open(severity=severity)
    ordinary = api.send(f"GET /incidents?skip=0&{query}")
    assert ordinary.status_code == 200
    assert same(api.send(f"GET /incidents?{query}"), ordinary)


@pytest.mark.parametrize(
    ("query", "status", "found"),
    [
        ("status=open&severity=low", 200, 1),
        ("severity=low&severity=high", 200, 3),
        ("limit=1&limit=3", 200, 3),
        ("limit=0", 422, None),
        ("limit=x", 422, None),
        ("colour=red", 422, None),
        ("service=%00", 422, None),
        ("q=disk", 200, 4),
    ],
)
def test_an_unusual_list_takes_the_ordinary_way(api: Api, query: str, status: int, found: int | None) -> None:
    for severity in ("high", "low", "high", "medium"):
        api.open(severity=severity)
    answer = api.call(f"GET /incidents?{query}", wants=status)
    assert found is None or len(answer) == found


def test_a_gathered_record_is_the_ordinary_one(api: Api) -> None:
    incident = api.open(metadata={"disk": [1, 2.5, None, "ü"]})
    api.call(f"POST /incidents/{incident['id']}/acknowledge", {"comment": "On it."})
    api.call(f"POST /incidents/{incident['id']}/comments", {"content": "Done.\n"})
    line = f"GET /incidents/{incident['id']}"
    assert same(api.send(line), api.send(line, headers=ORDINARY))
    assert len(api.call(line)["comments"]) == 2


@pytest.mark.parametrize("number", [100, 101])
def test_a_long_record_takes_the_ordinary_way(api: Api, database: Database, user: Person, number: int) -> None:
    incident = api.open()
    with database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO incident_comments (incident_id, user_id, content) "
                "SELECT :id, :user, 'Still failing.' FROM generate_series(1, :number)"
            ),
            {"id": incident["id"], "user": user.id, "number": number},
        )
    assert len(api.incident(incident["id"])["comments"]) == number


def test_a_large_record_takes_the_ordinary_way(api: Api) -> None:
    incident = api.open()
    for letter in "abcd":
        api.call(f"POST /incidents/{incident['id']}/comments", {"content": letter * 20_000})
    assert [comment["content"][0] for comment in api.incident(incident["id"])["comments"]] == list("abcd")


def test_those_who_read_together_each_get_their_answer(settings: Settings, own_database: Database) -> None:
    with real_connections(settings, own_database) as api:
        ids = [api.open(title=f"Disk {number}")["id"] for number in range(4)]
        lines = [f"GET /incidents/{id_}" for id_ in [*ids, 1_000_000, *ids]] + ["GET /incidents?limit=2"] * 8
        answers = together([partial(api.send, line) for line in lines])
        assert [answer.status_code for answer in answers] == [200] * 4 + [404] + [200] * 12
        assert [answer.json()["id"] for answer in (*answers[:4], *answers[5:9])] == ids * 2
        assert [[row["id"] for row in answer.json()] for answer in answers[9:]] == [[ids[3], ids[2]]] * 8


@pytest.fixture
def reader(database: Database, user: Person) -> User:
    with database.session() as session:
        return session.get_one(User, user.id)


def test_equal_lists_are_read_once(api: Api, database: Database, reader: User) -> None:
    api.open()
    wanted: list[Any] = [
        (IncidentFilter(), TimeSlice(5)),
        (IncidentFilter(), TimeSlice(5)),
        (IncidentFilter(), TimeSlice(6)),
    ]
    with database.session() as session, statements(database) as seen:
        pages = incident_service.search_each(session, [Asked(reader, one) for one in wanted], waits=False)
    assert pages[0] is pages[1]
    assert pages[0] is not pages[2]
    assert sum(one.startswith("SELECT") for one in seen) == 2


def test_a_list_that_is_large_is_not_read_with_others(api: Api, database: Database, reader: User) -> None:
    for _ in range(2):
        api.open(description="x" * 9_000)
    wanted = [(IncidentFilter(severity=(Severity.MEDIUM,)), TimeSlice(5, max_bytes=size)) for size in (9_000, 90_000)]
    with database.session() as session:
        small, large = incident_service.search_each(session, [Asked(reader, one) for one in wanted], waits=False)
    assert small is ALONE
    assert large is not ALONE


def test_many_records_take_as_many_statements_as_one(
    api: Api, database: Database, reader: User, open_incident: Callable[..., dict[str, Any]]
) -> None:
    ids = [open_incident()["id"] for _ in range(5)]
    counts = []
    for some in (ids[:1], ids):
        with database.session() as session, statements(database) as seen:
            collaboration_service.read_each(session, [Asked(reader, id_) for id_ in some], waits=False)
        counts.append(len(seen))
    assert counts[0] == counts[1]
