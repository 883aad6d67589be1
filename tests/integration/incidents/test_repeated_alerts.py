"""What an alert that comes again may change, and what it must leave alone."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.support.api import Api
from tests.support.scenario import Opener, Tick, steps
from tests.support.world import Clock, Outbox, Person

SEVERITIES = ["low", "medium", "high", "critical"]
MOVES = {"open": None, "acknowledged": "acknowledge", "snoozed": "snooze?hours=5"}
EDITS = {"title": "Ours", "description": "Known problem", "service": "ours", "severity": "medium"}

Opened = Callable[..., int]


@pytest.fixture
def api(client: TestClient, user: Person) -> Api:
    return Api(client, user.headers)


@pytest.fixture
def opened(api: Api, clock: Clock) -> Opened:
    """Opens an incident by an alert, brings it to a state, and lets a minute pass."""

    def run(state: str = "open", **alert: Any) -> int:
        incident_id: int = api.alert(id="a", **alert)["incident_id"]
        if move := MOVES[state]:
            api.call(f"POST /incidents/{incident_id}/{move}")
        clock.advance(minutes=1)
        return incident_id

    return run


def but(incident: dict[str, Any], *names: str) -> dict[str, Any]:
    """The incident without some fields and without its timeline."""
    return {name: value for name, value in incident.items() if name not in {*names, "timeline_events"}}


@pytest.mark.parametrize("state", MOVES)
def test_an_alert_that_says_nothing_worse_changes_only_what_belongs_to_it(api: Api, opened: Opened, state: str) -> None:
    incident_id = opened(state, name="Full", message="97 %", service="db", severity="medium")
    before = api.incident(incident_id)
    body = {"id": "a", "name": "Fuller", "message": "98 %", "service": "other", "severity": "low", "n": 2}
    assert api.alert(**body)["status"] == "incident_updated"
    after = api.incident(incident_id)
    changed = ("metadata", "description", "alert_count", "last_alert_at", "updated_at")
    assert but(after, *changed) == but(before, *changed)
    assert (after["metadata"], after["description"], after["alert_count"]) == (body, "98 %", 2)
    assert after["last_alert_at"] == after["updated_at"] > before["updated_at"]


@pytest.mark.parametrize("state", MOVES)
@pytest.mark.parametrize("first", SEVERITIES)
@pytest.mark.parametrize("then", SEVERITIES)
def test_only_a_worse_alert_raises_the_severity_and_opens_again(
    api: Api, opened: Opened, state: str, first: str, then: str
) -> None:
    incident_id = opened(state, severity=first)
    api.alert(id="a", severity=then)
    incident = api.incident(incident_id)
    is_worse = SEVERITIES.index(then) > SEVERITIES.index(first)
    assert incident["severity"] == (then if is_worse else first)
    assert incident["status"] == ("open" if is_worse else state)
    assert (incident["acknowledged_at"] is None) == (is_worse or state != "acknowledged")
    assert (incident["snoozed_until"] is None) == (is_worse or state != "snoozed")


@pytest.mark.parametrize("state", MOVES)
def test_an_alert_without_a_severity_raises_none(api: Api, opened: Opened, state: str) -> None:
    incident_id = opened(state, severity="low")
    api.alert(id="a")
    assert [api.incident(incident_id)[field] for field in ("severity", "status")] == ["low", state]


def test_whoever_was_assigned_stays_when_it_gets_worse(api: Api, opened: Opened, user: Person) -> None:
    incident_id = opened(severity="low")
    api.call(f"POST /incidents/{incident_id}/assign", {"user_id": user.id})
    api.call(f"POST /incidents/{incident_id}/acknowledge")
    api.alert(id="a", severity="high")
    incident = api.incident(incident_id)
    assert (incident["assigned_to"], len(incident["assignments"])) == (user.id, 1)


@pytest.mark.parametrize("field", EDITS)
def test_a_field_that_a_person_edited_stays_as_it_is(api: Api, opened: Opened, field: str) -> None:
    body = {"name": "Full", "message": "97 %", "service": "db", "severity": "high"}
    incident_id = opened(**body)
    api.call(f"PUT /incidents/{incident_id}", {field: EDITS[field]})
    for _ in range(2):
        api.alert(id="a", **body)
    assert api.incident(incident_id)[field] == EDITS[field]


def test_the_first_description_stays_on_the_timeline(api: Api, opened: Opened) -> None:
    incident_id = opened(message="97 %")
    for message in ("98 %", "", "99 %"):
        api.alert(id="a", message=message)
    assert api.incident(incident_id)["description"] == "99 %"
    assert api.timeline(incident_id)[-1]["metadata"] == {"source": "elastic", "first_description": "97 %"}


def test_a_repeated_alert_without_a_text_keeps_the_description(api: Api, opened: Opened) -> None:
    incident_id = opened(message="97 %")
    api.alert(id="a")
    assert api.incident(incident_id)["description"] == "97 %"


def test_a_recovery_keeps_the_description_of_what_was_wrong(api: Api, opened: Opened) -> None:
    incident_id = opened(message="97 %")
    api.alert(id="a", status="ok", message="All is well")
    assert api.incident(incident_id)["description"] == "97 %"


def test_a_description_that_a_person_removed_stays_removed(api: Api, opened: Opened) -> None:
    incident_id = opened(message="97 %")
    api.call(f"PUT /incidents/{incident_id}", {"description": None})
    api.alert(id="a", message="98 %")
    assert api.incident(incident_id)["description"] is None


def test_a_lowered_severity_rises_only_with_an_alert_worse_than_any_before(api: Api, opened: Opened) -> None:
    incident_id = opened(severity="high")
    api.call(f"PUT /incidents/{incident_id}", {"severity": "low", "status": "acknowledged"})
    for severity in ("high", "medium", "high"):
        api.alert(id="a", severity=severity)
        incident = api.incident(incident_id)
        assert (incident["severity"], incident["status"]) == ("low", "acknowledged")
    api.alert(id="a", severity="critical")
    incident = api.incident(incident_id)
    assert (incident["severity"], incident["status"]) == ("critical", "open")


def test_a_severity_that_a_person_raised_is_not_raised_again(api: Api, opened: Opened) -> None:
    incident_id = opened(severity="low")
    api.call(f"PUT /incidents/{incident_id}", {"severity": "critical", "status": "acknowledged"})
    api.alert(id="a", severity="critical")
    incident = api.incident(incident_id)
    assert (incident["severity"], incident["status"]) == ("critical", "acknowledged")
    assert "severity_raised" not in {event["event_type"] for event in api.timeline(incident_id)}


def test_the_worst_that_an_alert_ever_reported_is_remembered(api: Api, opened: Opened) -> None:
    incident_id = opened(severity="low")
    api.alert(id="a", severity="high")
    api.call(f"PUT /incidents/{incident_id}", {"severity": "medium"})
    api.alert(id="a", severity="high")
    assert api.incident(incident_id)["severity"] == "medium"


def test_an_open_incident_that_gets_worse_changes_its_policies(
    api: Api, opened: Opened, add_policy: Opener, admin: Person
) -> None:
    for severity in ("low", "high"):
        add_policy(name=severity, conditions={"severity": severity}, steps=steps(30))
    incident_id = opened(severity="low")
    api.alert(id="a", severity="high")
    found = Api(api.client, admin.headers).call(f"GET /incidents/{incident_id}/why")["policies"]
    assert {policy["name"]: policy["state"] for policy in found} == {"low": "ended", "high": "running"}


@pytest.mark.parametrize("state", MOVES)
def test_a_recovery_resolves_from_every_state(api: Api, opened: Opened, state: str) -> None:
    incident_id = opened(state)
    assert api.alert(id="a", status="ok")["status"] == "incident_resolved"
    incident = api.incident(incident_id)
    assert (incident["status"], incident["snoozed_until"]) == ("resolved", None)


def test_after_a_person_resolved_it_the_alert_opens_another(api: Api, opened: Opened) -> None:
    incident_id = opened(severity="high")
    api.call(f"POST /incidents/{incident_id}/resolve")
    answer = api.alert(id="a", severity="low")
    assert answer["status"] == "incident_created"
    assert api.incident(answer["incident_id"])["severity"] == "low"
    assert api.incident(incident_id)["status"] == "resolved"


def test_after_a_person_reopened_it_the_alert_updates_it(api: Api, opened: Opened) -> None:
    incident_id = opened()
    for move in ("resolve", "reopen"):
        api.call(f"POST /incidents/{incident_id}/{move}")
    assert api.alert(id="a")["incident_id"] == incident_id
    assert api.incident(incident_id)["alert_count"] == 2


@pytest.mark.parametrize(
    ("state", "then", "pages"),
    [("acknowledged", "low", 1), ("acknowledged", "high", 2), ("snoozed", "low", 1), ("snoozed", "high", 2)],
)
def test_only_a_worse_alert_pages_who_thought_it_was_taken_care_of(
    api: Api,
    opened: Opened,
    add_policy: Any,
    clock: Clock,
    tick: Tick,
    outbox: Outbox,
    state: str,
    then: str,
    pages: int,
) -> None:
    add_policy()
    incident_id = opened(severity="low")
    tick()
    clock.advance(seconds=30)
    api.call(f"POST /incidents/{incident_id}/{MOVES[state]}")
    api.alert(id="a", severity=then)
    tick()
    assert len(outbox.sent) == pages


def test_a_worse_alert_starts_what_matches_now_and_delays_nothing(
    api: Api, opened: Opened, add_policy: Any, clock: Clock, tick: Tick, outbox: Outbox
) -> None:
    add_policy(name="always", steps=steps(0, 30, message="always"))
    add_policy(name="worst", conditions={"severity": "critical"}, steps=steps(0, message="worst"))
    add_policy(name="mild", conditions={"severity": "low"}, steps=steps(40, message="mild"))
    opened(severity="low")
    tick()
    clock.advance(minutes=28)
    api.alert(id="a", severity="critical")
    tick()
    clock.advance(minutes=1)
    tick()
    clock.advance(minutes=60)
    tick()
    assert [envelope.body.splitlines()[0] for envelope in outbox.sent] == ["always", "worst", "always"]


def test_a_policy_that_an_alert_comes_to_match_when_it_is_repeated_pages(
    api: Api, admin: Person, add_policy: Callable[..., Any], tick: Tick, clock: Clock, outbox: Outbox
) -> None:
    add_policy(conditions={"metadata.environment": "prod"}, steps=steps(0, message="prod"))
    api.alert(id="a", environment="test")
    tick()
    assert ["no escalation policy matches" in envelope.body for envelope in outbox.sent] == [True]
    api.alert(id="a", environment="prod")
    api.alert(id="a", environment="test")
    clock.advance(minutes=1)
    tick()
    assert [envelope.address for envelope in outbox.sent] == [admin.email] * 2
    assert outbox.sent[1].body.startswith("prod")
