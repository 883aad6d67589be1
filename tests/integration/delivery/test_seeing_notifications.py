"""Who sees which deliveries, and how to find one."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome
from app.utils.service_locator import Services
from tests.support.answers import problem
from tests.support.scenario import Opener, Tick, notify
from tests.support.world import ADMIN, Clock, Outbox, Person

LATER = Outcome(AttemptOutcome.RETRY, status_code=451, error="busy")
DEAD = Outcome(AttemptOutcome.DEAD, status_code=550, error="no such user")
Delivery = dict[str, Any]
SignUp = Callable[..., Person]


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


@pytest.fixture
def incident(
    add_policy: Opener, open_incident: Opener, on_call: Person, tick: Tick, outbox: Outbox, clock: Clock
) -> dict[str, Any]:
    """One of which the person on call was sent a text; a mail to the administrator took two attempts."""
    outbox.answers = [LATER]
    actions = [notify(), notify(target=on_call.id, channels=["sms"])]
    add_policy(steps=[{"delay_minutes": 0, "actions": actions}])
    opened: dict[str, Any] = open_incident()
    tick()
    clock.advance(seconds=2)
    tick()
    return opened


def get(client: TestClient, by: Person, path: str, **query: Any) -> list[Delivery]:
    answer = client.get(f"/v1{path}", headers=by.headers, params=query)
    assert answer.status_code == 200, answer.text
    found: list[Delivery] = answer.json()
    return found


def of_incident(client: TestClient, by: Person, incident: dict[str, Any]) -> list[Delivery]:
    return get(client, by, f"/incidents/{incident['id']}/notifications")


def test_an_administrator_sees_every_delivery_with_its_attempts(
    client: TestClient, admin: Person, on_call: Person, incident: dict[str, Any]
) -> None:
    found = of_incident(client, admin, incident)
    assert [row["id"] for row in found] == sorted((row["id"] for row in found), reverse=True)
    by_channel = {row["channel"]: row for row in found}
    mail, text = by_channel["email"], by_channel["sms"]
    assert (mail["recipient"], mail["status"], mail["attempt"]) == (ADMIN, "accepted", 2)
    assert [(one["outcome"], one["status_code"], one["error"]) for one in mail["attempts"]] == [
        ("retry", 451, "busy"),
        ("accepted", None, None),
    ]
    assert (text["recipient"], text["user_id"], text["status"]) == ("+15550100", on_call.id, "accepted")
    assert (text["incident_id"], text["kind"], len(text["attempts"])) == (incident["id"], "page", 1)
    assert {text[name] for name in ("fallback_of", "bundle_id", "delivered_at", "last_error")} == {None}
    assert None not in {text[name] for name in ("accepted_at", "ended_at", "event_id", "provider_id", "created_at")}


def test_responders_see_of_others_only_what_tells_them_apart(
    client: TestClient, user: Person, on_call: Person, admin: Person, incident: dict[str, Any]
) -> None:
    assert {row["recipient"] for row in of_incident(client, user, incident)} == {"a***@example.com", "***00"}
    path = f"/v1/incidents/{incident['id']}/assign"
    assert client.post(path, json={"user_id": on_call.id}, headers=admin.headers).status_code == 200
    assert {row["recipient"] for row in of_incident(client, on_call, incident)} == {"a***@example.com", "+15550100"}


def test_the_deliveries_of_an_incident_are_for_who_may_see_them(
    client: TestClient, on_call: Person, admin: Person, sign_up: SignUp, incident: dict[str, Any]
) -> None:
    path = f"/v1/incidents/{incident['id']}/notifications"
    assert client.get(path, headers=on_call.headers).status_code == 200  # who was paged
    problem(client.get(path, headers=sign_up().headers), 403)
    assert client.get(path).status_code == 401
    for unknown in ("2000000000", "0", "x"):
        problem(admin.on(client).send(f"GET /incidents/{unknown}/notifications"), 404)


def test_a_fallback_names_what_it_stands_in_for(
    client: TestClient, admin: Person, incident: dict[str, Any], open_incident: Opener, tick: Tick, sms: Outbox
) -> None:
    sms.answers = [DEAD]
    another = open_incident()
    for _ in range(2):
        tick()
    rows = of_incident(client, admin, another)
    [dead] = [row for row in rows if row["status"] == "dead"]
    [instead] = [row for row in rows if row["fallback_of"] is not None]
    assert (instead["fallback_of"], instead["channel"], instead["user_id"]) == (dead["id"], "email", dead["user_id"])
    assert incident["id"] not in {row["incident_id"] for row in rows}


def test_pages_in_one_message_name_it(
    client: TestClient,
    admin: Person,
    on_call: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    clock: Clock,
) -> None:
    add_policy(steps=[{"delay_minutes": 0, "actions": [notify(target=on_call.id)]}])
    incidents = [open_incident(title=f"Disk {number}") for number in range(8)]
    tick()
    clock.advance(seconds=25)
    tick()
    [page] = of_incident(client, admin, incidents[-1])
    [bundle] = [row for row in get(client, on_call, "/notifications") if row["kind"] == "bundle"]
    assert (bundle["incident_id"], bundle["status"], len(bundle["attempts"])) == (None, "accepted", 1)
    found = (page["bundle_id"], page["status"], page["attempts"])
    assert found == (bundle["id"], "accepted", bundle["attempts"])


def test_people_list_their_own_deliveries_and_administrators_all(
    client: TestClient, admin: Person, user: Person, on_call: Person, incident: dict[str, Any]
) -> None:
    listed = get(client, admin, "/notifications")
    assert listed == of_incident(client, admin, incident)
    assert get(client, on_call, "/notifications") == [row for row in listed if row["user_id"] == on_call.id]
    assert get(client, user, "/notifications") == []


@pytest.fixture
def several(client: TestClient, incident: dict[str, Any], open_incident: Opener, tick: Tick, sms: Outbox) -> int:
    """A second incident, whose text was refused; its id."""
    sms.answers = [DEAD]
    second: int = open_incident(title="Another")["id"]
    for _ in range(2):
        tick()
    return second


FOUND: list[tuple[dict[str, Any], list[tuple[str, str, str]]]] = [
    (
        {},
        [
            ("first", "email", "accepted"),
            ("first", "sms", "accepted"),
            ("second", "sms", "dead"),
            ("second", "email", "accepted"),  # the fallback, and the administrator's page
        ],
    ),
    ({"channel": "sms"}, [("first", "sms", "accepted"), ("second", "sms", "dead")]),
    ({"channel": ["sms", "email"], "status": "dead"}, [("second", "sms", "dead")]),
    ({"status": ["dead", "cancelled"]}, [("second", "sms", "dead")]),
    ({"incident_id": "first"}, [("first", "email", "accepted"), ("first", "sms", "accepted")]),
    ({"incident_id": ["first", "second"], "channel": "sms", "status": "dead"}, [("second", "sms", "dead")]),
    ({"incident_id": "second", "status": "dead", "channel": "email"}, []),
    ({"incident_id": 2_000_000_000}, []),
    ({"status": "delivered"}, []),
    ({"channel": "slack"}, []),
]


def test_a_delivery_is_found_by_incident_channel_and_status(
    client: TestClient, admin: Person, incident: dict[str, Any], several: int
) -> None:
    names: dict[Any, Any] = {"first": incident["id"], "second": several}
    incidents = {id_: name for name, id_ in names.items()}
    for query, expected in FOUND:
        asked = query.get("incident_id", [])
        ids = [names.get(one, one) for one in (asked if isinstance(asked, list) else [asked])]
        found = get(client, admin, "/notifications", **{**query, "incident_id": ids})
        rows = {(incidents[row["incident_id"]], row["channel"], row["status"]) for row in found}
        assert rows == set(expected), query


def test_a_filter_shows_nobody_the_deliveries_of_others(
    client: TestClient, user: Person, incident: dict[str, Any]
) -> None:
    assert get(client, user, "/notifications", incident_id=incident["id"], channel="sms") == []


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"status": "lost"}, "status"),
    ({"status": ["dead", ""]}, "status"),
    ({"status": "DEAD"}, "status"),
    ({"channel": "pager"}, "channel"),
    ({"channel": "sms\x00"}, "channel"),
    ({"incident_id": "0"}, "incident_id"),
    ({"incident_id": "-1"}, "incident_id"),
    ({"incident_id": "x"}, "incident_id"),
    ({"incident_id": "1.5"}, "incident_id"),
    ({"incident_id": str(2**31)}, "incident_id"),
    ({"incident_id": ["1", "99999999999999999999"]}, "incident_id"),
    ({"limit": 0}, "limit"),
    ({"limit": 501}, "limit"),
    ({"cursor": "x"}, "cursor"),
    ({"skip": -1}, "skip"),
]


def test_a_filter_that_cannot_be_is_refused(client: TestClient, user: Person) -> None:
    for query, pointer in REFUSED:
        problem(user.on(client).send("GET /notifications", params=query), 422, pointer=pointer)


@pytest.mark.parametrize("where", ["/notifications", "/incidents/{id}/notifications"])
def test_pages_of_deliveries_follow_each_other(
    client: TestClient, admin: Person, incident: dict[str, Any], several: int, where: str
) -> None:
    path = where.format(id=several)
    whole = [row["id"] for row in get(client, admin, path)]
    assert len(whole) >= 3
    walked, url = [], f"/v1{path}?limit=1"
    while url:
        answer = client.get(url, headers=admin.headers)
        walked += [row["id"] for row in answer.json()]
        link = re.fullmatch(r'<(.+)>; rel="next"', answer.headers.get("link", ""))
        url = link[1] if link else ""
    assert walked == whole
    assert [row["id"] for row in get(client, admin, path, limit=2, skip=1)] == whole[1:3]


def test_filters_stay_in_the_link_to_the_next_page(
    client: TestClient, admin: Person, incident: dict[str, Any], several: int
) -> None:
    query: dict[str, Any] = {"channel": ["sms", "email"], "status": "accepted", "limit": 1}
    answer = admin.on(client).send("GET /notifications", params=query)
    link = answer.headers["link"]
    assert all(part in link for part in ("channel=sms", "channel=email", "status=accepted", "limit=1", "cursor="))
