"""Decides why each person was paged about an incident, or was not, from the facts about it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.core.vocabulary import EscalationState
from app.services.escalation import ConditionResult
from app.services.explain import why_reasons
from app.services.explain.why_reasons import Place, Reason, Sent, Stop
from app.services.notification import Person, route

Told = Iterator[tuple[str, Reason]]
STRANGER = "email:"  # the prefix of the key of an address without an account


@dataclass(frozen=True, slots=True)
class Addressee:
    """Somebody whom an action targets, and the channels it names for them, if any."""

    person: Person
    named: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Skipped:
    """What a step skipped when it fired: a channel, or the whole person."""

    recipient: str
    place: Place
    channel: str | None
    why: str
    at: datetime
    who: str = "this person"


@dataclass(frozen=True, slots=True)
class Step:
    """A step that has not fired, and whom it targets. `due_at` is None if nothing is due.

    `tried_again_at` is set if the step failed: that is when it is retried.
    """

    place: Place
    addressees: tuple[Addressee, ...]
    due_at: datetime | None = None
    tried_again_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where one policy's escalation stands in this cycle. `is_active`: its policy is active."""

    state: EscalationState
    is_active: bool
    steps_to_come: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Idle:
    """An active policy whose escalation has not started in this cycle."""

    policy_id: int
    name: str
    conditions: Sequence[ConditionResult]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about the current cycle of an incident.

    `stop` is what ended its paging. `nobody_since` is since when no recipient has been reachable. `admins` and
    `involved` always get a reason, at least why they were not paged. `channels` are those set up here.
    """

    channels: frozenset[str]
    stop: Stop | None
    pages: Sequence[tuple[str, Sent]]
    skipped: Sequence[Skipped]
    nobody_since: datetime | None
    escalations: Sequence[Progress]
    idle: Sequence[Idle]
    admins: Sequence[Person]
    involved: Sequence[str]


def explain(facts: Facts) -> dict[str, list[Reason]]:
    """The reasons for each recipient, most telling first."""
    found: dict[str, list[Reason]] = {}
    for decide in DECIDERS:
        for recipient, reason in decide(facts):
            found.setdefault(recipient, []).append(reason)
    for recipient in (key for key in found if key.startswith(STRANGER)):
        found[recipient].append(why_reasons.of_stranger())
    for recipient, reason in _otherwise(facts):
        found.setdefault(recipient, [reason])
    return found


def holds(conditions: Sequence[ConditionResult]) -> bool:
    """True if a policy with these results matches."""
    return all(condition.holds for condition in conditions)


def _pages(facts: Facts) -> Told:
    for recipient, sent in facts.pages:
        for reason in why_reasons.of_page(sent, facts.stop):
            yield recipient, reason


def _skips(facts: Facts) -> Told:
    for skip in facts.skipped:
        yield skip.recipient, why_reasons.of_skip(skip.place, skip.channel, skip.why, skip.at, skip.who)


def _unreachable(facts: Facts) -> Told:
    """Why not even the administrators were paged."""
    if facts.nobody_since is None:
        return
    for person in facts.admins:
        routed = route(person, None, facts.channels)
        for skip in () if routed.pages else routed.skips:
            yield person.key, why_reasons.of_unreachable(skip.channel, skip.reason, facts.nobody_since)


def _to_come(facts: Facts) -> Told:
    """What a running escalation will still do, and what one that was stopped, or whose policy is off, will not do."""
    for progress in facts.escalations:
        for step in progress.steps_to_come:
            for addressee in step.addressees:
                for reason in _of_step(facts, progress, step, addressee):
                    yield addressee.person.key, reason


def _of_step(facts: Facts, progress: Progress, step: Step, addressee: Addressee) -> Iterator[Reason]:
    if progress.state is EscalationState.STOPPED and facts.stop is not None:
        yield why_reasons.of_stopped(step.place, facts.stop)
    elif progress.state is EscalationState.ENDED and not progress.is_active:
        yield why_reasons.of_ended(step.place)
    elif step.tried_again_at is not None:
        yield why_reasons.of_quarantined(step.place, step.tried_again_at)
    elif step.due_at is not None:
        yield from _upcoming(step.place, step.due_at, addressee, facts.channels)


def _upcoming(place: Place, due_at: datetime, addressee: Addressee, channels: frozenset[str]) -> Iterator[Reason]:
    routed = route(addressee.person, addressee.named, channels)
    for page in routed.pages:
        yield why_reasons.of_upcoming(place, due_at, page.channel, None)
    for skip in routed.skips:
        yield why_reasons.of_upcoming(place, due_at, skip.channel, skip.reason)
    if not routed.pages and not routed.skips:
        yield why_reasons.of_upcoming(place, due_at, None, "no_channel")


def _idle(facts: Facts) -> Told:
    """Why a policy that has not started pages nobody: it does not match, or it matched only after paging stopped."""
    for policy in facts.idle:
        if not holds(policy.conditions):
            for key in _keys(policy.steps):
                yield key, why_reasons.of_mismatch(policy.policy_id, policy.name, policy.conditions)
        elif facts.stop is not None:
            for step in policy.steps:
                for key in _keys([step]):
                    yield key, why_reasons.of_stopped(step.place, facts.stop)


def _keys(steps: Sequence[Step]) -> list[str]:
    """Whom the steps target, without duplicates."""
    return list(dict.fromkeys(addressee.person.key for step in steps for addressee in step.addressees))


def _otherwise(facts: Facts) -> Told:
    """The reason for those who have no other."""
    for person in facts.admins:
        yield person.key, why_reasons.of_admin()
    for key in facts.involved:
        yield key, why_reasons.of_unnamed()


DECIDERS: tuple[Callable[[Facts], Told], ...] = (_pages, _skips, _unreachable, _to_come, _idle)
