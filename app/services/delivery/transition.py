"""Decides how an event changes a message: its status, its times, its lease, and why it ended.

Nothing else decides these. A message goes from pending through sending to accepted and delivered, or ends as dead or
cancelled. An event that does not apply to a message's state changes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID

from app.core.vocabulary import DeliveryStatus, EndReason, NotificationKind

DEACTIVATED = "The recipient's account was deactivated."
ERASED: dict[str, Any] = {"subject": "", "body": "", "html": None, "facts": {}}
NO_LEASE: dict[str, Any] = {"lease_until": None, "lease_token": None}
TRIED_BEFORE = 2  # an attempt counts from its claim


class EventType(StrEnum):
    """What can happen to a message."""

    THROTTLED = "throttled"  # look again at `until`
    RELEASED = "released"  # by its recipient's token bucket; due at `until`, if that is given
    BUNDLED = "bundled"
    CLAIMED = "claimed"  # by a worker, under a lease
    RENEWED = "renewed"
    GIVEN_BACK = "given_back"  # not tried; due at `until`
    BROUGHT_FORWARD = "brought_forward"  # due at `until` instead of later
    LEASE_EXPIRED = "lease_expired"
    CUT_OFF = "cut_off"  # its lease expired so often that its time is up
    ACCEPTED = "accepted"
    FAILED = "failed"  # for now; due at `until`
    REFUSED = "refused"  # for good
    GAVE_UP = "gave_up"  # failed, and its time is up
    NOT_NEEDED = "not_needed"
    DEACTIVATED = "deactivated"
    REPORTED_DELIVERED = "reported_delivered"
    REPORTED_LOST = "reported_lost"
    FALLBACK_DONE = "fallback_done"
    FALLBACK_POSTPONED = "fallback_postponed"  # look again at `until`


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a message. Each type uses the fields that it needs.

    `first_attempt_at` comes with what was tried itself, and not with a page that was named in a bundle.
    """

    type: EventType
    until: datetime | None = None
    lease_token: UUID | None = None
    error: str | None = None
    provider_id: str | None = None
    first_attempt_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The part of a message that decides how an event changes it."""

    status: DeliveryStatus
    kind: NotificationKind
    is_throttled: bool = False
    is_bundled: bool = False
    attempt: int = 0
    provider_id: str | None = None
    first_attempt_at: datetime | None = None
    accepted_at: datetime | None = None
    delivered_at: datetime | None = None

    @property
    def is_sending(self) -> bool:
        return self.status is DeliveryStatus.SENDING

    @property
    def is_under_way(self) -> bool:
        """True if an attempt may end it: its own, or that of the bundle that names it."""
        return self.is_sending or (self.status is DeliveryStatus.PENDING and self.is_bundled)

    @property
    def is_waiting(self) -> bool:
        """True if the recipient's token bucket has not released it yet."""
        return self.status is DeliveryStatus.PENDING and self.is_throttled


@dataclass(frozen=True, slots=True)
class Changes:
    """The changed columns with their new values. `erases_text`: it ended, and its text is a secret."""

    columns: tuple[tuple[str, Any], ...] = ()
    erases_text: bool = False

    def values(self) -> dict[str, Any]:
        return {**dict(self.columns), **(ERASED if self.erases_text else {})}


def apply(state: State, event: Event, at: datetime) -> Changes:
    """The changes of an event. Total: no change if it does not apply to this state."""
    values = RULES[event.type](state, event, at)
    has_ended = "status" in values and values["status"].has_ended
    return Changes(tuple(sorted(values.items())), erases_text=has_ended and state.kind.is_secret)


def _throttled(state: State, event: Event, _at: datetime) -> Mapping[str, Any]:
    return {"next_attempt_at": event.until} if state.is_waiting else {}


def _released(state: State, event: Event, _at: datetime) -> Mapping[str, Any]:
    due = {} if event.until is None else {"next_attempt_at": event.until}
    return {"is_throttled": False, **due} if state.is_waiting else {}


def _bundled(state: State, _event: Event, _at: datetime) -> Mapping[str, Any]:
    return {"is_throttled": False, "next_attempt_at": None} if state.is_waiting else {}


def _claimed(state: State, event: Event, _at: datetime) -> Mapping[str, Any]:
    is_due = state.status is DeliveryStatus.RETRY or state.status is DeliveryStatus.PENDING
    if not is_due or state.is_throttled or state.is_bundled:
        return {}
    lease = {"lease_until": event.until, "lease_token": event.lease_token}
    return {"status": DeliveryStatus.SENDING, "attempt": state.attempt + 1, **lease}


def _renewed(state: State, event: Event, _at: datetime) -> Mapping[str, Any]:
    return {"lease_until": event.until} if state.is_sending else {}


def _given_back(state: State, event: Event, _at: datetime) -> Mapping[str, Any]:
    """Undo the claim, except for when it is due."""
    if not state.is_sending:
        return {}
    if state.delivered_at is not None:
        return _arrived(state, state.delivered_at)
    status = DeliveryStatus.PENDING if state.attempt < TRIED_BEFORE else DeliveryStatus.RETRY
    times = {"next_attempt_at": event.until, "first_attempt_at": event.first_attempt_at}
    return {"status": status, "attempt": state.attempt - 1, **times, **NO_LEASE}


def _brought_forward(state: State, event: Event, _at: datetime) -> Mapping[str, Any]:
    is_waiting = state.status is DeliveryStatus.PENDING or state.status is DeliveryStatus.RETRY
    return {"next_attempt_at": event.until} if is_waiting and not (state.is_throttled or state.is_bundled) else {}


def _lease_expired(state: State, _event: Event, at: datetime) -> Mapping[str, Any]:
    """Due again at once, as it may not have been sent; delivered if its provider reported that."""
    if not state.is_sending:
        return {}
    if state.delivered_at is not None:
        return _arrived(state, state.delivered_at)
    began = {} if state.first_attempt_at is not None else {"first_attempt_at": at}
    return {"status": DeliveryStatus.RETRY, "next_attempt_at": at, **began, **NO_LEASE}


def _accepted(state: State, event: Event, at: datetime) -> Mapping[str, Any]:
    if not state.is_under_way:
        return {}
    said = _said(event)
    if state.delivered_at is not None:
        return {**said, **_arrived(state, state.delivered_at, accepted_at=at)}
    times = {"accepted_at": at, "ended_at": at, "next_attempt_at": None, "fallback_at": None}
    return {**said, "status": DeliveryStatus.ACCEPTED, **times, **NO_LEASE}


def _failed(state: State, event: Event, _at: datetime) -> Mapping[str, Any]:
    """Retry later. A page in a bundle is retried with the bundle."""
    if not state.is_sending:
        return {}
    said = _said(event)
    if state.delivered_at is not None:
        return {**said, **_arrived(state, state.delivered_at)}
    return {**said, "status": DeliveryStatus.RETRY, "next_attempt_at": event.until, "ended_at": None, **NO_LEASE}


def _dead(state: State, event: Event, at: datetime, *, reason: EndReason) -> Mapping[str, Any]:
    """It will not arrive. A page's next channel is due at once."""
    if not state.is_under_way:
        return {}
    if state.delivered_at is not None:
        return {**_said(event), **_arrived(state, state.delivered_at)}
    return {**_said(event), **_lost(state, DeliveryStatus.DEAD, reason, at), "next_attempt_at": None}


def _not_needed(state: State, _event: Event, at: datetime) -> Mapping[str, Any]:
    """It is no longer needed, for example after an acknowledgement. No fallback; an earlier error stays."""
    if not state.is_under_way:
        return {}
    if state.delivered_at is not None:
        return _arrived(state, state.delivered_at)
    return {**_lost(state, DeliveryStatus.CANCELLED, EndReason.NOT_NEEDED, at), "fallback_at": None}


def _deactivated(state: State, _event: Event, at: datetime) -> Mapping[str, Any]:
    """Its recipient can no longer be paged. A page's fallback is due at once."""
    if not state.is_under_way:
        return {}
    said = {"last_error": DEACTIVATED}
    if state.delivered_at is not None:
        return {**said, **_arrived(state, state.delivered_at)}
    return {**said, **_lost(state, DeliveryStatus.CANCELLED, EndReason.RECIPIENT_DEACTIVATED, at)}


def _reported_delivered(state: State, event: Event, at: datetime) -> Mapping[str, Any]:
    """The provider reported delivery. Until our own attempt is recorded, only the time is kept."""
    if _has_final_word(state):
        return {}
    known = _provider_id(state, event)
    return {**known, "delivered_at": at} if state.is_sending else {**known, **_arrived(state, at)}


def _reported_lost(state: State, event: Event, at: datetime) -> Mapping[str, Any]:
    """Final, even if a worker still waits for the provider's answer: without the lease it writes nothing."""
    if _has_final_word(state):
        return {}
    ended = _lost(state, DeliveryStatus.DEAD, EndReason.UNDELIVERED, at)
    return {**_provider_id(state, event), **ended, "last_error": event.error, "next_attempt_at": None}


def _fallback_done(_state: State, _event: Event, _at: datetime) -> Mapping[str, Any]:
    return {"fallback_at": None}


def _fallback_postponed(_state: State, event: Event, _at: datetime) -> Mapping[str, Any]:
    return {"fallback_at": event.until}


def _arrived(state: State, when: datetime, *, accepted_at: datetime | None = None) -> Mapping[str, Any]:
    times = {"delivered_at": when, "ended_at": when, "accepted_at": accepted_at or state.accepted_at or when}
    nothing_due = {"next_attempt_at": None, "fallback_at": None, "is_throttled": False, **NO_LEASE}
    return {"status": DeliveryStatus.DELIVERED, "end_reason": None, **times, **nothing_due}


def _lost(state: State, status: DeliveryStatus, reason: EndReason, at: datetime) -> Mapping[str, Any]:
    fallback_at = at if state.kind.is_page else None
    ended = {"ended_at": at, "end_reason": reason, "fallback_at": fallback_at}
    return {"status": status, "is_throttled": False, **ended, **NO_LEASE}


def _said(event: Event) -> Mapping[str, Any]:
    """The traces of an attempt. For a page in a bundle, only the error."""
    if event.first_attempt_at is None:
        return {"last_error": event.error}
    own = {"provider_id": event.provider_id, "first_attempt_at": event.first_attempt_at}
    return {"last_error": event.error, **own}


def _provider_id(state: State, event: Event) -> Mapping[str, Any]:
    return {"provider_id": event.provider_id} if event.provider_id and not state.provider_id else {}


def _has_final_word(state: State) -> bool:
    """True also if delivery was reported while we still wait for the provider's answer."""
    return state.status.is_final or (state.is_sending and state.delivered_at is not None)


RULES: Mapping[EventType, Callable[[State, Event, datetime], Mapping[str, Any]]] = {
    EventType.THROTTLED: _throttled,
    EventType.RELEASED: _released,
    EventType.BUNDLED: _bundled,
    EventType.CLAIMED: _claimed,
    EventType.RENEWED: _renewed,
    EventType.GIVEN_BACK: _given_back,
    EventType.BROUGHT_FORWARD: _brought_forward,
    EventType.LEASE_EXPIRED: _lease_expired,
    EventType.CUT_OFF: partial(_dead, reason=EndReason.GAVE_UP),
    EventType.ACCEPTED: _accepted,
    EventType.FAILED: _failed,
    EventType.REFUSED: partial(_dead, reason=EndReason.REFUSED),
    EventType.GAVE_UP: partial(_dead, reason=EndReason.GAVE_UP),
    EventType.NOT_NEEDED: _not_needed,
    EventType.DEACTIVATED: _deactivated,
    EventType.REPORTED_DELIVERED: _reported_delivered,
    EventType.REPORTED_LOST: _reported_lost,
    EventType.FALLBACK_DONE: _fallback_done,
    EventType.FALLBACK_POSTPONED: _fallback_postponed,
}
