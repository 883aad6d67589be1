"""Rows 4 and 5: nothing is planned after an acknowledgement, and what is queued then is not sent."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.crud.clock import now
from app.services.incidents import incident_service, lifecycle_service
from app.services.incidents.incident import Move, MoveRequest
from tests.faults import oracle
from tests.faults.figures import Figures
from tests.faults.provider import Answer
from tests.faults.rig import Rig
from tests.faults.seeding import add_admin, add_incidents, add_people, add_policy, steps

pytestmark = pytest.mark.faults

THREADS = 8
STAGES = 5
# The rows of both are only ever inserted, so that xmin is the transaction that wrote them, and both take the lock of
# the incident first, so that the order of the commits is the order of the locks.
PLANNED_AFTERWARDS = """
    SELECT count(*) FROM timeline_events a JOIN escalation_events e USING (incident_id)
    WHERE a.event_type = 'acknowledged'
    AND pg_xact_commit_timestamp(e.xmin) > pg_xact_commit_timestamp(a.xmin)
"""
ACKNOWLEDGED = "SELECT count(*) FROM timeline_events WHERE event_type = 'acknowledged'"
COMMITTED = """
    SELECT a.incident_id, extract(epoch FROM pg_xact_commit_timestamp(a.xmin)) AS at FROM timeline_events a
    WHERE a.event_type = 'acknowledged'
"""
KEYS = "SELECT incident_id, idempotency_key::text AS key FROM notifications WHERE incident_id IS NOT NULL"
ALLOWED_SECONDS = 1.0


def test_row_4_no_step_is_planned_after_an_acknowledgement(
    rig: Rig, scaled: Callable[..., int], figures: Figures
) -> None:
    number = scaled(5_000, 100)
    add_admin(rig.store, rig.provider)
    people = add_people(rig.store, rig.provider, number)
    rig.start_ready(2)
    incidents = add_incidents(rig.store, add_policy(rig.store, steps(*[0] * STAGES)), number, people)
    rig.wait_for("SELECT count(*) > 0 FROM escalation_events", True, seconds=120)
    began = time.monotonic()
    # From the end: the workers come from the other, and they meet.
    _acknowledge(rig, incidents[::-1])
    seconds = time.monotonic() - began
    rig.wait_for(oracle.DUE, 0, seconds=120)
    fired = int(rig.store.one(oracle.EVENTS))
    figures.add("4 acknowledgements", number=number, per_s=number / seconds, steps_before_them=fired)
    assert rig.store.one(ACKNOWLEDGED) == number
    assert rig.store.one(PLANNED_AFTERWARDS) == 0
    assert 0 < fired < STAGES * number


def test_row_5_no_page_starts_a_second_after_an_acknowledgement(
    rig: Rig, scaled: Callable[..., int], figures: Figures
) -> None:
    people_each, number = scaled(500, 50), 4
    rig.provider.always(Answer(delay=0.3))
    add_admin(rig.store, rig.provider)
    rig.start_ready(2)
    incidents: list[int] = []
    for group in range(number):  # nobody is paged about two of them, which would be one message
        people = add_people(rig.store, rig.provider, people_each)
        policy = add_policy(rig.store, steps(0, target=people), name=f"policy {group}")
        incidents += add_incidents(rig.store, policy, 1, people)
    rig.wait_for(oracle.EVENTS, number, seconds=120)
    rig.wait(lambda: len(rig.provider.arrivals) > people_each // 4, seconds=120)
    _acknowledge(rig, incidents)
    rig.wait_for(oracle.UNFINISHED, 0, seconds=120)
    acknowledged_at = {row.incident_id: float(row.at) for row in rig.store.rows(COMMITTED)}
    incident_of = {row.key: row.incident_id for row in rig.store.rows(KEYS)}
    sent = [arrival for arrival in rig.provider.arrivals if arrival.key in incident_of]
    late = [arrival.at - acknowledged_at[incident_of[arrival.key]] for arrival in sent]
    cancelled = int(rig.store.one("SELECT count(*) FROM notifications WHERE status = 'cancelled'"))
    figures.add("5 queued pages", sent=len(sent), cancelled=cancelled, latest_s=max(late))
    assert cancelled > 0
    assert max(late) <= rig.allowed(ALLOWED_SECONDS)


def _acknowledge(rig: Rig, incidents: Sequence[int]) -> None:
    """Acknowledge incidents from several threads, each in a transaction of its own."""

    def one(incident_id: int) -> None:
        with rig.store.database.transaction() as session:
            incident = incident_service.locked(session, incident_id)
            lifecycle_service.move(session, incident, MoveRequest(Move.ACKNOWLEDGE, now(session)))

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(one, incidents))
