"""Decides how a channel and its providers are, from what each live worker reports of its own circuit breakers."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.vocabulary import BreakerState

# The worst comes first: while one worker does not call a provider, another one that probes it changes nothing.
ORDER = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED)


@dataclass(frozen=True, slots=True)
class Reset:
    """An administrator's reset of a channel's breakers, or of that of one provider."""

    id: int
    channel: str
    provider: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker stored about its providers, by channel. It has no name if the worker is no longer alive.

    `followed_reset` is the last reset that the worker had followed, None if it follows none.
    """

    worker: str | None
    followed_reset: int | None
    channels: Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class ProviderState:
    """How a provider is. `workers` do not call it now."""

    name: str
    state: BreakerState = BreakerState.CLOSED
    failing_messages: int = 0
    last_error: str | None = None
    open_since: datetime | None = None
    next_probe_at: datetime | None = None
    workers: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        return self.state is not BreakerState.CLOSED


def is_void(channel: str, provider: str, followed_reset: int | None, resets: Iterable[Reset]) -> bool:
    """True if the provider was reset after this was reported. The worker is about to follow."""
    if followed_reset is None:
        return False
    later = (reset for reset in resets if reset.id > followed_reset)
    return any(reset.channel == channel and reset.provider in {None, provider} for reset in later)


def providers(
    channel: str, reports: Sequence[Report], resets: Sequence[Reset], known: Collection[str]
) -> list[ProviderState]:
    """The providers of a channel by name: those that failed lately, those that were reset, and those `known` anyway."""
    names = {name for one in reports for name in one.channels.get(channel, {})} | set(known)
    names |= {reset.provider for reset in resets if reset.channel == channel and reset.provider is not None}
    return [_provider(channel, name, reports, resets) for name in sorted(names)]


def worst(states: Iterable[BreakerState]) -> BreakerState:
    """The state of a channel with providers in these states."""
    return min(states, key=ORDER.index, default=BreakerState.CLOSED)


def _provider(channel: str, name: str, reports: Sequence[Report], resets: Sequence[Reset]) -> ProviderState:
    valid = [one for one in reports if not is_void(channel, name, one.followed_reset, resets)]
    about = [one.channels[channel][name] for one in valid if name in one.channels.get(channel, {})]
    opened = [words for words in about if words["state"] == BreakerState.OPEN]
    errors = [words.get("last_error") for words in (*opened, *about)]
    not_calling = {one.worker for one in valid if one.channels.get(channel, {}).get(name) in opened}
    return ProviderState(
        name,
        worst(_state(words) for words in about),
        max((words.get("failing_messages", 0) for words in about), default=0),
        next((error for error in errors if error), None),
        _first(words.get("open_since") for words in opened),
        _first(words.get("next_probe_at") for words in opened),
        tuple(sorted(worker for worker in not_calling if worker is not None)),
    )


def _state(words: Mapping[str, Any]) -> BreakerState:
    is_probing = words["state"] == BreakerState.OPEN and words.get("is_probing", False)
    return BreakerState.HALF_OPEN if is_probing else BreakerState(words["state"])


def _first(times: Iterable[str | None]) -> datetime | None:
    return min((datetime.fromisoformat(time) for time in times if time is not None), default=None)
