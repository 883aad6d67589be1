"""Which policies match, and when steps are due."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.escalation import (
    MIN_LOOP_GAP,
    QUARANTINE_LONGEST,
    UNREACHABLE_RETRY,
    Facts,
    Position,
    evaluate,
    first_due,
    glob_matches,
    matches,
    quarantine_until,
    retry_unreachable,
)

NOW = datetime(2026, 1, 20, 10, 30, tzinfo=UTC)
FACTS = Facts(
    severity="high",
    service="primary-db",
    source="elastic",
    is_assigned=False,
    metadata={
        "env": "production",
        "count": 5,
        "tags": ["a", "b"],
        "kibana.alert": {"rule": {"id": "x"}},
        "host.name": "db-1",
        "cloud": {"zone.id": "a", "region": {"x": 1}},
        "cloud.region": {"name": "north"},
        "on": True,
        "none": "None",
    },
)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, True),
        ({"severity": "high"}, True),
        ({"severity": ["critical", "high"]}, True),
        ({"severity": ["critical"]}, False),
        ({"service": "primary-*"}, True),
        ({"service": ["database", "*-db"]}, True),
        ({"service": "PRIMARY-DB"}, True),
        ({"service": "primary"}, False),
        ({"source": "elastic"}, True),
        ({"source": "api"}, False),
        ({"assigned": False}, True),
        ({"assigned": [True]}, False),
        ({"metadata.env": "production"}, True),
        ({"metadata.env": ["staging", "Production"]}, True),
        ({"metadata.count": "5"}, True),
        ({"metadata.on": "true"}, True),
        ({"metadata.tags": "b"}, True),
        ({"metadata.kibana.alert.rule.id": "x"}, True),
        ({"metadata.kibana.alert.rule.id": "y"}, False),
        ({"metadata.host.name": "db-1"}, True),
        ({"metadata.host": "db-1"}, False),
        ({"metadata.cloud.zone.id": "a"}, True),
        ({"metadata.cloud.region.name": "north"}, True),
        ({"metadata.cloud.region.x": 1}, True),
        ({"metadata.cloud.region.y": None}, True),
        ({"metadata.env.x": "production"}, False),
        ({"metadata.missing": "x"}, False),
        ({"metadata.missing": None}, True),
        ({"metadata.missing": "none"}, False),
        ({"metadata.none": None}, False),
        ({"severity": "high", "service": "web"}, False),
    ],
)
def test_all_conditions_must_hold_and_one_value_of_each(conditions: dict[str, Any], expected: bool) -> None:
    assert matches(conditions, FACTS) is expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("*", "", True),
        ("a*c", "abc", True),
        ("a*c", "ac", True),
        ("a*a", "a", False),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("**", "x", True),
        ("[ab]", "a", False),
        ("a.c", "abc", False),
    ],
)
def test_a_star_stands_for_any_characters_and_nothing_else_is_special(pattern: str, text: str, expected: bool) -> None:
    assert glob_matches(pattern, text) is expected


@given(st.lists(st.text(alphabet="ab", max_size=4), min_size=1, max_size=5), st.data())
def test_a_pattern_matches_every_text_that_fills_its_stars(parts: list[str], data: st.DataObject) -> None:
    fillings = [data.draw(st.text(alphabet="ab", max_size=3)) for _ in parts[1:]]
    text = parts[0] + "".join(filling + part for filling, part in zip(fillings, parts[1:], strict=True))
    assert glob_matches("*".join(parts), text)


def minutes(*values: float) -> list[timedelta]:
    return [timedelta(minutes=value) for value in values]


def test_the_first_step_is_due_its_delay_after_the_base() -> None:
    assert first_due(minutes(5, 10), NOW) == NOW + timedelta(minutes=5)


def test_a_late_step_shifts_what_follows_instead_of_bursting() -> None:
    an_hour_late = NOW + timedelta(hours=1)
    decision = evaluate(minutes(0, 5, 15), Position(loop=0, step=1, repeats_left=0), an_hour_late)
    assert decision.position.step == 2
    assert decision.due_at == an_hour_late + timedelta(minutes=10)


def test_a_step_that_reached_nobody_is_followed_by_the_next_at_once() -> None:
    decision = evaluate(minutes(0, 30), Position(0, 0, 0), NOW, has_reached=False)
    assert decision.due_at == NOW


def test_the_last_step_finishes_an_escalation_without_repeats() -> None:
    decision = evaluate(minutes(0, 5), Position(0, 1, 0), NOW)
    assert decision.due_at is None
    assert decision.ends_loop


@pytest.mark.parametrize(("last", "gap"), [(5, timedelta(minutes=5)), (0, MIN_LOOP_GAP)])
def test_a_new_loop_starts_one_last_delay_but_at_least_a_minute_later(last: float, gap: timedelta) -> None:
    decision = evaluate(minutes(0, last), Position(loop=3, step=1, repeats_left=2), NOW)
    assert decision.position == Position(loop=4, step=0, repeats_left=1)
    assert decision.due_at == NOW + gap


@given(
    delays=st.lists(st.integers(0, 1000), min_size=1, max_size=6).map(sorted),
    repeats=st.integers(0, 9),
    lateness=st.lists(st.integers(0, 10_000), min_size=60, max_size=60),
)
def test_every_step_of_every_loop_fires_once_in_order_and_never_early(
    delays: list[int], repeats: int, lateness: list[int]
) -> None:
    steps = minutes(*delays)
    position, due = Position(0, 0, repeats), first_due(steps, NOW)
    fired = []
    last_fired_at = NOW
    for late in lateness:
        fired_at = due + timedelta(seconds=late)
        assert due >= last_fired_at
        fired.append((position.loop, position.step))
        decision = evaluate(steps, position, fired_at)
        position, last_fired_at = decision.position, fired_at
        if decision.due_at is None:
            break
        due = decision.due_at
    assert fired == [(loop, step) for loop in range(repeats + 1) for step in range(len(steps))]


def test_when_nobody_is_reachable_it_starts_over_and_spends_no_repeat() -> None:
    decision = retry_unreachable(Position(loop=0, step=2, repeats_left=3), NOW)
    assert decision.position == Position(1, 0, 3)
    assert decision.due_at == NOW + UNREACHABLE_RETRY


def test_quarantine_grows_with_each_failure_up_to_a_limit() -> None:
    waits = [quarantine_until(failures, NOW) - NOW for failures in range(1, 40)]
    assert waits == sorted(waits)
    assert waits[0] > timedelta()
    assert waits[-1] == QUARANTINE_LONGEST
