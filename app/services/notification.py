"""Decides by which channel a person is paged."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

FALL_BACK_AFTER = timedelta(seconds=60)
QUIET, NOT_VERIFIED = "quiet", "not_verified"
NO_ADDRESS, NOT_ACTIVE = "no_address", "not_active"


@dataclass(frozen=True, slots=True)
class ChannelChoice:
    """A person's setting for one channel. Without an address the channel cannot be used.

    `is_verified`: the address is verified, or need not be. `is_quiet`: silent for this page at this time.
    `has_status_updates`: a person paged by it also gets status updates on it.
    """

    channel: str
    is_enabled: bool
    address: str | None
    is_verified: bool = True
    is_quiet: bool = False
    has_status_updates: bool = True


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to reach; `key` is the same for the same person. Choices are in the order of preference."""

    key: str
    user_id: int | None
    choices: tuple[ChannelChoice, ...]
    is_active: bool = True
    name: str | None = field(default=None, compare=False)

    @property
    def shown(self) -> str:
        """The person in sentences: the name, else the address or the id."""
        return self.name or named_by(self.key)


def named_by(key: str) -> str:
    """A recipient without a known name in sentences: the address, or `user 7`."""
    kind, _, rest = key.partition(":")
    return rest if kind == "email" else f"{kind} {rest}"


@dataclass(frozen=True, slots=True)
class Page:
    """One message to plan."""

    person: Person
    channel: str
    address: str


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a person is not paged by a channel, or not at all."""

    person: Person
    channel: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Route:
    """The channels by which one person is paged, and those that are skipped."""

    pages: tuple[Page, ...]
    skips: tuple[Skip, ...]


def route(person: Person, named: Sequence[str] | None, set_up: frozenset[str]) -> Route:
    """Page by the channels that the action names, else by the person's first usable one.

    A named channel that is disabled, has no address, is not verified or is quiet is skipped, with the reason. If the
    action names only channels that are not set up here, the person's own order decides. If no channel can be used,
    each one that is set up here is skipped with its reason.
    """
    if not person.is_active:
        return Route((), (Skip(person, None, NOT_ACTIVE),))
    usable = [choice for choice in person.choices if _obstacle(choice, set_up) is None]
    if named and set_up.intersection(named):
        chosen = [choice for choice in usable if choice.channel in named]
    else:
        chosen = usable[:1]
    skips = tuple(_skips(person, named or (), set_up, chosen))
    return Route(tuple(Page(person, c.channel, c.address or "") for c in chosen), skips)


def _skips(
    person: Person, named: Collection[str], set_up: frozenset[str], chosen: Sequence[ChannelChoice]
) -> Iterator[Skip]:
    before = person.choices[: person.choices.index(chosen[0])] if chosen else person.choices
    for choice in person.choices:
        reason = _obstacle(choice, set_up)
        is_passed_over = reason in (QUIET, NOT_VERIFIED) and choice in before and not set_up.intersection(named)
        is_missed = not chosen and choice.channel in set_up
        if reason is not None and (choice.channel in named or is_passed_over or is_missed):
            yield Skip(person, choice.channel, reason)
    known = {choice.channel for choice in person.choices}
    for channel in named:
        if channel in set_up and channel not in known:
            yield Skip(person, channel, NO_ADDRESS)


def next_channel(person: Person, set_up: frozenset[str], tried: Collection[str]) -> Page | None:
    """The person's first usable channel that was not tried yet, whatever channels the action named."""
    for choice in person.choices:
        if choice.channel not in tried and _obstacle(choice, set_up) is None:
            return Page(person, choice.channel, choice.address or "")
    return None


def update_address(person: Person, channel: str, set_up: frozenset[str]) -> str | None:
    """The address for a status update after a page by a channel. None if the person does not want it there now."""
    for choice in person.choices:
        if choice.channel == channel and choice.has_status_updates and _obstacle(choice, set_up) is None:
            return choice.address
    return None


def _obstacle(choice: ChannelChoice, set_up: frozenset[str]) -> str | None:
    if choice.channel not in set_up:
        return "channel_not_set_up"
    if not choice.is_enabled:
        return "disabled_by_recipient"
    if not choice.address:
        return NO_ADDRESS
    if not choice.is_verified:
        return NOT_VERIFIED
    return QUIET if choice.is_quiet else None
