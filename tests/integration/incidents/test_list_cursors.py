"""The cursors of the list of incidents: no incident is lost between two pages, and none is repeated."""

from itertools import pairwise
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db.session import Database
from tests.support.answers import problem
from tests.support.api import Api
from tests.support.pages import next_url, pages
from tests.support.world import Clock, Person

NARROWED = ["", "&service=unknown", "&status=open&status=acknowledged", "&created_after=2020-01-01T00:00:00Z"]


@pytest.fixture
def api(client: TestClient, user: Person) -> Api:
    return user.on(client)


def ids(items: list[dict[str, Any]]) -> list[int]:
    return [item["id"] for item in items]


def walk(api: Api, path: str) -> list[int]:
    return [incident_id for page in pages(api, path) for incident_id in ids(page)]


def delete(database: Database, *incident_ids: int) -> None:
    with database.transaction() as session:
        session.execute(text("DELETE FROM incidents WHERE id = ANY (:ids)"), {"ids": list(incident_ids)})


@pytest.mark.parametrize("narrowed", NARROWED)
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_incidents_of_the_same_time_are_listed_once(api: Api, narrowed: str, limit: int) -> None:
    api.alert(alerts=[{"id": n} for n in range(7)])
    whole = api.call("GET /incidents")
    assert len({incident["created_at"] for incident in whole}) == 1
    assert walk(api, f"/incidents?limit={limit}{narrowed}") == ids(whole)


@pytest.mark.parametrize("narrowed", ["", "&severity=high"])
def test_the_list_goes_by_time_even_where_the_ids_do_not(api: Api, database: Database, narrowed: str) -> None:
    made = [api.open(severity="high")["id"] for _ in range(5)]
    for hours, incident_id in enumerate(made):  # the first is the newest
        move = "UPDATE incidents SET created_at = created_at - make_interval(hours => :hours) WHERE id = :id"
        with database.transaction() as session:
            session.execute(text(move), {"hours": hours, "id": incident_id})
    assert walk(api, f"/incidents?limit=2{narrowed}") == made
    times = [incident["created_at"] for incident in api.call("GET /incidents")]
    assert all(newer > older for newer, older in pairwise(times))


def test_a_page_goes_on_where_its_last_incident_was_deleted(api: Api, database: Database) -> None:
    made = [api.open()["id"] for _ in range(6)]
    page, url = next_url(api, "/v1/incidents?limit=2")
    delete(database, made[4], made[3])  # the last one seen, and the next one
    assert url is not None
    assert ids(page) == made[:3:-1]
    assert ids(next_url(api, url)[0]) == [made[2], made[1]]


def test_the_ids_that_the_previous_release_used_as_cursors_still_work(
    api: Api, database: Database, clock: Clock
) -> None:
    made = []
    for _ in range(4):
        made.append(api.open()["id"])
        clock.advance(minutes=1)
    assert ids(api.call(f"GET /incidents?cursor={made[2]}")) == [made[1], made[0]]
    delete(database, made[2])
    assert ids(api.call(f"GET /incidents?cursor={made[2]}")) == [made[1], made[0]]
    assert api.call("GET /incidents?cursor=0") == []
    assert len(api.call("GET /incidents?cursor=2147483647")) == 3


@pytest.mark.parametrize("cursor", ["", "x", "-1", "2147483648", "0" * 22, "f" * 23, "0" * 24, "%D9%A1", "1.5"])
def test_a_wrong_cursor_is_refused_with_where_to_get_one(api: Api, cursor: str) -> None:
    refusal = problem(api.send(f"GET /incidents?cursor={cursor}"), 422, pointer="cursor")
    assert "Use the one in the Link header" in refusal["detail"]


def test_a_value_that_is_given_twice_lists_its_incidents_once(api: Api) -> None:
    made = [api.open(service="db")["id"] for _ in range(2)]
    assert ids(api.call("GET /incidents?service=db&service=db&status=open&status=open")) == made[::-1]


def test_filters_on_two_people_and_a_service_must_all_hold(api: Api, user: Person, admin: Person) -> None:
    mine = api.open(service="db", assigned_to=user.id)["id"]
    api.open(service="db", assigned_to=admin.id)
    api.open(service="web", assigned_to=user.id)
    query = f"assigned_to={user.id}&created_by={user.id}&service=db&severity=medium&source=api&unmatched=true"
    assert ids(api.call(f"GET /incidents?{query}")) == [mine]
    assert ids(api.call(f"GET /incidents?{query.replace('true', 'false')}")) == []
