"""Rows 9 and 17: an hour in which nobody worked, and workers whose clocks are wrong."""

from collections import Counter
from collections.abc import Callable

import pytest

from tests.faults import oracle
from tests.faults.figures import Figures
from tests.faults.rig import TICK_SECONDS, Rig
from tests.faults.seeding import add_admin, add_incidents, add_people, add_policy, steps

pytestmark = pytest.mark.faults

HOUR = 3600
DELAYS = (0, 5, 15)
STEPS_OF_EACH = """
    SELECT count(*) FROM (
        SELECT FROM escalation_events GROUP BY incident_id HAVING array_agg(step ORDER BY id) = :steps) AS whole
"""
GAPS = """
    SELECT min(triggered_at - before) AS least FROM (
        SELECT step, triggered_at, lag(triggered_at) OVER (PARTITION BY incident_id ORDER BY step) AS before
        FROM escalation_events) AS fired
    WHERE step = :step
"""
LATENESS = """
    SELECT extract(epoch FROM e.triggered_at - d.due_at) AS late FROM escalation_events e JOIN due d USING (incident_id)
"""
RELEASED_EARLY = "SELECT count(*) FROM notifications WHERE attempt > 1"


def test_row_9_after_an_hour_down_there_is_no_burst_and_no_step_is_skipped(
    rig: Rig, scaled: Callable[..., int], figures: Figures
) -> None:
    number = scaled(1_000, 40)
    add_admin(rig.store, rig.provider)
    people = add_people(rig.store, rig.provider, number)
    add_incidents(rig.store, add_policy(rig.store, steps(*DELAYS)), number, people)
    rig.advance(HOUR)
    rig.start_ready(2)
    rig.wait_for(oracle.EVENTS, number, seconds=120 + number / 10)
    rig.wait_for(oracle.UNFINISHED, 0, seconds=120 + number / 10)
    on_return = Counter(arrival.path for arrival in rig.provider.arrivals)
    for fired in range(2, len(DELAYS) + 1):
        # Whole minutes after the latest: a step is due so long after the one before it really fired.
        rig.advance(60 * (DELAYS[fired - 1] - DELAYS[fired - 2]) + 60)
        rig.wait_for(oracle.EVENTS, fired * number, seconds=120 + number / 10)
    figures.add("9 an hour down", incidents=number, most_on_return=max(on_return.values()))
    assert max(on_return.values()) == 1
    assert len(on_return) == number
    assert oracle.repeated(rig.store) == 0
    assert int(rig.store.one(STEPS_OF_EACH, steps=list(range(len(DELAYS))))) == number
    for step in range(1, len(DELAYS)):
        [row] = rig.store.rows(GAPS, step=step)
        assert row.least.total_seconds() >= 60 * (DELAYS[step] - DELAYS[step - 1])


def test_row_17_workers_with_wrong_clocks_shift_no_timer(
    rig: Rig, scaled: Callable[..., int], figures: Figures
) -> None:
    number = scaled(200, 40)
    add_admin(rig.store, rig.provider)
    people = add_people(rig.store, rig.provider, number)
    for skew in (HOUR, -HOUR):
        rig.start_ready(FAULT_SKEW_SECONDS=str(skew))
    add_incidents(rig.store, add_policy(rig.store, steps(0)), number, people, due_in=3, apart=5 / number)
    rig.store.run("CREATE TABLE due AS SELECT incident_id, next_run_at AS due_at FROM escalations")
    rig.wait_for(oracle.EVENTS, number, seconds=120)
    rig.wait_for(oracle.UNFINISHED, 0, seconds=120)
    late = [float(row.late) for row in rig.store.rows(LATENESS)]
    figures.add("17 wrong clocks", steps=number, earliest_s=min(late), latest_s=max(late))
    assert len(late) == number
    assert min(late) >= 0
    assert max(late) <= rig.allowed(2 * TICK_SECONDS)
    assert rig.store.one(RELEASED_EARLY) == 0
    assert oracle.duplicates(rig.provider) == {}
