"""Finding incidents, and turning the pages of lists."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from tests.support.answers import problem
from tests.support.api import Api
from tests.support.pages import pages
from tests.support.world import Clock, Person

# Title, severity, service, state. All by the ordinary user, except the alert.
INCIDENTS = {
    "a": ("critical", "db", "open"),
    "b": ("high", "db", "acknowledged"),
    "c": ("high", "api", "resolved"),
    "d": ("low", "db-replica", "snoozed"),
    "e": ("low", "DB", "open"),
}
TEXTS = {
    "plain": {"title": "Disk full on host-7"},
    "percent": {"title": "Load at 100% for 5 minutes"},
    "underscore": {"title": "job_runner died"},
    "quotes": {"title": 'it\'s "down"'},
    "backslash": {"title": r"C:\temp is gone; DROP TABLE incidents; --"},
    "unicode": {"title": "Überlauf im Straßennetz", "description": "Ошибка 数据库 🔥"},
    "described": {"title": "Other", "description": "the host is unreachable"},
    "service": {"title": "Other", "service": "billing-api"},
}


@pytest.fixture
def api(client: TestClient, user: Person) -> Api:
    return Api(client, user.headers)


@pytest.fixture
def listed(api: Api, admin: Person) -> Api:
    """The incidents above, and an alert that is assigned to the administrator."""
    moves = {"acknowledged": "acknowledge", "resolved": "resolve", "snoozed": "snooze?hours=1"}
    for title, (severity, service, state) in INCIDENTS.items():
        incident = api.open(title=title, severity=severity, service=service)
        if state in moves:
            api.call(f"POST /incidents/{incident['id']}/{moves[state]}")
    alert = api.alert(name="f", severity="medium", service="api", id="f")
    api.call(f"PUT /incidents/{alert['incident_id']}", {"assigned_to": admin.id})
    return api


def titles(api: Api, query: str) -> str:
    return "".join(incident["title"] for incident in api.call(f"GET /incidents?{query}"))


def ids(items: list[dict[str, Any]]) -> list[int]:
    return [item["id"] for item in items]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "fedcba"),
        ("status=open", "fea"),
        ("status=open&status=snoozed", "feda"),
        ("severity=high", "cb"),
        ("severity=high&severity=critical", "cba"),
        ("service=db", "ba"),
        ("service=db&service=api", "fcba"),
        ("service=nothing", ""),
        ("service=%25", ""),
        ("source=elastic", "f"),
        ("source=api", "edcba"),
        ("source=api&source=elastic", "fedcba"),
        ("status=open&severity=critical", "a"),
        ("status=resolved&severity=critical", ""),
        ("status=open&status=acknowledged&severity=high&severity=critical&service=db", "ba"),
        ("assigned_to=ADMIN", "f"),
        ("assigned_to=USER", "b"),  # who acknowledged it
        ("assigned_to=USER&assigned_to=ADMIN", "fb"),
        ("created_by=USER", "edcba"),
        ("created_by=ADMIN", ""),
        ("created_by=USER&status=open&q=e", "e"),
        ("q=", "fedcba"),
        ("skip=2&limit=2", "dc"),
        ("skip=6", ""),
        ("status=open&skip=1&limit=1", "e"),
    ],
)
def test_values_of_a_filter_are_alternatives_and_filters_must_all_hold(
    listed: Api, user: Person, admin: Person, query: str, expected: str
) -> None:
    assert titles(listed, query.replace("USER", str(user.id)).replace("ADMIN", str(admin.id))) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("disk", {"plain"}),
        ("DISK", {"plain"}),
        ("full disk", {"plain"}),
        ("disk empty", set()),
        ("host", {"plain", "described"}),
        ("host unreachable", {"described"}),
        ("other billing", {"service"}),
        ("isk", {"plain"}),
        ("%", {"percent"}),
        ("100%", {"percent"}),
        ("1%0", set()),
        ("_", {"underscore"}),
        ("b_r", {"underscore"}),
        ("job-runner", set()),
        ("it's", {"quotes"}),
        ('"down"', {"quotes"}),
        ("\\", {"backslash"}),
        ("/", set()),
        ("c:\\TEMP", {"backslash"}),
        ("'; DROP TABLE", set()),
        ("ÜBERLAUF", {"unicode"}),
        ("straßen", {"unicode"}),
        ("ошибка", {"unicode"}),
        ("数据", {"unicode"}),
        ("🔥 im", {"unicode"}),
        ("  disk \t full\n", {"plain"}),
        ("\N{NO-BREAK SPACE}", set(TEXTS)),
        ("a b c d e z", set()),
    ],
)
def test_the_search_finds_every_word_as_it_is_written(api: Api, words: str, expected: set[str]) -> None:
    made = {api.open(**fields)["id"]: name for name, fields in TEXTS.items()}
    found = api.call(f"GET /incidents?q={quote(words)}")
    assert {made[incident["id"]] for incident in found} == expected


def test_times_bound_the_list_from_the_first_up_to_before_the_last(api: Api, clock: Clock) -> None:
    made = []
    for _ in range(4):
        made.append(api.open())
        clock.advance(hours=1)
    first, last = (quote(made[n]["created_at"]) for n in (1, 3))
    assert ids(api.call(f"GET /incidents?created_after={first}&created_before={last}")) == ids(made[2:0:-1])
    assert ids(api.call(f"GET /incidents?created_before={first}")) == ids(made[:1])
    assert ids(api.call(f"GET /incidents?created_after={last}")) == ids(made[3:])


def test_a_time_may_be_given_in_another_zone(api: Api) -> None:
    incident = api.open()
    there = datetime.fromisoformat(incident["created_at"]) + timedelta(hours=2)
    same_moment = quote(there.replace(tzinfo=None).isoformat() + "+02:00")
    assert ids(api.call(f"GET /incidents?created_after={same_moment}")) == [incident["id"]]
    assert api.call(f"GET /incidents?created_before={same_moment}") == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("status=closed", "status"),
        ("status=open&status=", "status"),
        ("severity=HIGH", "severity"),
        ("assigned_to=me", "assigned_to"),
        ("created_by=0", "created_by"),
        ("created_after=yesterday", "created_after"),
        ("created_before=2026-01-20T10:30:00", "created_before"),
        ("q=" + "x" * 201, "q"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=all", "limit"),
        ("skip=-1", "skip"),
        ("cursor=-1", "cursor"),
        ("cursor=x", "cursor"),
        ("cursor=99999999999", "cursor"),
    ],
)
def test_a_wrong_filter_is_refused_by_its_name(api: Api, query: str, pointer: str) -> None:
    problem(api.send(f"GET /incidents?{query}"), 422, pointer=pointer)


def test_a_page_has_a_hundred_unless_told_and_five_hundred_at_most(api: Api) -> None:
    api.alert(alerts=[{"id": n} for n in range(501)])
    whole = api.call("GET /incidents?limit=500")
    assert len(whole) == 500
    assert api.call("GET /incidents") == whole[:100]


@pytest.mark.parametrize("path", ["/incidents", "/incidents/1/timeline", "/incidents/1/comments"])
def test_a_large_offset_is_refused_with_a_hint_to_the_cursor(api: Api, path: str) -> None:
    refusal = problem(api.send(f"GET {path}?skip=10001"), 422, pointer="skip")
    assert "cursor" in refusal["detail"]
    assert api.call("GET /incidents?skip=10000") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 500])
def test_the_links_lead_through_the_whole_list_in_its_order(listed: Api, limit: int) -> None:
    whole = listed.call("GET /incidents")
    found = list(pages(listed, f"/incidents?limit={limit}"))
    assert [incident for page in found for incident in page] == whole
    assert all(len(page) == limit for page in found[:-1])


def test_a_link_keeps_the_filters_and_begins_after_what_was_skipped(listed: Api) -> None:
    path = "/incidents?status=open&status=snoozed&q=&severity=low&severity=critical&skip=1&limit=1"
    assert ["".join(i["title"] for i in page) for page in pages(listed, path)] == ["d", "a", ""]


def test_a_search_with_odd_characters_survives_its_link(api: Api) -> None:
    made = [api.open(title='100% <b>"ü"&_</b>')["id"] for _ in range(3)]
    words = quote('<b>"Ü"&_ 100%')
    assert [i["id"] for page in pages(api, f"/incidents?limit=1&q={words}") for i in page] == made[::-1]


def test_incidents_opened_between_two_pages_repeat_and_hide_none(api: Api) -> None:
    made = [api.open()["id"] for _ in range(6)]
    seen = []
    for page in pages(api, "/incidents?limit=2"):
        seen += ids(page)
        api.open()
    assert seen == made[::-1]


def test_incidents_that_leave_the_filter_meanwhile_hide_no_others(api: Api) -> None:
    made = [api.open()["id"] for _ in range(6)]
    seen = []
    for page in pages(api, "/incidents?status=open&limit=2"):
        seen += ids(page)
        for incident_id in ids(page):
            api.call(f"POST /incidents/{incident_id}/resolve")
    assert seen == made[::-1]


@pytest.mark.parametrize(("what", "newest_first"), [("comments", False), ("timeline", True)])
def test_the_lists_of_an_incident_have_pages_too(api: Api, what: str, newest_first: bool) -> None:
    incident_id = api.open()["id"]
    for n in range(4):
        api.call(f"POST /incidents/{incident_id}/comments", {"content": f"comment {n}"})
    path = f"/incidents/{incident_id}/{what}"
    whole = api.call(f"GET {path}")
    assert ids(whole) == sorted(ids(whole), reverse=newest_first)
    assert [item for page in pages(api, f"{path}?limit=3") for item in page] == whole
    assert api.call(f"GET {path}?skip=1&limit=2") == whole[1:3]
