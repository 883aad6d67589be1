"""How an escalation moves: every event in every state."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from app.core.vocabulary import EscalationState
from app.services import escalation_state
from app.services.escalation import MIN_LOOP_GAP, QUARANTINE_FIRST, UNREACHABLE_RETRY
from app.services.escalation_state import (
    ENDED,
    FINISHED,
    RUNNING,
    STOPPED,
    Ended,
    Event,
    Failed,
    Progress,
    Recovered,
    Resumed,
    StepFired,
    Stopped,
    Unreachable,
    needs_last_resort,
    start,
    transition,
)

NOW = datetime(2026, 1, 20, 10, 30, tzinfo=UTC)
LATER, LONG_AGO = NOW + timedelta(hours=1), NOW - timedelta(hours=1)
TEN = timedelta(minutes=10)
DELAYS = [timedelta(), TEN]  # two steps, ten minutes apart
CYCLE = 3
FRESH = Progress(
    state=RUNNING,
    cycle=CYCLE,
    version_id=7,
    loop=1,
    step=0,
    repeats_left=1,
    has_reached=False,
    next_run_at=LATER,
    unreachable_since=None,
    attempts=0,
    quarantined_at=None,
    last_error=None,
)
FAILING: dict[str, Any] = {"attempts": 2, "quarantined_at": LONG_AGO, "last_error": "ValueError: no"}


def standing(state: EscalationState, **fields: Any) -> Progress:
    """Only what runs is due: the database sees to it."""
    return replace(FRESH, **{"state": state, "next_run_at": LATER if state is RUNNING else None, **fields})


def changes(before: Progress, event: Event) -> dict[str, Any]:
    """What the event changes."""
    after = transition(before, event)
    named = Progress.__dataclass_fields__
    return {name: getattr(after, name) for name in named if getattr(after, name) != getattr(before, name)}


MISSED: dict[str, Any] = {"unreachable_since": NOW}
AGAIN: dict[str, Any] = {"state": RUNNING, "loop": 2, "next_run_at": NOW + UNREACHABLE_RETRY}
TABLE: list[tuple[EscalationState, Event, dict[str, Any]]] = [
    (RUNNING, Stopped(), {"state": STOPPED, "next_run_at": None}),
    (STOPPED, Stopped(), {}),
    (FINISHED, Stopped(), {}),
    (ENDED, Stopped(), {}),
    (RUNNING, Ended(), {"state": ENDED, "next_run_at": None}),
    (STOPPED, Ended(), {"state": ENDED}),
    (FINISHED, Ended(), {"state": ENDED}),
    (ENDED, Ended(), {}),
    (RUNNING, Resumed(NOW), {}),
    (STOPPED, Resumed(NOW), {"state": RUNNING, "next_run_at": NOW}),
    (FINISHED, Resumed(NOW), {}),
    (ENDED, Resumed(NOW), {}),
    (RUNNING, Recovered(), {}),
    (STOPPED, Recovered(), {}),
    (FINISHED, Recovered(), {}),
    (ENDED, Recovered(), {}),
    (RUNNING, StepFired(DELAYS, NOW, True), {"step": 1, "has_reached": True, "next_run_at": NOW + TEN}),
    (STOPPED, StepFired(DELAYS, NOW, True), {"step": 1, "has_reached": True}),
    (FINISHED, StepFired(DELAYS, NOW, True), {"step": 1, "has_reached": True}),
    (ENDED, StepFired(DELAYS, NOW, True), {"step": 1, "has_reached": True}),
    (RUNNING, Unreachable(NOW, CYCLE), {**MISSED, "next_run_at": NOW + UNREACHABLE_RETRY}),
    (STOPPED, Unreachable(NOW, CYCLE), MISSED),
    (FINISHED, Unreachable(NOW, CYCLE), {**MISSED, **AGAIN, "repeats_left": 0}),
    (ENDED, Unreachable(NOW, CYCLE), MISSED),
    (
        RUNNING,
        Failed(NOW, "no", is_counted=True),
        {"attempts": 1, "quarantined_at": NOW, "last_error": "no", "next_run_at": NOW + QUARANTINE_FIRST},
    ),
    (STOPPED, Failed(NOW, "no", is_counted=True), {"attempts": 1, "quarantined_at": NOW, "last_error": "no"}),
    (FINISHED, Failed(NOW, "no", is_counted=True), {"attempts": 1, "quarantined_at": NOW, "last_error": "no"}),
    (ENDED, Failed(NOW, "no", is_counted=True), {"attempts": 1, "quarantined_at": NOW, "last_error": "no"}),
]


@pytest.mark.parametrize(("state", "event", "expected"), TABLE)
def test_every_event_changes_this_and_nothing_else(
    state: EscalationState, event: Event, expected: dict[str, Any]
) -> None:
    assert changes(standing(state), event) == expected


def test_the_table_has_every_event_in_every_state() -> None:
    listed = {(state, type(event)) for state, event, _ in TABLE}
    assert listed == {(state, event) for state in EscalationState for event in get_args(Event)}


@pytest.mark.parametrize("state", EscalationState)
@pytest.mark.parametrize("event", [event for state, event, _ in TABLE if state is RUNNING])
def test_exactly_what_runs_is_due(state: EscalationState, event: Event) -> None:
    after = transition(standing(state), event)
    assert (after.state is RUNNING) == (after.next_run_at is not None)


def test_an_escalation_starts_with_its_first_step() -> None:
    assert start(None, version_id=7, cycle=CYCLE, repeat=1, due_at=LATER) == replace(FRESH, loop=0)


@pytest.mark.parametrize("state", EscalationState)
def test_a_new_start_keeps_nothing_but_the_count_of_loops(state: EscalationState) -> None:
    before = standing(state, step=1, repeats_left=0, has_reached=True, unreachable_since=LONG_AGO, **FAILING)
    assert start(before, version_id=8, cycle=4, repeat=2, due_at=LATER) == replace(
        FRESH, version_id=8, cycle=4, loop=2, repeats_left=2
    )


@pytest.mark.parametrize("state", EscalationState)
def test_a_performed_step_ends_the_quarantine(state: EscalationState) -> None:
    expected = {"attempts": 0, "quarantined_at": None, "last_error": None}
    assert changes(standing(state, **FAILING), Recovered()) == expected


@pytest.mark.parametrize(
    ("has_reached", "due_at"), [(True, NOW + TEN), (None, NOW + TEN), (False, NOW)], ids=["yes", "not_meant_to", "no"]
)
def test_a_step_that_reached_nobody_calls_the_next_at_once(has_reached: bool | None, due_at: datetime) -> None:
    after = transition(FRESH, StepFired(DELAYS, NOW, has_reached))
    assert (after.step, after.next_run_at, after.has_reached) == (1, due_at, bool(has_reached))


def test_a_new_loop_has_reached_nobody_yet() -> None:
    before = standing(RUNNING, step=1, has_reached=True)
    after = transition(before, StepFired(DELAYS, NOW, has_reached=True))
    assert (after.loop, after.step, after.repeats_left, after.has_reached) == (2, 0, 0, False)
    assert after.next_run_at == NOW + max(DELAYS[-1], MIN_LOOP_GAP)


def test_a_later_step_does_not_forget_whom_an_earlier_one_reached() -> None:
    assert transition(standing(RUNNING, has_reached=True), StepFired(DELAYS, NOW, has_reached=False)).has_reached


@pytest.mark.parametrize("state", [RUNNING, STOPPED])
def test_the_last_step_of_the_last_loop_finishes(state: EscalationState) -> None:
    before = standing(state, step=1, repeats_left=0)
    after = transition(before, StepFired(DELAYS, NOW, has_reached=True))
    assert (after.state, after.next_run_at, after.step) == (FINISHED, None, 1)


@pytest.mark.parametrize(
    ("before", "has_reached", "expected"),
    [
        (standing(RUNNING, step=1), False, True),
        (standing(RUNNING, step=1), None, True),
        (standing(RUNNING, step=1), True, False),
        (standing(RUNNING, step=1, repeats_left=0), False, True),
        (standing(RUNNING, step=1, has_reached=True), False, False),
        (standing(RUNNING, step=0), False, False),
        (standing(STOPPED, step=1), False, False),
    ],
)
def test_a_loop_that_ends_in_vain_needs_the_last_resort(
    before: Progress, has_reached: bool | None, expected: bool
) -> None:
    assert needs_last_resort(before, StepFired(DELAYS, NOW, has_reached)) is expected


def test_admins_who_are_paged_clear_the_mark_and_the_policy_goes_on() -> None:
    before = standing(RUNNING, step=1, repeats_left=0, unreachable_since=LONG_AGO)
    after = transition(before, StepFired(DELAYS, NOW, has_reached=False, are_admins_paged=True))
    assert (after.state, after.unreachable_since, after.has_reached) == (FINISHED, None, False)


@pytest.mark.parametrize(("since", "expected"), [(None, NOW), (LONG_AGO, LONG_AGO)])
def test_who_cannot_reach_even_an_admin_tries_again(since: datetime | None, expected: datetime) -> None:
    before = standing(RUNNING, step=1, repeats_left=0, unreachable_since=since)
    after = transition(before, StepFired(DELAYS, NOW, has_reached=False, are_admins_paged=False))
    assert after == replace(before, step=0, unreachable_since=expected, **AGAIN)


def test_a_page_that_arrives_clears_the_mark_of_unreachability() -> None:
    before = standing(RUNNING, unreachable_since=LONG_AGO)
    assert transition(before, StepFired(DELAYS, NOW, has_reached=True)).unreachable_since is None
    assert transition(before, StepFired(DELAYS, NOW, has_reached=False)).unreachable_since == LONG_AGO


@pytest.mark.parametrize("state", EscalationState)
def test_an_alarm_of_another_cycle_only_marks(state: EscalationState) -> None:
    assert changes(standing(state), Unreachable(NOW, CYCLE + 1)) == MISSED


def test_an_alarm_never_delays_what_is_due_sooner() -> None:
    soon = NOW + timedelta(seconds=1)
    assert changes(standing(RUNNING, next_run_at=soon), Unreachable(NOW, CYCLE)) == MISSED


def test_a_second_alarm_keeps_the_time_of_the_first() -> None:
    before = standing(STOPPED, unreachable_since=LONG_AGO)
    assert transition(before, Unreachable(NOW, CYCLE)) == before


def test_a_second_failure_waits_longer_and_keeps_the_time_of_the_first() -> None:
    after = transition(standing(RUNNING, **FAILING), Failed(NOW, "e" * 3000, is_counted=True))
    assert (after.attempts, after.quarantined_at, after.next_run_at) == (3, LONG_AGO, NOW + QUARANTINE_FIRST * 4)
    assert after.last_error == "e" * escalation_state.MAX_ERROR


def test_a_lock_is_not_counted_as_a_failure() -> None:
    after = transition(FRESH, Failed(NOW, "locked", is_counted=False))
    assert (after.attempts, after.next_run_at) == (0, NOW + QUARANTINE_FIRST)


def test_a_step_in_vain_keeps_what_it_brought_forward_and_passed_over() -> None:
    """The next step that pages comes at once, before a step that only changes something, which keeps its time."""
    delays, changing = [timedelta(), TEN, 3 * TEN], {1}
    fired = StepFired(delays, NOW, has_reached=False, changing=changing)
    after = transition(standing(RUNNING), fired)
    assert (after.step, after.other_step, after.brought_forward, after.next_run_at) == (2, 1, 3 * TEN, NOW)
    last = transition(after, StepFired(delays, NOW, has_reached=True, changing=changing))
    assert (last.step, last.next_run_at) == (1, NOW + TEN)


def test_admins_are_paged_once_in_a_loop_that_goes_on_with_changes() -> None:
    fired = StepFired(DELAYS, NOW, has_reached=False, are_admins_paged=True, changing={1})
    after = transition(standing(RUNNING), fired)
    assert (after.step, after.has_reached) == (1, True)
    assert not needs_last_resort(after, StepFired(DELAYS, NOW, has_reached=None, changing={1}))
