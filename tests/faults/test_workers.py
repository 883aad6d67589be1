"""Rows 2, 3 and 16: several workers on one database, killed at random, and what a claim costs."""

import random
import time
from collections.abc import Callable

import pytest

from tests.faults import oracle
from tests.faults.figures import Figures
from tests.faults.plans import Cost, cost_of_claim
from tests.faults.rig import LEASE_SECONDS, Rig
from tests.faults.seeding import add_admin, add_incidents, add_people, add_policy, steps

pytestmark = pytest.mark.faults

WORKERS = 4
CLAIM_LIMIT_MS = 10.0
OPEN_FEW, OPEN_MANY, DUE = 1_000, 200_000, 50


def test_row_2_several_workers_fire_each_step_and_send_each_page_once(
    rig: Rig, scaled: Callable[..., int], figures: Figures
) -> None:
    number = scaled(10_000, 100)
    add_admin(rig.store, rig.provider)
    people = add_people(rig.store, rig.provider, number)
    add_incidents(rig.store, add_policy(rig.store, steps(0)), number, people)
    rig.start_ready(WORKERS)
    began = time.monotonic()
    rig.wait_for(oracle.EVENTS, number, seconds=120 + number / 20)
    planned = time.monotonic() - began
    rig.wait_for(oracle.UNFINISHED, 0, seconds=120 + number / 20)
    sent = time.monotonic() - began
    assert oracle.repeated(rig.store) == 0
    assert oracle.missing_pages(rig.store) == 0
    assert oracle.lost(rig.store) == 0
    assert oracle.falsely_sent(rig.store, rig.provider) == 0
    assert oracle.strangers(rig.store, rig.provider) == 0
    keys = rig.provider.keys()
    assert len(keys) == number
    assert oracle.duplicates(rig.provider) == {}
    figures.add("2 workers", due=number, planned_s=planned, sent_s=sent, pages_per_s=number / sent)


def test_row_3_workers_killed_at_random_lose_nothing_and_add_nothing(
    rig: Rig, scaled: Callable[..., int], figures: Figures
) -> None:
    number, seconds = scaled(2_000, 100), scaled(60, 5)
    add_admin(rig.store, rig.provider)
    people = add_people(rig.store, rig.provider, number)
    add_incidents(rig.store, add_policy(rig.store, steps(0, 0)), number, people, apart=seconds / number)
    rig.start_ready(WORKERS)
    kills = _kill_at_random(rig, seconds)
    rig.wait_for(oracle.EVENTS, 2 * number, seconds=120 + number / 20)
    rig.wait_for(oracle.UNFINISHED, 0, seconds=120 + 3 * LEASE_SECONDS + number / 20)
    doubled = oracle.duplicates(rig.provider)
    figures.add("3 random kills", kills=kills, pages=number, duplicates=sum(doubled.values()), lost=0)
    assert oracle.repeated(rig.store) == 0
    assert oracle.lost(rig.store) == 0
    assert oracle.falsely_sent(rig.store, rig.provider) == 0
    assert oracle.strangers(rig.store, rig.provider) == 0
    assert all(times <= kills for times in doubled.values())


def _kill_at_random(rig: Rig, seconds: float) -> int:
    """Kill a random worker every half second, and start another in its place. Returns how many were killed."""
    chance = random.Random(3)
    deadline = time.monotonic() + seconds
    kills = 0
    while time.monotonic() < deadline:
        time.sleep(0.5)
        chance.choice([worker for worker in rig.workers if worker.is_alive()]).kill()
        kills += 1
        rig.start()
    return kills


def test_row_16_claiming_what_is_due_costs_the_same_however_much_is_open(
    rig: Rig, scaled: Callable[..., int], figures: Figures
) -> None:
    many = scaled(OPEN_MANY, 4 * OPEN_FEW)
    [person] = add_people(rig.store, rig.provider, 1)
    policy = add_policy(rig.store, steps(0))
    add_incidents(rig.store, policy, DUE, [person], due_in=-60)
    add_incidents(rig.store, policy, OPEN_FEW - DUE, [person], due_in=86_400)
    few_open = _cheapest(rig)
    add_incidents(rig.store, policy, many - OPEN_FEW, [person], due_in=86_400)
    many_open = _cheapest(rig)
    figures.add(
        "16 claim",
        open=many,
        ms=many_open.milliseconds,
        buffers=many_open.buffers,
        ms_at_1000=few_open.milliseconds,
        buffers_at_1000=few_open.buffers,
    )
    assert many_open.rows >= DUE
    assert many_open.milliseconds <= 1000 * rig.allowed(CLAIM_LIMIT_MS / 1000)
    assert many_open.buffers <= 2 * few_open.buffers


def _cheapest(rig: Rig) -> Cost:
    """The cost of the claim when nothing else happens on this machine."""
    rig.store.tidy()
    return min((cost_of_claim(rig.store.database, limit=DUE) for _ in range(5)), key=lambda cost: cost.milliseconds)
