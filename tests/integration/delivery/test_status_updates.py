"""Whoever was paged hears that somebody took the incident and that it is over."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.channel import Outcome
from app.core.facts import StatusUpdateFacts, StatusUpdatesFacts
from app.core.vocabulary import AttemptOutcome
from app.services.delivery import status_update_service
from app.utils.service_locator import Services
from tests.support.preferences import put
from tests.support.scenario import Opener, Tick, act, notify, steps
from tests.support.world import ADMIN, LATER, Clock, Outbox, Person

Later = Callable[[], None]
TEMPLATES = "/notification-templates"


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


@pytest.fixture
def later(tick: Tick, clock: Clock) -> Later:
    """The time after which status updates are sent."""

    def run() -> None:
        clock.advance(seconds=21)
        tick()

    return run


@pytest.fixture
def paged(add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox) -> dict[str, Any]:
    """An incident that the administrator was paged for, by mail."""
    add_policy(steps=steps(0, message="Restart it."))
    incident: dict[str, Any] = open_incident(title="Disk full")
    tick()
    assert len(outbox.sent) == 1
    outbox.sent.clear()
    return incident


def said(outbox: Outbox) -> list[str]:
    """What the status updates that were sent say, each with whom it went to."""
    return [
        f"{envelope.address}: {update.said}"
        for envelope in outbox.sent
        for update in (envelope.facts.updates if isinstance(envelope.facts, StatusUpdatesFacts) else (envelope.facts,))
        if isinstance(update, StatusUpdateFacts)
    ]


def test_who_was_paged_hears_that_somebody_took_it_and_that_it_is_over(
    client: TestClient, paged: dict[str, Any], on_call: Person, outbox: Outbox, later: Later
) -> None:
    act(client, paged, "acknowledge", on_call)
    later()
    act(client, paged, "resolve", on_call)
    later()
    assert said(outbox) == [f"{ADMIN}: On Call acknowledged it.", f"{ADMIN}: On Call resolved it."]
    later()
    assert len(outbox.sent) == 2


def test_an_update_is_in_the_thread_of_its_page_and_leaves_its_message_out(
    client: TestClient, paged: dict[str, Any], on_call: Person, outbox: Outbox, later: Later
) -> None:
    act(client, paged, "acknowledge", on_call)
    later()
    [update] = outbox.sent
    assert update.incident_id == paged["id"]
    assert update.subject == f"Re: [HIGH] database: Disk full (#{paged['id']})"
    assert "Disk full" in update.body
    assert "Restart it." not in update.subject + update.body + str(update.facts)
    assert update.pages == ()


def test_who_did_it_hears_nothing(
    client: TestClient, paged: dict[str, Any], admin: Person, outbox: Outbox, later: Later
) -> None:
    act(client, paged, "acknowledge", admin)
    later()
    act(client, paged, "resolve", admin)
    later()
    assert outbox.sent == []


def test_who_was_not_paged_hears_nothing(
    client: TestClient, admin: Person, on_call: Person, open_incident: Opener, outbox: Outbox, later: Later
) -> None:
    incident = open_incident()
    act(client, incident, "acknowledge", on_call)
    later()
    assert outbox.sent == []


def test_who_was_paged_in_an_earlier_cycle_alone_hears_nothing(
    client: TestClient, paged: dict[str, Any], admin: Person, on_call: Person, outbox: Outbox, later: Later
) -> None:
    act(client, paged, "acknowledge", admin)
    [policy] = admin.on(client).call("GET /escalation/policies")
    admin.on(client).call(f"PUT /escalation/policies/{policy['id']}", {"is_active": False})
    act(client, paged, "reopen", admin)
    act(client, paged, "resolve", on_call)
    later()
    assert outbox.sent == []


@pytest.mark.parametrize(("between", "expected"), [(["reopen"], []), (["reopen", "acknowledge"], [])])
def test_an_update_is_void_when_the_incident_is_reopened_before_it_leaves(
    client: TestClient, paged: dict[str, Any], on_call: Person, outbox: Outbox, later: Later, between: list[str],
    expected: list[str], admin: Person,
) -> None:  # fmt: skip
    [policy] = admin.on(client).call("GET /escalation/policies")
    admin.on(client).call(f"PUT /escalation/policies/{policy['id']}", {"is_active": False})
    act(client, paged, "acknowledge", on_call)
    for action in between:
        act(client, paged, action, on_call)
    later()
    assert said(outbox) == expected


def test_an_update_that_is_retried_is_void_once_the_incident_is_reopened(
    client: TestClient, paged: dict[str, Any], on_call: Person, outbox: Outbox, later: Later, clock: Clock, tick: Tick,
    admin: Person,
) -> None:  # fmt: skip
    act(client, paged, "resolve", on_call)
    outbox.answers = [LATER]
    later()
    assert len(outbox.sent) == 1
    [policy] = admin.on(client).call("GET /escalation/policies")
    admin.on(client).call(f"PUT /escalation/policies/{policy['id']}", {"is_active": False})
    act(client, paged, "reopen", on_call)
    clock.advance(minutes=1)
    tick()
    assert len(outbox.sent) == 1


def test_what_is_resolved_at_once_is_said_to_be_resolved_only(
    client: TestClient, paged: dict[str, Any], on_call: Person, outbox: Outbox, later: Later
) -> None:
    act(client, paged, "acknowledge", on_call)
    act(client, paged, "resolve", on_call)
    later()
    assert said(outbox) == [f"{ADMIN}: On Call resolved it."]


def test_taking_it_again_in_one_cycle_is_said_once(
    client: TestClient, paged: dict[str, Any], on_call: Person, outbox: Outbox, later: Later
) -> None:
    act(client, paged, "acknowledge", on_call)
    later()
    act(client, paged, "snooze", on_call, hours=1)
    act(client, paged, "acknowledge", on_call)
    later()
    assert said(outbox) == [f"{ADMIN}: On Call acknowledged it."]


def test_an_alerts_recovery_tells_everybody_in_one_statement(
    client: TestClient, add_policy: Opener, tick: Tick, outbox: Outbox, admin: Person, later: Later
) -> None:
    add_policy()
    api = admin.on(client)
    alerts = [{"alert_id": str(number), "title": f"Alert {number}"} for number in range(3)]
    api.alert(alerts=alerts)
    tick()
    outbox.sent.clear()
    api.alert(alerts=[{**alert, "status": "recovered"} for alert in alerts])
    later()
    assert said(outbox) == [f"{ADMIN}: It was resolved because its alert recovered."] * 3
    [message] = outbox.sent
    assert (message.subject, message.incident_id) == ("3 status updates", None)
    assert all(alert["title"] in message.body for alert in alerts)


def test_updates_wait_while_a_page_to_the_same_person_waits(
    client: TestClient, paged: dict[str, Any], add_policy: Opener, open_incident: Opener, on_call: Person,
    outbox: Outbox, clock: Clock, tick: Tick,
) -> None:  # fmt: skip
    act(client, paged, "acknowledge", on_call)
    clock.advance(seconds=19)
    for title in ("Queue stuck", "Host down"):
        open_incident(title=title)
    tick()
    clock.advance(seconds=2)
    tick()
    assert outbox.sent == []
    clock.advance(seconds=22)
    tick()
    clock.advance(seconds=1)
    tick()
    assert sorted(len(envelope.pages) for envelope in outbox.sent) == [0, 2]


def test_updates_spend_nothing_of_what_lets_pages_through(
    client: TestClient, paged: dict[str, Any], on_call: Person, session: Session, later: Later
) -> None:
    before = session.execute(text("SELECT * FROM notification_paces")).all()
    act(client, paged, "acknowledge", on_call)
    later()
    assert session.execute(text("SELECT * FROM notification_paces")).all() == before


def test_updates_leave_room_for_pages_in_a_channel(
    client: TestClient, add_policy: Opener, open_incident: Opener, user: Person, on_call: Person, admin: Person,
    services: Services, outbox: Outbox, clock: Clock, tick: Tick,
) -> None:  # fmt: skip
    """One of two waits for as long as the other is under way, if one is all there may be."""
    add_policy(steps=steps(0, target=[admin.id, on_call.id]))
    incident = open_incident()
    tick()
    act(client, incident, "acknowledge", user)
    clock.advance(seconds=21)
    with services.database.transaction() as own:
        assert [status_update_service.release(own, "email", services.paging, limit=1) for _ in range(2)] == [1, 0]
    tick()
    tick()
    assert len(said(outbox)) == 2


@pytest.mark.parametrize(("choice", "expected"), [({}, False), ({"status_updates": True}, True)])
def test_by_sms_only_who_wants_it_hears(
    client: TestClient, add_policy: Opener, open_incident: Opener, on_call: Person, admin: Person, tick: Tick,
    sms: Outbox, later: Later, choice: dict[str, Any], expected: bool,
) -> None:  # fmt: skip
    if choice:
        assert put(client, on_call, "sms", **choice)["status_updates"] is True
    add_policy(steps=[{"delay_minutes": 0, "actions": [notify(target=on_call.id, channels=["sms"])]}])
    incident = open_incident(title="Disk full")
    tick()
    act(client, incident, "acknowledge", admin)
    later()
    updates = [envelope.body.strip() for envelope in sms.sent if not envelope.pages]
    assert updates == ([f"#{incident['id']} Disk full: admin acknowledged it."] if expected else [])


@pytest.mark.parametrize("change", [{"status_updates": False}, {"enabled": False}, {"quiet_severities": ["high"]}])
def test_who_does_not_want_it_by_mail_hears_nothing(
    client: TestClient, paged: dict[str, Any], admin: Person, on_call: Person, outbox: Outbox, later: Later,
    change: dict[str, Any],
) -> None:  # fmt: skip
    put(client, admin, "email", **change)
    act(client, paged, "acknowledge", on_call)
    later()
    assert outbox.sent == []


def test_the_preference_has_a_default_for_each_channel_and_null_restores_it(client: TestClient, user: Person) -> None:
    rows = user.on(client).call("GET /notification-preferences/me")
    wanted = {"email", "webhook", "slack", "teams"}
    assert {row["channel"] for row in rows if row["status_updates"]} == wanted
    assert {row["channel"] for row in rows} - wanted == {"sms", "push"}
    assert put(client, user, "email", status_updates=False)["status_updates"] is False
    assert put(client, user, "email", position=1)["status_updates"] is False
    assert put(client, user, "email", status_updates=None)["status_updates"] is True


def test_an_address_without_an_account_hears_as_well(
    client: TestClient, add_policy: Opener, open_incident: Opener, on_call: Person, tick: Tick, outbox: Outbox,
    later: Later,
) -> None:  # fmt: skip
    add_policy(steps=[{"delay_minutes": 0, "actions": [notify(target="team@example.org")]}])
    incident = open_incident()
    tick()
    act(client, incident, "resolve", on_call)
    later()
    assert said(outbox) == ["team@example.org: On Call resolved it."]


def test_nobody_hears_whom_no_page_reached(
    client: TestClient, add_policy: Opener, open_incident: Opener, on_call: Person, admin: Person, tick: Tick,
    outbox: Outbox, later: Later,
) -> None:  # fmt: skip
    add_policy()
    outbox.answers = [LATER]
    incident = open_incident()
    tick()
    act(client, incident, "resolve", on_call)
    outbox.sent.clear()
    later()
    assert outbox.sent == []


def test_nobody_hears_whose_page_failed_while_somebody_took_it(
    client: TestClient, add_policy: Opener, open_incident: Opener, on_call: Person, tick: Tick, outbox: Outbox,
    later: Later,
) -> None:  # fmt: skip
    """The page was on its way when the incident was acknowledged: whether it arrives is not known yet."""
    add_policy()
    outbox.answers = [Outcome(AttemptOutcome.DEAD, error="no such mailbox")]
    incident = open_incident()
    outbox.on_send = lambda: act(client, incident, "acknowledge", on_call)
    tick()
    assert len(outbox.sent) == 1
    later()
    assert said(outbox) == []


def test_a_page_by_hand_counts_as_a_page(
    client: TestClient, open_incident: Opener, on_call: Person, admin: Person, tick: Tick, outbox: Outbox, later: Later
) -> None:
    incident = open_incident()
    act(client, incident, "escalate", admin)
    tick()
    act(client, incident, "acknowledge", on_call)
    later()
    assert said(outbox) == [f"{ADMIN}: On Call acknowledged it."]


def test_an_administrator_can_word_updates(
    client: TestClient, paged: dict[str, Any], admin: Person, on_call: Person, outbox: Outbox, later: Later
) -> None:
    for kind in ("acknowledged", "resolved", "status_updates"):
        body = "Good news" + (": {{ said }}" if kind == "acknowledged" else "")
        admin.on(client).call(f"PUT {TEMPLATES}/email/{kind}", {"body": body})
        preview = admin.on(client).call(f"POST {TEMPLATES}/email/{kind}/preview", {})
        assert preview["error"] is None
    act(client, paged, "acknowledge", on_call)
    later()
    assert [envelope.body for envelope in outbox.sent] == ["Good news: On Call acknowledged it."]


def test_an_update_fills_no_gap_that_a_lost_page_leaves(
    client: TestClient, paged: dict[str, Any], admin: Person, on_call: Person, outbox: Outbox, sms: Outbox,
    later: Later, clock: Clock, tick: Tick,
) -> None:  # fmt: skip
    """The update was accepted; the page by hand that follows it is lost, and goes on by the next channel."""
    act(client, paged, "acknowledge", on_call)
    later()
    put(client, admin, "sms", address="+15550111")
    outbox.answers = [LATER] * 20
    act(client, paged, "escalate", admin)
    tick()
    clock.advance(seconds=61)
    tick()
    assert len([envelope for envelope in sms.sent if envelope.pages]) == 1
