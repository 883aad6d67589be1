"""Decides which policies match an incident, and when their steps are due."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

MIN_LOOP_GAP = timedelta(minutes=1)
UNREACHABLE_RETRY = timedelta(minutes=5)
QUARANTINE_FIRST = timedelta(seconds=30)
QUARANTINE_LONGEST = timedelta(minutes=10)
METADATA_PREFIX = "metadata."


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of an incident that conditions can check."""

    severity: str
    service: str
    source: str
    is_assigned: bool
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """The result of one condition: the accepted values, and the incident's value."""

    attribute: str
    wanted: tuple[Any, ...]
    found: Any
    holds: bool


@dataclass(frozen=True, slots=True)
class Position:
    """The step that fires next, its loop, and how many loops are left after this one.

    Once a step was brought forward in a loop, the steps that page run ahead of those that only change something:
    `brought_forward` is how much earlier than written they are due, and `other_step` is the next step of the other
    kind (the number of steps if none is left). It is None while the steps fire in their order.
    """

    loop: int
    step: int
    repeats_left: int
    brought_forward: timedelta = timedelta()
    other_step: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Where an escalation stands after a step fired. `due_at` is None when it is finished.

    `pages_again` is True if a later step of the same loop pages.
    """

    position: Position
    due_at: datetime | None
    ends_loop: bool
    pages_again: bool = False


def matches(conditions: Mapping[str, Any], facts: Facts) -> bool:
    """True if all conditions hold. Of a list, any value may match. Without conditions everything matches."""
    return all(result.holds for result in _results(conditions, facts))


def explain(conditions: Mapping[str, Any], facts: Facts) -> tuple[ConditionResult, ...]:
    """The result of each condition. The policy matches if all of them hold."""
    return tuple(_results(conditions, facts))


def _results(conditions: Mapping[str, Any], facts: Facts) -> Iterator[ConditionResult]:
    for attribute, wanted in conditions.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        found = _found(attribute, facts)
        yield ConditionResult(attribute, tuple(values), found, _holds(attribute, values, found))


def _found(attribute: str, facts: Facts) -> Any:
    if attribute == "assigned":
        return facts.is_assigned
    if attribute.startswith(METADATA_PREFIX):
        return _look_up(facts.metadata, attribute.removeprefix(METADATA_PREFIX))
    return getattr(facts, attribute)


def _holds(attribute: str, values: Sequence[Any], found: Any) -> bool:
    if attribute == "service":
        return any(glob_matches(str(value), found) for value in values)
    if attribute.startswith(METADATA_PREFIX):
        return not _words(found).isdisjoint({_word(value) for value in values})
    return found in values


def glob_matches(pattern: str, text: str) -> bool:
    """`*` matches any run of characters. Case is ignored. Linear in the text for each `*`."""
    first, *rest = pattern.casefold().split("*")
    text = text.casefold()
    if not rest:
        return text == first
    *middle, last = rest
    if not text.startswith(first) or not text[len(first) :].endswith(last):
        return False
    text = text[len(first) : len(text) - len(last)]
    for part in middle:
        _, found, text = text.partition(part) if part else ("", "*", text)
        if not found:
            return False
    return True


def _look_up(metadata: Any, path: str) -> Any:
    """Follow a dotted path. A key may contain the dots itself, or objects may be nested."""
    if not isinstance(metadata, Mapping):
        return None
    if path in metadata:
        return metadata[path]
    for end, character in enumerate(path):
        if character == "." and path[:end] in metadata:
            found = _look_up(metadata[path[:end]], path[end + 1 :])
            if found is not None:
                return found
    return None


def _words(found: Any) -> set[str | None]:
    return {_word(item) for item in found} if isinstance(found, list) else {_word(found)}


def _word(value: Any) -> str | None:
    """A comparable form, None for null. Senders quote values at will: 5 equals "5" and 5.0, and True equals "true"."""
    if value is None:
        return None
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if is_whole else value).casefold()


def delays_of(steps: Sequence[Mapping[str, Any]]) -> list[timedelta]:
    """Each step's delay from the start of the escalation."""
    return [timedelta(minutes=step["delay_minutes"]) for step in steps]


def first_due(delays: Sequence[timedelta], base: datetime) -> datetime:
    """When the first step is due: the base plus its delay."""
    return base + delays[0]


def evaluate(
    delays: Sequence[timedelta],
    position: Position,
    fired_at: datetime,
    *,
    changing: Collection[int] = (),
    has_reached: bool = True,
) -> Decision:
    """Decide what follows a step that fired. `changing` are the steps that page nobody and only change something.

    The next step is due at fired_at + (its delay - the fired step's delay): lateness shifts what follows, so that an
    outage never ends in a burst. A step that was to page and reached nobody brings forward the next step that pages,
    and with it the later ones that page; steps that only change something keep their time. A new loop starts one
    last-delay (at least a minute) after the last step.
    """
    paging, change = _next_of_each_kind(len(delays), position, changing)
    if paging is None and change is None:
        return _end_loop(delays, position, fired_at)
    clock = _Clock(delays, changing, position.brought_forward)
    is_bringing = not has_reached and paging is not None
    ahead = clock.ahead_by(position.step, paging) if is_bringing and paging is not None else clock
    is_ahead = is_bringing or position.other_step is not None
    left = [step for step in (paging, change) if step is not None]
    following = min(left, key=lambda step: (ahead.time_of(step), is_ahead and step in changing, step))
    other = next((step for step in left if step != following), len(delays)) if is_ahead else None
    gap = ahead.time_of(following) - clock.time_of(position.step)
    to = Position(position.loop, following, position.repeats_left, ahead.brought_forward, other)
    return Decision(to, fired_at + max(gap, timedelta()), ends_loop=False, pages_again=paging is not None)


def is_in_vain(decision: Decision, *, has_reached: bool | None) -> bool:
    """True if this loop reached nobody and will not: its last step, or the last one that pages, has fired.

    `has_reached` is that of the fired step, None if it has nobody to page. Earlier steps have reached nobody.
    """
    return not has_reached and (decision.ends_loop or (has_reached is False and not decision.pages_again))


def to_come(
    delays: Sequence[timedelta], position: Position, due_at: datetime, *, changing: Collection[int] = ()
) -> list[tuple[int, datetime]]:
    """The remaining steps of this loop in order, and when each is due if every page reaches somebody."""
    found = [(position.step, due_at)]
    while not (decision := evaluate(delays, position, due_at, changing=changing)).ends_loop and decision.due_at:
        position, due_at = decision.position, decision.due_at
        found.append((position.step, due_at))
    return found


@dataclass(frozen=True, slots=True)
class _Clock:
    """When each step of a loop is due, counted from the loop's start."""

    delays: Sequence[timedelta]
    changing: Collection[int]
    brought_forward: timedelta

    def time_of(self, step: int) -> timedelta:
        return self.delays[step] - (timedelta() if step in self.changing else self.brought_forward)

    def ahead_by(self, fired: int, following: int) -> "_Clock":
        """The clock by which a step that pages follows the fired one at once."""
        return replace(self, brought_forward=self.delays[following] - self.time_of(fired))


def _next_of_each_kind(count: int, position: Position, changing: Collection[int]) -> tuple[int | None, int | None]:
    """The next step that pages and the next that only changes something, after the one that fires now."""
    is_change = position.step in changing
    after = range(position.step + 1, count)
    own = next((step for step in after if (step in changing) == is_change), None)
    if position.other_step is None:
        other = next((step for step in after if (step in changing) != is_change), None)
    else:
        other = position.other_step if position.other_step < count else None
    return (other, own) if is_change else (own, other)


def _end_loop(delays: Sequence[timedelta], position: Position, fired_at: datetime) -> Decision:
    """The last step of a loop fired: the next loop follows, or the end."""
    if position.repeats_left == 0:
        return Decision(Position(position.loop, position.step, 0), None, ends_loop=True)
    base = fired_at + max(delays[-1], MIN_LOOP_GAP)
    again = Position(position.loop + 1, 0, position.repeats_left - 1)
    return Decision(again, first_due(delays, base), ends_loop=True)


def retry_unreachable(position: Position, fired_at: datetime) -> Decision:
    """Nobody is reachable, not even an admin: start over soon, with an extra loop that uses up no repeat."""
    again = Position(position.loop + 1, 0, position.repeats_left)
    return Decision(again, fired_at + UNREACHABLE_RETRY, ends_loop=True)


def quarantine_until(failures: int, failed_at: datetime) -> datetime:
    """When to retry an escalation that failed so many times: the delay doubles each time, up to a limit."""
    exponent = min(failures - 1, 10)
    delay: timedelta = min(QUARANTINE_FIRST * 2**exponent, QUARANTINE_LONGEST)
    return failed_at + delay
