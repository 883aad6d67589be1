"""Several pages to one person at once go in one message, which names them all."""

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


@pytest.mark.parametrize("acknowledged", [["Queue stuck"], ["Queue stuck", "Disk full"]], ids=["one", "all"])
def test_what_is_acknowledged_before_a_bundle_leaves_is_not_in_it(
    add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock, outbox: Outbox, client: TestClient,
    user: Person, admin: Person, acknowledged: list[str],
) -> None:  # fmt: skip
    add_policy()
    incidents = {title: open_incident(title=title) for title in ("Disk full", "Queue stuck")}
    outbox.answers = [LATER]
    tick()
    assert all(title in outbox.sent[0].body for title in incidents)
    for title in acknowledged:
        act(client, incidents[title], "acknowledge", user)
    clock.advance(seconds=2)
    tick()
    left = incidents.keys() - set(acknowledged)
    assert len(outbox.sent) == (2 if left else 1)
    assert {title for title in incidents for sent in outbox.sent[1:] if title in sent.body} == left
    ends = sorted(status for _, _, status in deliveries(client, admin))
    assert ends == (["accepted", "accepted", "cancelled"] if left else ["cancelled"] * 3)


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
    assert sorted(envelope.pages[0].incident.title for envelope in outbox.sent) == ["Disk full", "Queue stuck"]
    assert {status for _, _, status in deliveries(client, admin)} == {"accepted"}
