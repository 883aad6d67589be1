"""Alerts as Elastic's senders post them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, event

from app.db.session import Database
from tests.support.api import JSON, Api
from tests.support.world import Person

SAMPLES = Path(__file__).parents[2] / "samples" / "elastic"
HOOK = "POST /alerts/elastic"
OPBEANS = "3f2b1a90-7c1d-11ef-9a53-0242ac120002:opbeans-java_production_request"
MEBIBYTE = 1024 * 1024

# What each sample that fires says: key, title, severity, service.
FIRING = {
    "flat-active": ("latency-api-gateway", "High latency - api-gateway", "high", "api-gateway"),
    "kibana-alert-document-dotted": ("77aa:search_production", "Error count | search", "critical", "search"),
    "kibana-nested-active": (
        "5d1c:payments_production_request",
        "Failed transaction rate | payments",
        "critical",
        "payments",
    ),
    "kibana-summary": ("5d1c:cart_production_request", "Failed transaction rate", "high", "cart"),
    "kibana-variables-active": (OPBEANS, "Latency threshold | opbeans-java", "high", "opbeans-java"),
    "watcher": ("apm-error-watch", "apm-error-watch", "high", "unknown"),
    "wrapped-alert": (None, "Error rate", "high", "checkout"),
}
RECOVERIES = {
    "flat-recovered": "flat-active",
    "kibana-alert-document-nested": "kibana-alert-document-dotted",
    "kibana-variables-recovered-without-context": "kibana-variables-active",
}
F, R = "incident_created", "incident_resolved"
U, N = "incident_updated", "no_matching_active_incident"


@pytest.fixture
def api(client: TestClient, user: Person) -> Api:
    return Api(client, user.headers)


def sample(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return body


def test_every_sample_is_tested() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == {*FIRING, *RECOVERIES}


@pytest.mark.parametrize("name", FIRING)
def test_a_sample_that_fires_opens_an_incident_that_says_what_it_says(api: Api, name: str) -> None:
    body = sample(name)
    answer = api.alert(**body)
    incident = api.incident(answer["incident_id"])
    assert (answer["status"], answer["results"][0]["incident_id"]) == (F, incident["id"])
    said = tuple(incident[field] for field in ("alert_id", "title", "severity", "service"))
    assert said == FIRING[name]
    assert (incident["status"], incident["source"], incident["created_by"]) == ("open", "elastic", None)
    assert incident["alert_count"] == 1
    assert incident["last_alert_at"] == incident["created_at"]
    if name != "kibana-summary":
        assert incident["metadata"] == body


@pytest.mark.parametrize("name", FIRING)
def test_a_sample_that_comes_again_updates_unless_it_has_no_key(api: Api, name: str) -> None:
    first, second = (api.alert(**sample(name)) for _ in range(2))
    if FIRING[name][0] is None:
        assert second["status"] == F
        assert second["incident_id"] != first["incident_id"]
    else:
        assert (second["status"], second["incident_id"]) == (U, first["incident_id"])
        assert api.incident(first["incident_id"])["alert_count"] == 2


@pytest.mark.parametrize(("recovery", "firing"), RECOVERIES.items())
def test_a_recovery_resolves_what_its_alert_opened_and_then_nothing(api: Api, recovery: str, firing: str) -> None:
    assert api.alert(**sample(recovery))["status"] == N
    opened = api.alert(**sample(firing))["incident_id"]
    resolved = api.alert(**sample(recovery))
    assert (resolved["status"], resolved["incident_id"]) == (R, opened)
    incident = api.incident(opened)
    assert incident["status"] == "resolved"
    assert incident["resolved_at"] == incident["updated_at"]
    nothing = api.alert(**sample(recovery))
    assert (nothing["status"], nothing["incident_id"]) == (N, None)
    again = api.alert(**sample(firing))
    assert again["status"] == F
    assert again["incident_id"] != opened


def test_a_summary_opens_what_is_new_and_resolves_what_has_recovered(api: Api) -> None:
    payments = api.alert(**sample("kibana-nested-active"))["incident_id"]
    answer = api.alert(**sample("kibana-summary"))
    assert [result["status"] for result in answer["results"]] == [F, R]
    assert answer["results"][1]["incident_id"] == payments
    assert api.incident(payments)["status"] == "resolved"


@pytest.mark.parametrize(
    ("statuses", "results", "states"),
    [
        ("f", [F], ["open"]),
        ("ff", [F, U], ["open"]),
        ("fr", [F, R], ["resolved"]),
        ("r", [N], []),
        ("rf", [N, F], ["open"]),
        ("rrf", [N, N, F], ["open"]),
        ("frf", [F, R, F], ["open", "resolved"]),
        ("frr", [F, R, N], ["resolved"]),
        ("ffrrff", [F, U, R, N, F, U], ["open", "resolved"]),
        ("rfrf", [N, F, R, F], ["open", "resolved"]),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_alerts_of_one_key_apply_in_their_order_in_one_body_as_in_several(
    api: Api, statuses: str, results: list[str], states: list[str], at_once: bool
) -> None:
    alerts = [{"id": "a", "status": {"f": "firing", "r": "recovered"}[letter]} for letter in statuses]
    bodies = [{"alerts": alerts}] if at_once else alerts
    answers = [api.alert(**body) for body in bodies]
    assert [result["status"] for answer in answers for result in answer["results"]] == results
    assert answers[0]["status"] == results[0]
    assert [incident["status"] for incident in api.call("GET /incidents")] == states


def test_alerts_with_and_without_a_key_are_each_answered_in_their_place(api: Api) -> None:
    names = ["b", None, "a", None, "b", "c"]
    alerts = [{"name": f"{n}-{name}", **({"id": name} if name else {})} for n, name in enumerate(names)]
    results = api.alert(alerts=alerts)["results"]
    assert [result["status"] for result in results] == [F, F, F, F, U, F]
    opened = [api.incident(result["incident_id"])["title"] for result in results]
    assert opened == ["0-b", "1-None", "2-a", "3-None", "0-b", "5-c"]


@pytest.mark.parametrize("body", [{"alerts": []}, {"alerts": [{}, ""]}, {"alerts": {"new": {"count": 0, "data": []}}}])
def test_a_body_without_an_alert_changes_nothing_and_says_so(api: Api, body: dict[str, Any]) -> None:
    answer = api.alert(**body)
    assert (answer["status"], answer["incident_id"], answer["results"]) == ("no_changes", None, [])
    assert answer["message"]
    assert api.call("GET /incidents") == []


def test_an_alert_of_which_nothing_is_known_opens_an_incident_all_the_same(api: Api) -> None:
    incident = api.incident(api.alert()["incident_id"])
    assert (incident["severity"], incident["service"], incident["alert_id"]) == ("high", "unknown", None)
    assert incident["title"]


def test_over_long_text_is_cut_and_the_whole_kept(api: Api) -> None:
    body = {"name": "n" * 300, "service": "s" * 300, "message": "m" * 30_000, "id": "i" * 300}
    first = api.alert(**body)
    incident = api.incident(first["incident_id"])
    assert [len(incident[field]) for field in ("title", "service", "alert_id")] == [255, 100, 255]
    assert incident["metadata"] == body
    assert api.alert(**body)["incident_id"] == first["incident_id"]
    assert api.alert(**body | {"id": "i" * 301})["status"] == F


@pytest.mark.parametrize(
    "value",
    [
        "NaN",
        "-Infinity",
        "1e999",
        "1" * 4000,
        r'"\u0000"',
        r'"\ud800"',
        r'{"\u0000": {"\udfff": 1}}',
        "[" * 900 + "]" * 900,
        '{"a":' * 300 + "1" + "}" * 300,
        json.dumps(json.dumps(json.dumps({"status": "recovered"}))),
        '"' + "x" * (8 * MEBIBYTE - 100) + '"',
    ],
)
def test_whatever_else_is_in_an_alert_opens_an_incident_that_can_be_read(api: Api, value: str) -> None:
    answer = api.send(HOOK, content=f'{{"id": "a", "value": {value}}}', headers=JSON)
    assert answer.status_code == 201, answer.text
    incident = api.incident(answer.json()["incident_id"])
    assert incident["alert_id"] == "a"
    assert incident["metadata"].keys() - {"_truncated"} == {"id", "value"}


@pytest.mark.parametrize("media_type", ["application/x-www-form-urlencoded", "text/plain", None])
def test_an_alert_is_heard_whatever_its_sender_calls_it(api: Api, media_type: str | None) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    api.call(HOOK, content=b'{"id": "a"}', headers=headers, wants=201)


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements that are sent to the database within the block."""
    assert isinstance(database.bind, Connection)
    statements: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(database.bind, "before_cursor_execute", count)
    yield statements
    event.remove(database.bind, "before_cursor_execute", count)


@pytest.mark.slow
def test_thousands_of_alerts_in_one_body_take_few_statements(api: Api, database: Database) -> None:
    alerts: list[dict[str, Any]] = [{"id": n} for n in range(2_000)]
    for status, expected in (("firing", F), ("firing", U), ("recovered", R)):
        with counted(database) as statements:
            answer = api.alert(alerts=[{**alert, "status": status} for alert in alerts])
        assert [result["status"] for result in answer["results"]] == [expected] * 2_000
        assert len({result["incident_id"] for result in answer["results"]}) == 2_000
        assert len(statements) < 150


def test_more_alerts_in_one_body_than_any_sender_means_are_refused(api: Api) -> None:
    answer = api.send(HOOK, {"alerts": [{"id": n} for n in range(2_001)]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/alerts")
    [incident] = api.call("GET /incidents")
    assert incident["title"] == "Unreadable alert from elastic"
    assert "it holds more than 2000 alerts" in incident["description"]
