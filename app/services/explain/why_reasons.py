"""Words each reason for paging or not paging somebody: a code for programs, a sentence for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.core.channel import spoken
from app.core.vocabulary import DeliveryStatus
from app.services.escalation import ConditionResult

SKIPPED_BECAUSE = {
    "disabled_by_recipient": "the person has switched this channel off",
    "channel_not_set_up": "the channel is not set up here",
    "no_address": "the person has no address on this channel",
    "not_verified": "the person's address on this channel is not verified",
    "quiet": "the person's quiet settings silence this channel for this severity at that time",
    "not_active": "the account is deactivated or deleted",
    "no_channel": "the person has no channel that is set up here",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One fact: `code` for programs, `sentence` for people."""

    code: str
    sentence: str
    at: datetime | None = None
    channel: str | None = None
    detail: str | None = None
    policy_id: int | None = None
    step: int | None = None
    notification_id: int | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """What is known about one page. `tried_before` is the channel that failed before it, if it is a fallback.

    `is_last_resort`: it went to an administrator whom no policy names; with `is_unmatched`, because no policy matches.
    `is_deferred`: its provider keeps failing, so it is not called for now.
    """

    notification_id: int
    channel: str
    status: DeliveryStatus
    is_held: bool
    is_bundled: bool
    is_deferred: bool
    attempts: int
    error: str | None
    created_at: datetime
    accepted_at: datetime | None
    delivered_at: datetime | None
    ended_at: datetime | None
    next_attempt_at: datetime | None
    tried_before: str | None = None
    is_last_resort: bool = False
    who: str = "this person"
    is_unmatched: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """What ended the paging: `acknowledged`, `resolved` or `snoozed`, when and by whom."""

    what: str
    at: datetime | None
    by: str | None

    def __str__(self) -> str:
        when = f" at {clock(self.at)}" if self.at else ""
        return f"the incident was {self.what}{when}{f' by {self.by}' if self.by else ''}"


@dataclass(frozen=True, slots=True)
class Place:
    """A step of a policy."""

    policy_id: int
    policy: str
    step: int

    def __str__(self) -> str:
        return f"Step {self.step + 1} of “{self.policy}”"


def of_page(sent: Sent, stop: Stop | None) -> list[Reason]:
    """The outcome of a page, and whether it was a fallback, a last resort or part of a bundle."""
    code, sentence, at = _outcome(sent, stop)
    id_ = sent.notification_id
    found = [Reason(code, sentence, at, sent.channel, sent.error, notification_id=id_)]
    if sent.tried_before:
        before = spoken(sent.tried_before)
        fell_back = f"Tried {spoken(sent.channel)} because the page by {before} was not accepted."
        found.append(
            Reason("fell_back", fell_back, sent.created_at, sent.channel, sent.tried_before, notification_id=id_)
        )
    if sent.is_last_resort and sent.is_unmatched:
        instead = f"Paged {sent.who} as an administrator: no policy matched this incident."
        found.append(Reason("no_policy_matched", instead, sent.created_at, sent.channel, notification_id=id_))
    elif sent.is_last_resort:
        instead = f"Paged {sent.who} as an administrator: nobody else was reached."
        found.append(Reason("nobody_else", instead, sent.created_at, sent.channel, notification_id=id_))
    if sent.is_bundled:
        together = f"Several pages were due at once: one message by {spoken(sent.channel)} names them all."
        found.append(Reason("bundled", together, sent.created_at, sent.channel, notification_id=id_))
    return found


def of_skip(place: Place, channel: str | None, why: str, at: datetime, who: str = "this person") -> Reason:
    """A step fired but skipped a channel, or the person."""
    by = f" by {spoken(channel)}" if channel else ""
    sentence = f"{place} fired at {clock(at)} and did not page {who}{by}: {_because(why)}."
    return Reason("skipped", sentence, at, channel, why, place.policy_id, place.step)


def of_upcoming(place: Place, due_at: datetime, channel: str | None, skipped: str | None) -> Reason:
    """A step that has not fired yet, and how it would reach the person."""
    code, would = "not_due", f"it will page by {spoken(channel or '')}"
    if skipped is not None:
        code, would = "would_skip", f"it would not page by {spoken(channel or '')}: {_because(skipped)}"
    if channel is None:
        would = f"it would not page: {_because(skipped or 'no_channel')}"
    sentence = f"{place} is not due until {clock(due_at)}; {would}."
    return Reason(code, sentence, due_at, channel, skipped, place.policy_id, place.step)


def of_quarantined(place: Place, again_at: datetime) -> Reason:
    """A step that was due and failed."""
    sentence = f"{place} failed. It is retried at {clock(again_at)}. See the service's log for the reason."
    return Reason("quarantined", sentence, again_at, policy_id=place.policy_id, step=place.step)


def of_unreachable(channel: str | None, skipped: str, at: datetime) -> Reason:
    """An administrator who could not be paged as the last resort."""
    by = f" by {spoken(channel)}" if channel else ""
    sentence = (
        f"Nobody was reached, so the administrators were due at {clock(at)}. "
        f"This one could not be paged{by}: {_because(skipped)}."
    )
    return Reason("skipped", sentence, at, channel, skipped)


def of_stopped(place: Place, stop: Stop) -> Reason:
    """A step that did not fire because the paging was stopped."""
    return Reason("stopped", f"{place} did not fire: {stop}.", stop.at, policy_id=place.policy_id, step=place.step)


def of_ended(place: Place) -> Reason:
    """A step of a policy that was switched off or deleted."""
    sentence = f"{place} does not fire: the policy was switched off or deleted."
    return Reason("stopped", sentence, policy_id=place.policy_id, step=place.step)


def of_mismatch(policy_id: int, name: str, conditions: Sequence[ConditionResult]) -> Reason:
    """A policy that would page the person but does not match."""
    return Reason("policy_mismatch", mismatch(name, conditions), policy_id=policy_id)


def mismatch(name: str, conditions: Sequence[ConditionResult], *, is_running: bool = False) -> str:
    """Why a policy does not match: one clause for each condition that fails, and whether its escalation runs."""
    missed = "; ".join(
        f"{c.attribute} is {_shown(c.found)}, not {' or '.join(map(_shown, c.wanted))}"
        for c in conditions
        if not c.holds
    )
    goes_on = " It matched when its escalation started, so the escalation continues." if is_running else ""
    return f"“{name}” does not match: {missed}.{goes_on}"


def match(name: str, tried_again_at: datetime | None) -> str:
    """That a policy matches, and when its failed step is retried, if one failed."""
    failed = f" Its step failed and is retried at {clock(tried_again_at)}." if tried_again_at else ""
    return f"“{name}” matches.{failed}"


def of_admin() -> Reason:
    """An administrator who has not been needed so far."""
    return Reason("last_resort", "An administrator: paged only if nobody else can be reached.")


def of_stranger() -> Reason:
    """An address that a policy names but no account has."""
    return Reason("no_account", "No account has this address, so it gets pages by e-mail only.")


def of_unnamed() -> Reason:
    """Somebody who works on the incident, or asks about it, but whom no policy names."""
    return Reason("not_named", "No active policy pages this person about this incident.")


def clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _outcome(sent: Sent, stop: Stop | None) -> tuple[str, str, datetime | None]:
    by = f"Paged {sent.who} by {spoken(sent.channel)}"
    page = f"The page to {sent.who} by {spoken(sent.channel)}"
    match sent.status:
        case DeliveryStatus.DELIVERED:
            at = sent.delivered_at or sent.accepted_at or sent.created_at
            return "delivered", f"{by}: delivered at {clock(at)}.", at
        case DeliveryStatus.ACCEPTED:
            at = sent.accepted_at or sent.created_at
            return "accepted", f"{by}: accepted at {clock(at)}.", at
        case DeliveryStatus.DEAD:
            return (
                "failed",
                f"{page} failed: {(sent.error or 'no reason given').rstrip('.')}.",
                sent.ended_at,
            )
        case DeliveryStatus.CANCELLED:
            return "cancelled", f"{page} was cancelled: {_end(sent, stop)}.", sent.ended_at
        case _:
            return _under_way(sent)


def _under_way(sent: Sent) -> tuple[str, str, datetime | None]:
    page, again = f"The page to {sent.who} by {spoken(sent.channel)}", sent.next_attempt_at
    if sent.status is DeliveryStatus.SENDING:
        return "sending", f"{page} is being sent.", None
    if sent.status is DeliveryStatus.RETRY and sent.attempts:
        times = "once" if sent.attempts == 1 else f"{sent.attempts} times"
        then = f" Next try at {clock(again)}." if again else ""
        error = (sent.error or "not accepted").rstrip(".")
        return "retrying", f"{page} was tried {times}: {error}.{then}", again
    if sent.is_deferred:
        return "waiting", f"{page} is waiting: its provider is failing.", again
    if sent.is_held and again and again > sent.created_at:  # every page is held until the throttle has looked at it
        return "held", f"{page} is waiting: {sent.who} was sent several pages just now.", again
    return "waiting", f"{page} is about to be sent.", again


def _end(sent: Sent, stop: Stop | None) -> str:
    return sent.error.rstrip(".") if sent.error else str(stop or "the incident no longer needed it")


def _because(why: str) -> str:
    return SKIPPED_BECAUSE.get(why, why)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return " and ".join(map(_shown, value)) or "empty"
    return "absent" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
