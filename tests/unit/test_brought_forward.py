"""A step that reaches nobody brings forward what pages, and nothing else."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.escalation import Position, evaluate, first_due, is_in_vain, to_come

NOW = datetime(2026, 1, 20, 10, 30, tzinfo=UTC)
START = Position(0, 0, 0)
Story = list[tuple[int, float]]


def minutes(*values: float) -> list[timedelta]:
    return [timedelta(minutes=value) for value in values]


def told(delays: list[timedelta], changing: set[int], in_vain: set[int]) -> Story:
    """Which steps fire, each with its minute, if those `in_vain` reach nobody."""
    position, due_at, story = START, first_due(delays, NOW), []
    while True:
        story.append((position.step, (due_at - NOW) / timedelta(minutes=1)))
        reached = position.step not in in_vain
        decision = evaluate(delays, position, due_at, changing=changing, has_reached=reached)
        if decision.due_at is None:
            return story
        position, due_at = decision.position, decision.due_at


@pytest.mark.parametrize(
    ("delays", "changing", "in_vain", "expected"),
    [
        ((0, 10, 30), {1}, {0}, [(0, 0), (2, 0), (1, 10)]),
        ((0, 0, 10), {1}, {0}, [(0, 0), (2, 0), (1, 0)]),
        ((0, 0, 0), {1}, {0}, [(0, 0), (2, 0), (1, 0)]),
        ((0, 10, 20, 30), {2}, {0}, [(0, 0), (1, 0), (3, 20), (2, 20)]),
        ((0, 5, 10, 15, 40), {1, 3}, {0, 2}, [(0, 0), (2, 0), (4, 0), (1, 5), (3, 15)]),
        ((0, 10, 20), {1, 2}, {0}, [(0, 0), (1, 10), (2, 20)]),
        ((0, 5, 10), {0}, {1}, [(0, 0), (1, 5), (2, 5)]),
        ((0, 10, 30), {1}, set(), [(0, 0), (1, 10), (2, 30)]),
    ],
    ids=[
        "a change between keeps its time",
        "a change of the same minute comes after the page",
        "all in one minute",
        "what pages later moves with it, before a change of the same minute",
        "a second one in vain goes on to the third",
        "nothing else pages",
        "a change before",
        "nothing in vain",
    ],
)
def test_a_step_in_vain_brings_forward_only_steps_that_page(
    delays: tuple[float, ...], changing: set[int], in_vain: set[int], expected: Story
) -> None:
    assert told(minutes(*delays), changing, in_vain) == expected


@given(
    steps=st.lists(st.tuples(st.integers(0, 60), st.booleans(), st.booleans()), min_size=1, max_size=8).map(sorted),
)
def test_every_step_fires_once_and_a_change_never_before_its_time(steps: list[tuple[int, bool, bool]]) -> None:
    delays = minutes(*(delay for delay, _, _ in steps))
    changing = {number for number, (_, is_change, _) in enumerate(steps) if is_change}
    in_vain = {number for number, (_, _, is_in_vain) in enumerate(steps) if is_in_vain} - changing
    story = told(delays, changing, in_vain)
    assert sorted(step for step, _ in story) == list(range(len(steps)))
    assert [at for _, at in story] == sorted(at for _, at in story)
    assert {step: at for step, at in story if step in changing} == {step: steps[step][0] for step in changing}


def test_lateness_shifts_what_was_brought_forward_as_well() -> None:
    delays, late = minutes(0, 10, 30), NOW + timedelta(hours=1)
    first = evaluate(delays, START, NOW, changing={1}, has_reached=False)
    second = evaluate(delays, first.position, late, changing={1})
    assert (second.position.step, second.due_at) == (1, late + timedelta(minutes=10))


def test_a_new_loop_fires_in_the_order_of_the_policy_again() -> None:
    delays = minutes(0, 10, 30)
    position = Position(0, 1, 1, brought_forward=timedelta(minutes=30), other_step=3)
    assert evaluate(delays, position, NOW, changing={1}).position == Position(1, 0, 0)


def test_what_is_to_come_is_in_the_order_in_which_it_fires() -> None:
    position = Position(0, 2, 0, brought_forward=timedelta(minutes=30), other_step=1)
    expected = [(2, NOW), (1, NOW + timedelta(minutes=10))]
    assert to_come(minutes(0, 10, 30), position, NOW, changing={1}) == expected


@pytest.mark.parametrize(
    ("step", "has_reached", "expected"),
    [(0, False, False), (1, None, False), (2, False, True), (2, True, False), (3, None, True)],
)
def test_it_is_in_vain_as_soon_as_no_later_step_pages(step: int, has_reached: bool | None, expected: bool) -> None:
    decision = evaluate(
        minutes(0, 5, 10, 60), Position(0, step, 0), NOW, changing={1, 3}, has_reached=has_reached is not False
    )
    assert is_in_vain(decision, has_reached=has_reached) is expected


@pytest.mark.parametrize("repeats_left", [0, 1, 3])
def test_the_steps_to_come_end_with_the_loop_however_often_it_repeats(repeats_left: int) -> None:
    position = Position(0, 1, repeats_left)
    expected = [(1, NOW), (2, NOW + timedelta(minutes=20))]
    assert to_come(minutes(0, 10, 30), position, NOW) == expected


@pytest.mark.parametrize(("changing", "pages_again"), [({1, 2}, False), ({1}, True), ({0, 1}, True), (set(), True)])
@pytest.mark.parametrize("step", [0, 1])
def test_a_decision_says_if_a_later_step_of_the_loop_pages(changing: set[int], pages_again: bool, step: int) -> None:
    decision = evaluate(minutes(0, 10, 20), Position(0, step, 0), NOW, changing=changing)
    assert decision.pages_again is pages_again
