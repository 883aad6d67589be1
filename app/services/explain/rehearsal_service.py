"""Rehearses one policy's steps: who would be paged, when, and by which channel."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.crud.crud_policy import ActivePolicy
from app.schemas.preview import ActionPreview, PersonPreview, StepPreview
from app.services import escalation
from app.services.contacts.address import masked
from app.services.contacts.directory_service import Directory
from app.services.escalation import Position
from app.services.notification import Person, route
from app.services.policies import action_service
from app.services.policies.actions.registry import ACTIONS, Addressee
from app.services.policies.situation import Trial
from app.services.ports import Paging


@dataclass(slots=True)
class Rehearsal:
    """The result of each step, by its number. `then_paged`: the administrators, paged at `then_paged_at`."""

    fired: dict[int, StepPreview] = field(default_factory=dict)
    has_reached: bool = False
    then_paged: list[PersonPreview] = field(default_factory=list)
    then_paged_at: datetime | None = None

    @property
    def has_paged(self) -> bool:
        return self.has_reached or pages(self.then_paged)


def rehearse(trial: Trial, policy: ActivePolicy) -> Rehearsal:
    """Fire the steps of one loop in their order, as if every page were accepted."""
    done = Rehearsal()
    delays, changing = escalation.delays_of(policy.steps), action_service.changing_steps(policy.steps)
    position = Position(0, 0, 0)
    due_at: datetime | None = escalation.first_due(delays, trial.at)
    while due_at is not None and not trial.is_over:
        trial.at = due_at
        done.fired[position.step], has_reached = _fire(trial, policy, position.step)
        done.has_reached = done.has_reached or bool(has_reached)
        decision = escalation.evaluate(
            delays, position, due_at, changing=changing, has_reached=has_reached is not False
        )
        if _is_to_page_admins(trial, done, has_reached, decision):
            _page_admins(trial, done)
            trial.is_over = trial.is_over or not done.has_paged  # the escalation restarts until somebody is reachable
        position, due_at = decision.position, decision.due_at
    return done


def steps(policy: ActivePolicy, done: Rehearsal) -> list[StepPreview]:
    """All steps of the policy in order, including those that would not fire."""
    return [
        done.fired.get(number) or StepPreview(step=number, delay_minutes=step["delay_minutes"], due_at=None, actions=[])
        for number, step in enumerate(policy.steps)
    ]


def admins(directory: Directory) -> list[PersonPreview]:
    """The administrators, as they would be paged if nobody else is."""
    return _people([Addressee(person, None) for person in directory.admins()], directory.paging)


def pages(people: Sequence[PersonPreview]) -> bool:
    """True if one of them would be paged."""
    return any(person.skipped is None for person in people)


def _is_to_page_admins(trial: Trial, done: Rehearsal, has_reached: bool | None, decision: escalation.Decision) -> bool:
    """True if nobody was reached and nobody will be. The same rule as for a real step."""
    if done.has_paged:
        return False
    if trial.is_over:
        return trial.has_ended
    return escalation.is_in_vain(decision, has_reached=has_reached)


def _page_admins(trial: Trial, done: Rehearsal) -> None:
    done.then_paged, done.then_paged_at = admins(trial.directory), trial.at


def _fire(trial: Trial, policy: ActivePolicy, number: int) -> tuple[StepPreview, bool | None]:
    """The step, and whether it would page anybody; None if it has no page to send."""
    step = policy.steps[number]
    stored: Sequence[Mapping[str, Any]] = step.get("actions", ())
    would_page = [_simulate(trial, action) for action in stored]
    actions = [
        ActionPreview(type=action["type"], people=people or [])
        for action, people in zip(stored, would_page, strict=True)
    ]
    preview = StepPreview(step=number, delay_minutes=step["delay_minutes"], due_at=trial.at, actions=actions)
    meant = [pages(people) for people in would_page if people is not None]
    return preview, any(meant) if meant else None


def _simulate(trial: Trial, action: Mapping[str, Any]) -> list[PersonPreview] | None:
    """Whom the action would page; None if the action does not page."""
    addressees = ACTIONS.of(action).simulate(trial, action)
    return None if addressees is None else _people(addressees, trial.paging)


def _people(addressees: Sequence[Addressee], paging: Paging) -> list[PersonPreview]:
    found: dict[tuple[str, str | None], PersonPreview] = {}
    for person, named in addressees:
        for one in _routed(person, named, paging):
            found.setdefault((one.recipient, one.channel), one)
    return list(found.values())


def _routed(person: Person, named: Sequence[str] | None, paging: Paging) -> Iterator[PersonPreview]:
    routed = route(person, named, paging.channels)
    who: dict[str, Any] = {"recipient": person.key, "user_id": person.user_id, "name": person.name}
    for page in routed.pages:
        yield PersonPreview(**who, channel=page.channel, address=masked(page.address), skipped=None)
    for skip in routed.skips:
        yield PersonPreview(**who, channel=skip.channel, address=None, skipped=skip.reason)
    if not routed.pages and not routed.skips:
        yield PersonPreview(**who, channel=None, address=None, skipped="no_channel")
