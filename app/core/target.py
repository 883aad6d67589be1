"""The targets of an action, parsed once from a policy."""

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
    """Parse one target. Unknown text becomes an unknown group. Raises TypeError for anything that is not a target."""
    if isinstance(said, int):
        return UserId(said)
    if not isinstance(said, str):
        raise TypeError(f"a target is text or a number, not {type(said).__name__}")
    if said in CHANNELS:
        return OnChannel(said)
    return MailAddress(said) if "@" in said else Group(said)


def parse_all(said: object) -> tuple[Target, ...]:
    """Parse a target or a list of them, without repetitions."""
    return tuple(dict.fromkeys(parse(one) for one in (said if isinstance(said, list) else [said])))
