"""What is recorded when an incident is opened."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.core.source import AlertSignal
from app.core.vocabulary import EscalationState, IncidentStatus, Severity, TimelineEventType
from app.services import escalation_state
from app.services.escalation import Facts
from app.services.escalation_state import FirstStart
from app.services.incidents.opening import NewIncident, Opening, incident_of_alert, opening_of

AT = datetime(2026, 1, 20, 10, 30, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BY_HAND = NewIncident(
    "Disk full", "97 %", Severity.HIGH, "db", {"host": "db-1"}, created_by=3, assigned_to=4, traceparent=TRACEPARENT
)
BY_ALERT = NewIncident(
    "Disk full", "97 %", Severity.HIGH, "db", {}, source="elastic", alert_id="a", alert_severity=Severity.HIGH
)


def start(policy_id: int, due_at: datetime) -> FirstStart:
    progress = escalation_state.start(None, version_id=10 + policy_id, cycle=1, repeat=2, due_at=due_at)
    return FirstStart(policy_id, f"policy {policy_id}", progress)


def opened(new: NewIncident = BY_HAND, *due: datetime) -> Opening:
    return opening_of(7, new, [start(number, at) for number, at in enumerate(due, 1)], at=AT)


def entry(event_type: TimelineEventType, description: str, metadata: dict[str, Any], user_id: int | None = None) -> Any:
    return {
        "incident_id": 7,
        "event_type": event_type,
        "description": description,
        "user_id": user_id,
        "metadata": metadata,
        "created_at": AT,
    }


def test_an_incident_opened_by_hand_has_these_columns() -> None:
    assert opened(BY_HAND, LATER).incident.row() == {
        "id": 7,
        "title": "Disk full",
        "description": "97 %",
        "severity": Severity.HIGH,
        "service": "db",
        "metadata": {"host": "db-1"},
        "source": "api",
        "created_by": 3,
        "assigned_to": 4,
        "alert_id": None,
        "alert_severity": None,
        "alert_count": 0,
        "last_alert_at": None,
        "is_unmatched": False,
        "unmatched_due_at": None,
        "created_at": AT,
        "updated_at": AT,
        "traceparent": TRACEPARENT,
    }


def test_the_entry_of_an_incident_opened_by_an_api_key_names_the_key() -> None:
    first = next(opened(replace(BY_HAND, api_key_id=9), LATER).entries())
    assert first["metadata"] == {"source": "api", "api_key_id": 9}
    assert first["user_id"] == 3


def test_an_alert_is_counted_and_an_unmatched_incident_is_due_at_once() -> None:
    changed = {"source": "elastic", "alert_id": "a", "alert_severity": Severity.HIGH, "alert_count": 1}
    row = opened(BY_ALERT).incident.row()
    assert {name: row[name] for name in changed} == changed
    assert (row["last_alert_at"], row["is_unmatched"], row["unmatched_due_at"]) == (AT, True, AT)


def test_an_opened_incident_is_open_and_has_no_other_times() -> None:
    incident = opened(BY_HAND, LATER, AT).incident
    assert (incident.status, incident.updated_at, incident.next_escalation_at) == (IncidentStatus.OPEN, AT, AT)
    assert (incident.acknowledged_at, incident.resolved_at, incident.snoozed_until) == (None, None, None)
    assert opened(BY_HAND).incident.next_escalation_at is None


def test_each_policy_that_starts_has_an_escalation() -> None:
    columns = {"incident_id": 7, "state": EscalationState.RUNNING, "cycle": 1, "loop": 0, "repeats_left": 2, "step": 0}
    times = {"created_at": AT, "updated_at": AT}
    assert list(opened(BY_HAND, LATER, AT).escalations()) == [
        {**columns, **times, "policy_id": 1, "version_id": 11, "next_run_at": LATER},
        {**columns, **times, "policy_id": 2, "version_id": 12, "next_run_at": AT},
    ]


def test_the_timeline_says_who_opened_it_and_what_started() -> None:
    started = {"policy_id": 1, "first_step_due_at": LATER.isoformat()}
    assert list(opened(BY_HAND, LATER).entries()) == [
        entry(TimelineEventType.CREATED, "Incident opened with severity high.", {"source": "api"}, 3),
        entry(TimelineEventType.ESCALATION_STARTED, "Escalation by policy “policy 1” started.", started),
    ]


@pytest.mark.parametrize(("description", "kept"), [("97 %", {"first_description": "97 %"}), (None, {})])
def test_the_timeline_of_an_alert_keeps_its_first_description(description: str | None, kept: dict[str, str]) -> None:
    entries = list(opened(replace(BY_ALERT, description=description)).entries())
    assert entries == [
        entry(TimelineEventType.CREATED, "Incident opened with severity high.", {"source": "elastic", **kept}),
        entry(TimelineEventType.NO_POLICY_MATCHED, "No escalation policy matches this incident.", {}),
    ]


@pytest.mark.parametrize(("due", "is_due"), [([], True), ([AT], True), ([LATER], False), ([LATER, AT], True)])
def test_the_worker_is_woken_for_what_is_due_at_once(due: list[datetime], is_due: bool) -> None:
    assert opened(BY_HAND, *due).is_due_at_once is is_due


@pytest.mark.parametrize(("severity", "expected"), [("critical", Severity.CRITICAL), (None, Severity.LOW)])
def test_an_alert_opens_an_incident_of_its_severity_or_the_default(severity: str | None, expected: Severity) -> None:
    signal = AlertSignal("elastic", "a", True, "Disk full", "97 %", severity, "db", {"host": "db-1"})
    assert incident_of_alert(signal, default_severity=Severity.LOW) == NewIncident(
        "Disk full",
        "97 %",
        expected,
        "db",
        {"host": "db-1"},
        source="elastic",
        alert_id="a",
        alert_severity=expected,
    )


def test_conditions_see_what_was_given() -> None:
    assert BY_HAND.facts == Facts("high", "db", "api", is_assigned=True, metadata={"host": "db-1"})
    assert not BY_ALERT.facts.is_assigned
    assert (BY_HAND.is_by_alert, BY_ALERT.is_by_alert) == (False, True)
