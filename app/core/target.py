"""Whom an action can mean, parsed once from what a policy says."""

from dataclasses import dataclass

from app.core.channel import CHANNELS

GROUP_NAMES = ("assignees", "creator", "admins", "all")


@dataclass(frozen=True, slots=True)
class Group:
    """People who are looked up when the step fires."""

    name: str

    @property
    def is_known(self) -> bool:
        return self.name in GROUP_NAMES


@dataclass(frozen=True, slots=True)
class OnChannel:
    """The assignees, on this channel."""

    channel: str


@dataclass(frozen=True, slots=True)
class UserId:
    """One account."""

    id: int


@dataclass(frozen=True, slots=True)
class MailAddress:
    """An account by its address, or somebody without one."""

    address: str


Target = Group | OnChannel | UserId | MailAddress
ASSIGNEES = Group("assignees")


def parse(said: object) -> Target:
    """What one target means. Any other text is a group, known or not. Raises TypeError for what is no target."""
    if isinstance(said, int):
        return UserId(said)
    if not isinstance(said, str):
        raise TypeError(f"a target is text or a number, not {type(said).__name__}")
    if said in CHANNELS:
        return OnChannel(said)
    return MailAddress(said) if "@" in said else Group(said)


def parse_all(said: object) -> tuple[Target, ...]:
    """What a target or a list of them means, each once."""
    return tuple(dict.fromkeys(parse(one) for one in (said if isinstance(said, list) else [said])))
