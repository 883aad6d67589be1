"""Decides how an escalation moves from one state to the next."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.core.vocabulary import EscalationState
from app.services.escalation import (
    UNREACHABLE_RETRY,
    Decision,
    Position,
    evaluate,
    is_in_vain,
    quarantine_until,
    retry_unreachable,
)

RUNNING, STOPPED = EscalationState.RUNNING, EscalationState.STOPPED
FINISHED, ENDED = EscalationState.FINISHED, EscalationState.ENDED
MAX_ERROR = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of an escalation: the columns of its row that only `start` and `transition` decide."""

    state: EscalationState
    cycle: int
    version_id: int
    loop: int
    step: int
    repeats_left: int
    has_reached: bool
    next_run_at: datetime | None
    unreachable_since: datetime | None
    attempts: int
    quarantined_at: datetime | None
    last_error: str | None
    brought_forward: timedelta = timedelta()
    other_step: int | None = None

    @property
    def position(self) -> Position:
        return Position(self.loop, self.step, self.repeats_left, self.brought_forward, self.other_step)


@dataclass(frozen=True, slots=True)
class FirstStart:
    """The escalation that a policy begins on an incident that has just been opened."""

    policy_id: int
    policy_name: str
    progress: Progress


@dataclass(frozen=True, slots=True)
class Stopped:
    """Somebody acknowledged, snoozed or resolved the incident."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The policy no longer applies to the incident."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """Somebody escalates manually: the step of a stopped escalation is due now."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Recovered:
    """A step was performed. Earlier failures no longer count."""


@dataclass(frozen=True, slots=True)
class StepFired:
    """A step was performed. `has_reached` is None if it has nobody to page.

    `changing` are the steps that only change something. `are_admins_paged` is set only if `needs_last_resort` asks for
    it: False if no administrator could be reached.
    """

    delays: Sequence[timedelta]
    at: datetime
    has_reached: bool | None
    are_admins_paged: bool | None = None
    changing: Collection[int] = ()

    def decision(self, position: Position) -> Decision:
        """The decision by the policy alone."""
        has_reached = self.has_reached is not False
        return evaluate(self.delays, position, self.at, changing=self.changing, has_reached=has_reached)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No page of the incident arrived. `cycle` is the incident's."""

    at: datetime
    cycle: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A step failed. `is_counted` is False if it only could not get a lock."""

    at: datetime
    error: str
    is_counted: bool


Event = Stopped | Ended | Resumed | Recovered | StepFired | Unreachable | Failed


def start(before: Progress | None, *, version_id: int, cycle: int, repeat: int, due_at: datetime) -> Progress:
    """Start at the first step, without anything of an earlier run; `loop` only rises."""
    return Progress(
        state=RUNNING,
        cycle=cycle,
        version_id=version_id,
        loop=0 if before is None else before.loop + 1,
        step=0,
        repeats_left=repeat,
        has_reached=False,
        next_run_at=due_at,
        unreachable_since=None,
        attempts=0,
        quarantined_at=None,
        last_error=None,
    )


def transition(now: Progress, event: Event) -> Progress:
    """The progress after an event. Every event has an outcome in every state."""
    match event:
        case StepFired():
            return _after_step(now, event)
        case Unreachable():
            return _after_alarm(now, event)
        case Failed():
            return _after_failure(now, event)
        case Recovered():
            return replace(now, attempts=0, quarantined_at=None, last_error=None)
        case _:
            return _after_word(now, event)


def _after_word(now: Progress, event: Stopped | Ended | Resumed) -> Progress:
    """Apply a person's or the policy's event: stop a running escalation, resume a stopped one, or end it."""
    if isinstance(event, Ended):
        return replace(now, state=ENDED, next_run_at=None)
    if isinstance(event, Stopped) and now.state is RUNNING:
        return replace(now, state=STOPPED, next_run_at=None)
    if isinstance(event, Resumed) and now.state is STOPPED:
        return replace(now, state=RUNNING, next_run_at=event.at)
    return now


def needs_last_resort(now: Progress, event: StepFired) -> bool:
    """True if the administrators must be paged now: the loop has reached nobody, and no later step of it pages.

    A loop without a paging step is over only after its last step. An escalation that its own step has stopped needs
    nothing: see `firing_service` for an incident that ends without a page.
    """
    if now.has_reached or now.state is not RUNNING:
        return False
    return is_in_vain(event.decision(now.position), has_reached=event.has_reached)


def _after_step(now: Progress, event: StepFired) -> Progress:
    """The next step, the next loop or the end; a retry soon if not even an administrator was reached."""
    if event.are_admins_paged is False:
        missed = replace(now, unreachable_since=now.unreachable_since or event.at)
        return _follow(missed, retry_unreachable(now.position, event.at))
    decision = event.decision(now.position)
    has_reached = now.has_reached or bool(event.has_reached)
    since = None if has_reached or event.are_admins_paged else now.unreachable_since
    # The administrators are paged once per loop, which may go on with steps that only change something.
    has_paged = has_reached or (bool(event.are_admins_paged) and not decision.ends_loop)
    return _follow(replace(now, has_reached=has_paged, unreachable_since=since), decision)


def _after_alarm(now: Progress, event: Unreachable) -> Progress:
    """Restart a finished escalation soon; the next step of a running one is due by then."""
    marked = replace(now, unreachable_since=now.unreachable_since or event.at)
    if now.cycle != event.cycle:
        return marked
    if now.state is FINISHED:
        again = retry_unreachable(Position(now.loop, now.step, 0), event.at)
        return _follow(replace(marked, state=RUNNING), again)
    if now.next_run_at is not None:
        return replace(marked, next_run_at=min(now.next_run_at, event.at + UNREACHABLE_RETRY))
    return marked


def _after_failure(now: Progress, event: Failed) -> Progress:
    """Quarantine it: retried with growing delays."""
    attempts = now.attempts + event.is_counted
    is_running = now.state is RUNNING
    return replace(
        now,
        attempts=attempts,
        quarantined_at=now.quarantined_at or event.at,
        last_error=event.error[:MAX_ERROR],
        next_run_at=quarantine_until(max(attempts, 1), event.at) if is_running else now.next_run_at,
    )


def _follow(now: Progress, decision: Decision) -> Progress:
    """Apply the decision. A new loop has reached nobody yet; only a running escalation has a due time."""
    if decision.due_at is None:
        return replace(now, state=FINISHED, next_run_at=None)
    to = decision.position
    return replace(
        now,
        loop=to.loop,
        step=to.step,
        repeats_left=to.repeats_left,
        brought_forward=to.brought_forward,
        other_step=to.other_step,
        has_reached=now.has_reached and not decision.ends_loop,
        next_run_at=decision.due_at if now.state is RUNNING else None,
    )
