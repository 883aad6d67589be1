"""Whoever acknowledges, even when it is acknowledged already, gets no further channel for that incident."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome
from app.utils.service_locator import Services
from tests.support.page_links import press
from tests.support.scenario import Opener, Tick, act, notify
from tests.support.world import LATER, Clock, Outbox, Person


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


@pytest.fixture
def escalated(
    client: TestClient, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, on_call: Person,
    admin: Person, clock: Clock,
) -> dict[str, Any]:  # fmt: skip
    """An incident that the admin has taken and escalated: On Call is paged by hand, and no mail is accepted."""
    add_policy(steps=[{"delay_minutes": 10, "actions": [notify(target=on_call.id)]}])
    incident: dict[str, Any] = open_incident()
    act(client, incident, "acknowledge", admin)
    clock.advance(seconds=1)
    act(client, incident, "escalate", admin)
    outbox.answers = [LATER] * 30
    tick()
    assert len(outbox.sent) == 1
    return incident


def go_on(clock: Clock, tick: Tick) -> None:
    for _ in range(3):
        clock.advance(seconds=40)
        tick()


def test_acknowledging_again_ends_ones_own_chain(
    client: TestClient, escalated: dict[str, Any], on_call: Person, outbox: Outbox, sms: Outbox, clock: Clock,
    tick: Tick,
) -> None:  # fmt: skip
    assert act(client, escalated, "acknowledge", on_call)["status"] == "acknowledged"
    go_on(clock, tick)
    assert (len(outbox.sent), sms.sent) == (1, [])


@pytest.mark.parametrize(("who", "sent_by_sms"), [("on_call", 0), ("admin", 1)])
def test_acknowledging_ends_the_chain_of_a_page_that_has_failed(
    client: TestClient, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, sms: Outbox,
    clock: Clock, on_call: Person, admin: Person, who: str, sent_by_sms: int,
) -> None:  # fmt: skip
    """The page by hand is lost, and its next channel is about to be tried."""
    add_policy(steps=[{"delay_minutes": 10, "actions": [notify(target=on_call.id)]}])
    incident = open_incident()
    act(client, incident, "acknowledge", admin)
    act(client, incident, "escalate", admin)
    outbox.answers = [Outcome(AttemptOutcome.DEAD, error="no such mailbox")]
    tick()
    assert (len(outbox.sent), sms.sent) == (1, [])
    act(client, incident, "acknowledge", {"on_call": on_call, "admin": admin}[who])
    go_on(clock, tick)
    assert len(sms.sent) == sent_by_sms


def test_somebody_elses_chain_goes_on(
    client: TestClient, escalated: dict[str, Any], user: Person, outbox: Outbox, sms: Outbox, clock: Clock, tick: Tick
) -> None:
    act(client, escalated, "acknowledge", user)
    go_on(clock, tick)
    assert len(outbox.sent) > 1
    assert len(sms.sent) == 1


def test_the_chain_of_another_incident_goes_on(
    client: TestClient, escalated: dict[str, Any], open_incident: Opener, on_call: Person, sms: Outbox, clock: Clock,
    tick: Tick,
) -> None:  # fmt: skip
    act(client, open_incident(), "acknowledge", on_call)
    go_on(clock, tick)
    assert len(sms.sent) == 1


def test_the_link_of_a_page_ends_it_as_well(
    client: TestClient, escalated: dict[str, Any], outbox: Outbox, sms: Outbox, clock: Clock, tick: Tick
) -> None:
    path = outbox.sent[0].pages[0].link or ""
    assert "Acknowledge</button>" in client.get(path).text
    assert press(client, path, "acknowledge").status_code == 303
    go_on(clock, tick)
    assert (len(outbox.sent), sms.sent) == (1, [])
