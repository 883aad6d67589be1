"""Reading accounts page by page."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.support.answers import problem
from tests.support.world import PASSWORD, Person

USERS = "/v1/users"
NEW = {"email": "new@example.com", "password": PASSWORD}
COUNT = 7


@pytest.fixture
def ids(client: TestClient, admin: Person) -> list[int]:
    """The ids of all accounts, the administrator's first."""
    made = [
        client.post(USERS, json={**NEW, "email": f"user-{i}@example.com"}, headers=admin.headers).json()["id"]
        for i in range(COUNT - 1)
    ]
    return [admin.id, *made]


def page(client: TestClient, admin: Person, url: str = USERS, **query: Any) -> tuple[list[int], str | None]:
    """The ids on a page, and where the next one is."""
    answer = client.get(url, params=query or None, headers=admin.headers)
    assert answer.status_code == 200, answer.text
    return [user["id"] for user in answer.json()], answer.links.get("next", {}).get("url")


def test_a_list_is_a_bare_array_oldest_first(client: TestClient, admin: Person, ids: list[int]) -> None:
    assert page(client, admin) == (ids, None)


@pytest.mark.parametrize(("skip", "limit"), [(0, 3), (3, 3), (6, 3), (7, 1), (10_000, 500), (2, 1)])
def test_skip_and_limit_cut_a_page_out(
    client: TestClient, admin: Person, ids: list[int], skip: int, limit: int
) -> None:
    assert page(client, admin, skip=skip, limit=limit)[0] == ids[skip : skip + limit]


@pytest.mark.parametrize("limit", [1, 2, 3, COUNT, 500])
def test_the_links_lead_through_all_of_them_once(client: TestClient, admin: Person, ids: list[int], limit: int) -> None:
    seen, url = page(client, admin, limit=limit)
    while url is not None:
        found, url = page(client, admin, url)
        seen += found
    assert seen == ids


def test_the_link_continues_after_a_skipped_page_and_keeps_the_query(
    client: TestClient, admin: Person, ids: list[int]
) -> None:
    _, url = page(client, admin, skip=2, limit=2)
    assert url is not None
    assert url.startswith("http://testserver/v1/users?")
    assert "limit=2" in url
    assert "skip" not in url
    assert page(client, admin, url)[0] == ids[4:6]


def test_an_account_that_goes_or_comes_meanwhile_shifts_no_page(
    client: TestClient, admin: Person, ids: list[int]
) -> None:
    first, url = page(client, admin, limit=3)
    client.delete(f"{USERS}/{ids[1]}", headers=admin.headers)
    newest = client.post(USERS, json=NEW, headers=admin.headers).json()["id"]
    second, url = page(client, admin, url or "")
    third, _ = page(client, admin, url or "")
    assert first + second + third == [*ids, newest]


def test_the_next_page_is_for_those_who_may_see_the_first(
    client: TestClient, admin: Person, user: Person, ids: list[int]
) -> None:
    _, url = page(client, admin, limit=1)
    problem(client.get(url or "", headers=user.headers), 403)


@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", 0), ("limit", 501), ("limit", -1), ("skip", -1), ("skip", 10_001), ("cursor", -1), ("cursor", 2**31)],
)
def test_a_page_that_cannot_be_is_refused(client: TestClient, admin: Person, name: str, value: int) -> None:
    problem(client.get(USERS, params={name: value}, headers=admin.headers), 422, pointer=name)


def test_a_large_offset_is_refused_with_a_hint_to_the_cursor(client: TestClient, admin: Person) -> None:
    answer = client.get(USERS, params={"skip": 10**9}, headers=admin.headers)
    assert "cursor" in problem(answer, 422, pointer="skip")["detail"]
