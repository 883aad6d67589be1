"""Rows 1 and 8: workers that die or freeze between claiming a page and recording what became of it."""

import signal
import time
from collections.abc import Callable

import pytest

from tests.faults import oracle
from tests.faults.figures import Figures
from tests.faults.rig import LEASE_SECONDS, TICK_SECONDS, Rig
from tests.faults.seeding import add_admin, add_incidents, add_people, add_policy, steps

pytestmark = pytest.mark.faults

POINTS = ["claimed", "before_send", "after_send", "recorded"]
SIDE_BY_SIDE = 12
SENDING = "SELECT count(*) FROM notifications WHERE status = 'sending'"
ATTEMPTS = "SELECT count(*) FROM notification_attempts"
ROW = "SELECT status, attempt, provider_id, accepted_at, ended_at, lease_token, xmin::text FROM notifications"
RECOVERS_WITHIN_SECONDS = 30
SLACK_SECONDS = 1.0  # two processes on a machine that does other things as well


@pytest.mark.parametrize("point", POINTS)
def test_row_1_a_worker_killed_at_a_boundary_loses_nothing(
    rig: Rig, scaled: Callable[..., int], figures: Figures, point: str
) -> None:
    kills = scaled(20)
    add_admin(rig.store, rig.provider)
    people = add_people(rig.store, rig.provider, kills)
    policy = add_policy(rig.store, steps(0))
    for number in range(kills):
        add_incidents(rig.store, policy, 1, people[number : number + 1])
        _die_at(rig, point)
        _recover(rig)
    doubled = oracle.duplicates(rig.provider)
    figures.add(f"1 killed: {point}", kills=kills, lost=oracle.lost(rig.store), duplicates=sum(doubled.values()))
    assert oracle.missing_events(rig.store, kills) == 0
    assert oracle.lost(rig.store) == oracle.repeated(rig.store) == 0
    assert oracle.falsely_sent(rig.store, rig.provider) == oracle.strangers(rig.store, rig.provider) == 0
    assert len(rig.provider.keys()) == kills
    assert sum(doubled.values()) <= (kills if point == "after_send" else 0)


@pytest.mark.parametrize("point", POINTS)
def test_row_1_pages_that_were_sent_side_by_side_come_at_most_twice(rig: Rig, point: str) -> None:
    add_admin(rig.store, rig.provider)
    people = add_people(rig.store, rig.provider, SIDE_BY_SIDE)
    add_incidents(rig.store, add_policy(rig.store, steps(0)), SIDE_BY_SIDE, people)
    _die_at(rig, point)
    _recover(rig)
    assert oracle.missing_events(rig.store, SIDE_BY_SIDE) == 0
    assert oracle.lost(rig.store) == oracle.repeated(rig.store) == 0
    assert oracle.falsely_sent(rig.store, rig.provider) == oracle.strangers(rig.store, rig.provider) == 0
    assert len(rig.provider.keys()) == SIDE_BY_SIDE
    assert all(times <= 1 for times in oracle.duplicates(rig.provider).values())


def test_row_8_a_frozen_workers_pages_move_on_and_its_late_word_is_ignored(rig: Rig, figures: Figures) -> None:
    add_admin(rig.store, rig.provider)
    people = add_people(rig.store, rig.provider, 1)
    frozen = rig.start(FAULT_POINT="after_send", FAULT_SIGNAL="SIGSTOP")
    add_incidents(rig.store, add_policy(rig.store, steps(0)), 1, people)
    rig.wait(frozen.is_frozen, seconds=120)
    [claimed_at] = [arrival.at for arrival in rig.provider.arrivals]
    rig.start()
    rig.wait(lambda: len(rig.provider.arrivals) == 2, seconds=2 * LEASE_SECONDS + 30)
    rig.wait_for(oracle.UNFINISHED, 0, seconds=120)
    taken_over_in = rig.provider.arrivals[1].at - claimed_at
    before = rig.store.rows(ROW)
    frozen.send(signal.SIGCONT)
    rig.wait(lambda: frozen.said("delivery_lease_lost"), seconds=120)
    assert rig.store.rows(ROW) == before
    assert len({arrival.key for arrival in rig.provider.arrivals}) == 1
    figures.add("8 frozen worker", taken_over_s=taken_over_in, stale_writes=0)
    assert taken_over_in >= LEASE_SECONDS - rig.allowed(SLACK_SECONDS)
    assert taken_over_in <= LEASE_SECONDS + rig.allowed(TICK_SECONDS + SLACK_SECONDS)


def test_row_8_a_worker_that_wakes_before_it_has_sent_uses_the_same_key(rig: Rig) -> None:
    add_admin(rig.store, rig.provider)
    people = add_people(rig.store, rig.provider, 1)
    frozen = rig.start(FAULT_POINT="before_send", FAULT_SIGNAL="SIGSTOP")
    add_incidents(rig.store, add_policy(rig.store, steps(0)), 1, people)
    rig.wait(frozen.is_frozen, seconds=120)
    rig.start()
    rig.wait_for(oracle.REACHED_PAGES, 1, seconds=2 * LEASE_SECONDS + 30)
    before = rig.store.rows(ROW)
    frozen.send(signal.SIGCONT)
    rig.wait(lambda: frozen.said("delivery_lease_lost"), seconds=120)
    assert rig.store.rows(ROW) == before
    assert len(rig.provider.keys()) == 1


def _die_at(rig: Rig, point: str) -> None:
    """Have a worker take what is due and kill itself when it comes to the point."""
    worker = rig.start(FAULT_POINT=point)
    rig.wait(lambda: not worker.is_alive(), seconds=120)
    assert worker.process.returncode == -signal.SIGKILL, rig.last_words()


def _recover(rig: Rig) -> None:
    """Have another worker finish, with a clock that is past the leases of the dead one."""
    rig.advance(LEASE_SECONDS + TICK_SECONDS)
    [worker] = rig.start_ready()
    began = time.monotonic()
    rig.wait_for(oracle.DUE, 0, seconds=120)
    rig.wait_for(oracle.UNFINISHED, 0, seconds=120)
    assert time.monotonic() - began <= rig.allowed(RECOVERS_WITHIN_SECONDS)
    assert worker.stop() == 0
