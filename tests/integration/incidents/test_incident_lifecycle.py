"""Incidents on their way from open to resolved and back."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.config import Settings
from app.db.session import Database
from app.services.incidents import incident_service
from tests.support.answers import problem
from tests.support.api import Api, together, wait_until_somebody_waits_for_a_lock
from tests.support.world import Clock, Person, real_connections

STATES = ["open", "acknowledged", "snoozed", "resolved"]
WAY_TO = {
    "acknowledged": "POST /incidents/{}/acknowledge",
    "resolved": "POST /incidents/{}/resolve",
    "snoozed": "POST /incidents/{}/snooze?hours=1",
    "open": "POST /incidents/{}/reopen",
}
# From each state, what acknowledge, resolve, snooze and reopen lead to; a list is a refusal and what is possible.
TABLE: dict[str, list[str | list[str]]] = {
    "open": ["acknowledged", "resolved", "snoozed", "open"],
    "acknowledged": ["acknowledged", "resolved", "snoozed", "open"],
    "snoozed": ["acknowledged", "resolved", "snoozed", "open"],
    "resolved": [["reopen"], "resolved", ["reopen"], "open"],
}
MOVES = ["acknowledge", "resolve", "snooze?hours=2", "reopen"]
CASES = [(state, move, to) for state, row in TABLE.items() for move, to in zip(MOVES, row, strict=True)]
ALLOWED = [case for case in CASES if isinstance(case[2], str)]
REFUSED = [case for case in CASES if isinstance(case[2], list)]
NO_OPS = [(state, move) for state, move, to in CASES if state == to and "snooze" not in move]

BringTo = Callable[..., dict[str, Any]]


@pytest.fixture
def api(client: TestClient, user: Person) -> Api:
    return Api(client, user.headers)


@pytest.fixture
def in_state(api: Api, clock: Clock) -> BringTo:
    """Opens an incident, brings it to a state, and lets a minute pass."""

    def run(state: str, **fields: Any) -> dict[str, Any]:
        incident = api.open(**fields)
        if state != "open":
            incident = api.call(WAY_TO[state].format(incident["id"]))
        clock.advance(minutes=1)
        return incident

    return run


@pytest.mark.parametrize(("state", "move", "to"), ALLOWED)
def test_a_move_leads_where_the_table_says_and_sets_its_times(
    api: Api, in_state: BringTo, state: str, move: str, to: str
) -> None:
    before = in_state(state)
    after = api.call(f"POST /incidents/{before['id']}/{move}")
    assert after["status"] == to
    assert (after["resolved_at"] is None) == (to != "resolved")
    assert (after["snoozed_until"] is None) == (to != "snoozed")
    if to in {"open", "acknowledged"}:
        assert (after["acknowledged_at"] is None) == (to == "open")
    stored = api.incident(before["id"])
    assert after == {name: stored[name] for name in after}


@pytest.mark.parametrize(("state", "move"), NO_OPS)
def test_a_repeated_move_changes_nothing_and_leaves_no_trace(
    api: Api, in_state: BringTo, state: str, move: str
) -> None:
    before = in_state(state)
    record = api.timeline(before["id"])
    assert api.call(f"POST /incidents/{before['id']}/{move}") == before
    assert api.timeline(before["id"]) == record


@pytest.mark.parametrize(("state", "move", "possible"), REFUSED)
def test_an_impossible_move_is_a_conflict_that_says_what_is_possible(
    api: Api, in_state: BringTo, state: str, move: str, possible: list[str]
) -> None:
    before = in_state(state)
    refusal = problem(api.send(f"POST /incidents/{before['id']}/{move}"), 409)
    assert refusal["code"] == "invalid_transition"
    assert refusal["possible"] == possible
    assert all(word.capitalize() in refusal["detail"] for word in possible)
    stored = api.incident(before["id"])
    assert before == {name: stored[name] for name in before}


@pytest.mark.parametrize(("state", "move", "to"), [c for c in ALLOWED if c[:2] not in NO_OPS])
def test_a_move_says_when_and_is_on_the_record(
    api: Api, user: Person, in_state: BringTo, state: str, move: str, to: str
) -> None:
    before = in_state(state)
    after = api.call(f"POST /incidents/{before['id']}/{move}")
    newest = api.timeline(before["id"])[0]
    assert newest["user_id"] == user.id
    assert newest["metadata"].items() >= {"from": state, "to": to}.items()
    assert newest["created_at"] == after["updated_at"] > before["updated_at"]
    if f"{to}_at" in after:
        assert after[f"{to}_at"] == after["updated_at"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("to", STATES)
def test_a_status_in_a_put_goes_through_the_same_transitions(api: Api, in_state: BringTo, state: str, to: str) -> None:
    before = in_state(state)
    answer = api.send(f"PUT /incidents/{before['id']}", {"status": to, "title": "New title"})
    if state == "resolved" and to in {"acknowledged", "snoozed"}:
        assert problem(answer, 409 if to == "acknowledged" else 422)
        assert api.incident(before["id"])["title"] == before["title"]
    elif to == "snoozed" and state != "snoozed":
        problem(answer, 422, pointer="/status")  # a snooze needs an end
        assert api.incident(before["id"])["title"] == before["title"]
    else:
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["title"]) == (to, "New title")


def test_whoever_is_logged_in_may_move_another_persons_incident(
    api: Api, client: TestClient, sign_up: Callable[..., Person]
) -> None:
    other = Api(client, sign_up().headers)
    assert other.call(f"POST /incidents/{api.open()['id']}/acknowledge")["status"] == "acknowledged"


@pytest.mark.parametrize("action", [*MOVES, "escalate"])
def test_an_incident_that_is_not_there_is_not_found(api: Api, action: str) -> None:
    problem(api.send(f"POST /incidents/999999/{action}"), 404)


def test_reopening_clears_what_resolving_and_acknowledging_set(api: Api, clock: Clock) -> None:
    incident_id = api.open()["id"]
    for move in ("acknowledge", "resolve"):
        api.call(f"POST /incidents/{incident_id}/{move}")
    assert api.incident(incident_id)["acknowledged_at"] is not None
    reopened = api.call(f"POST /incidents/{incident_id}/reopen")
    assert (reopened["acknowledged_at"], reopened["resolved_at"]) == (None, None)


@pytest.mark.parametrize("how", ["POST /incidents/{}/reopen", "PUT /incidents/{}", "PATCH /incidents/{}"])
def test_an_incident_does_not_reopen_while_its_alert_is_open_in_another(api: Api, how: str) -> None:
    older = resolved_alert(api)
    newer = api.alert(alert_id="disk")["incident_id"]
    body = None if how.startswith("POST") else {"status": "open"}
    refusal = problem(api.send(how.format(older), body), 409)
    assert (refusal["code"], refusal["incident_id"]) == ("alert_open_elsewhere", newer)
    assert api.incident(older)["status"] == "resolved"
    api.call(f"POST /incidents/{newer}/resolve")
    assert api.call(how.format(older), body)["status"] == "open"


def test_the_second_to_reopen_for_one_alert_gets_the_id_of_the_first(
    settings: Settings, own_database: Database
) -> None:
    with real_connections(settings, own_database) as api, ThreadPoolExecutor(1) as other_thread:
        first, second = (resolved_alert(api) for _ in range(2))
        with own_database.transaction() as session:
            incident_service.reopen(session, first, by=None)
            session.flush()
            answer = other_thread.submit(api.send, f"POST /incidents/{second}/reopen")
            wait_until_somebody_waits_for_a_lock(own_database)
        refusal = problem(answer.result(30), 409)
        assert (refusal["code"], refusal["incident_id"]) == ("alert_open_elsewhere", first)
        assert api.incident(second)["status"] == "resolved"


def resolved_alert(api: Api) -> int:
    incident_id: int = api.alert(alert_id="disk")["incident_id"]
    api.alert(alert_id="disk", status="recovered")
    return incident_id


def test_of_many_moves_at_once_each_begins_where_the_one_before_ended(
    settings: Settings, own_database: Database
) -> None:
    with real_connections(settings, own_database) as api:
        incident_id = api.open()["id"]
        lines = [f"POST /incidents/{incident_id}/{move}" for move in ["acknowledge", "resolve", "reopen"] * 6]
        answers = together([partial(api.send, line) for line in lines])
        assert {answer.status_code for answer in answers} <= {200, 409}
        steps = [e["metadata"] for e in reversed(api.timeline(incident_id)) if "to" in e["metadata"]]
        assert [step["from"] for step in steps] == ["open", *(step["to"] for step in steps[:-1])]
        assert api.incident(incident_id)["status"] == steps[-1]["to"]
