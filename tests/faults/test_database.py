"""Rows 6 and 7: PostgreSQL goes away and comes back, and freezes."""

import time
from collections.abc import Callable

import pytest

from tests.faults import oracle
from tests.faults.figures import Figures
from tests.faults.rig import LEASE_SECONDS, Rig
from tests.faults.seeding import add_admin, add_incidents, add_people, add_policy, steps

pytestmark = pytest.mark.faults

RESUMES_WITHIN_SECONDS = 10.0
STORM_PER_RESTART = 40
REACHED = "SELECT count(*) FROM notifications WHERE incident_id = {} AND status = 'accepted'"


def test_row_6_a_database_that_is_restarted_in_mid_storm_costs_no_page(
    durable_rig: Rig, scaled: Callable[..., int], figures: Figures
) -> None:
    rig = durable_rig
    restarts = scaled(10, 2)
    number = STORM_PER_RESTART * restarts
    add_admin(rig.store, rig.provider)
    people = add_people(rig.store, rig.provider, number + restarts)
    policy = add_policy(rig.store, steps(0))
    rig.start_ready(2)
    add_incidents(rig.store, policy, number, people, apart=0.1)
    resumed = []
    for restart in range(restarts):
        rig.wait_for("SELECT count(*) > 0 FROM notifications WHERE status IN ('pending', 'sending')", True, seconds=120)
        rig.server.restart("immediate" if restart % 2 else "fast")
        resumed.append(_seconds_to_page(rig, policy, people[number + restart]))
    rig.wait_for(oracle.EVENTS, number + restarts, seconds=120 + number / 10)
    rig.wait_for(oracle.UNFINISHED, 0, seconds=120 + LEASE_SECONDS)
    doubled = oracle.duplicates(rig.provider)
    figures.add("6 restarted database", restarts=restarts, resumed_s=max(resumed), duplicates=sum(doubled.values()))
    assert all(worker.is_alive() for worker in rig.workers)
    assert max(resumed) <= rig.allowed(RESUMES_WITHIN_SECONDS)
    assert sum(doubled.values()) <= restarts
    assert oracle.lost(rig.store) == oracle.repeated(rig.store) == 0
    assert oracle.falsely_sent(rig.store, rig.provider) == oracle.strangers(rig.store, rig.provider) == 0


def test_row_7_workers_outlive_a_database_that_is_frozen(
    durable_rig: Rig, scaled: Callable[..., int], figures: Figures
) -> None:
    rig = durable_rig
    seconds = scaled(30, 6)
    add_admin(rig.store, rig.provider)
    *people, last = add_people(rig.store, rig.provider, 41)
    policy = add_policy(rig.store, steps(0))
    rig.start_ready(2)
    add_incidents(rig.store, policy, len(people), people, apart=0.2)
    rig.wait_for("SELECT count(*) > 0 FROM notifications", True, seconds=120)
    rig.server.freeze()
    time.sleep(seconds)  # the fault itself
    rig.server.thaw()
    resumed = _seconds_to_page(rig, policy, last)
    rig.wait_for(oracle.EVENTS, len(people) + 1, seconds=120)
    rig.wait_for(oracle.UNFINISHED, 0, seconds=120 + LEASE_SECONDS)
    figures.add("7 frozen database", frozen_s=seconds, resumed_s=resumed)
    assert all(worker.is_alive() for worker in rig.workers)
    assert resumed <= rig.allowed(RESUMES_WITHIN_SECONDS)
    assert oracle.lost(rig.store) == oracle.repeated(rig.store) == 0
    assert oracle.falsely_sent(rig.store, rig.provider) == 0


def _seconds_to_page(rig: Rig, policy: int, person: int) -> float:
    """How long after now a page that is due now is accepted."""
    began = time.monotonic()
    [incident] = add_incidents(rig.store, policy, 1, [person])
    rig.wait_for(REACHED.format(incident), 1, seconds=120)
    return time.monotonic() - began
