"""Several pages to one person at once go in one message, which names them all."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.utils.service_locator import Services
from app.worker import Jobs
from tests.support.preferences import put
from tests.support.scenario import Opener, Tick, act, deliveries, notify
from tests.support.world import LATER, Clock, Outbox, Person


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


def test_a_bundle_names_every_incident_and_is_accepted_for_all_its_pages(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, client: TestClient, admin: Person
) -> None:
    add_policy()
    titles = ["Disk full", "Queue stuck", "Certificate expired"]
    for title in titles:
        open_incident(title=title)
    tick()
    [message] = outbox.sent
    assert all(title in message.body for title in titles)
    assert {status for _, _, status in deliveries(client, admin)} == {"accepted"}
    assert len(deliveries(client, admin)) == 4


def test_what_is_acknowledged_before_a_bundle_leaves_is_not_in_it(
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    jobs: Any,
    outbox: Outbox,
    client: TestClient,
    user: Person,
) -> None:
    add_policy()
    kept, done = open_incident(title="Disk full"), open_incident(title="Queue stuck")
    outbox.answers = [LATER]
    tick()
    act(client, done, "acknowledge", user)
    act(client, kept, "acknowledge", user)
    jobs.send()
    assert len(outbox.sent) == 1


def test_a_bundle_to_a_deactivated_person_goes_to_the_administrators(
    add_policy: Opener, open_incident: Opener, jobs: Jobs, tick: Tick, clock: Clock, outbox: Outbox, on_call: Person,
    client: TestClient, admin: Person,
) -> None:  # fmt: skip
    add_policy(steps=[{"delay_minutes": 0, "actions": [notify(target=on_call.id)]}])
    outbox.answers = [LATER]
    incidents = [open_incident(title=title) for title in ("Disk full", "Queue stuck")]
    tick()
    admin.on(client).call(f"PUT /users/{on_call.id}", {"is_active": False})
    clock.advance(seconds=2)
    for _ in range(3):
        tick()
        clock.advance(seconds=30)
    told = "".join(envelope.body for envelope in outbox.sent if envelope.address == admin.email)
    assert all(incident["title"] in told for incident in incidents)


def test_a_bundle_goes_to_the_newest_address(
    add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock, outbox: Outbox, on_call: Person,
    client: TestClient,
) -> None:  # fmt: skip
    add_policy(steps=[{"delay_minutes": 0, "actions": [notify(target=on_call.id, channels=["email"])]}])
    open_incident()
    tick()
    for address in ("old@example.com", "new@example.com"):
        put(client, on_call, "email", address=address)
        open_incident()
        tick()
    clock.advance(seconds=22)
    tick()
    assert [envelope.address for envelope in outbox.sent] == ["oncall@example.com", "new@example.com"]


def test_pages_whose_bundle_cannot_be_written_go_one_by_one(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, session: Session, client: TestClient,
    admin: Person,
) -> None:  # fmt: skip
    add_policy()
    for title in ("Disk full", "Queue stuck"):
        open_incident(title=title)
    session.execute(text("ALTER TABLE notifications ADD CHECK (kind <> 'bundle')"))
    session.commit()
    tick()
    assert sorted(envelope.facts["incident"]["title"] for envelope in outbox.sent) == ["Disk full", "Queue stuck"]
    assert {status for _, _, status in deliveries(client, admin)} == {"accepted"}
