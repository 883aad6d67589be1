"""The target of an action, on the wire."""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, WrapValidator
from pydantic_core import PydanticCustomError

from app.core.channel import CHANNELS
from app.core.target import GROUP_NAMES, Group, MailAddress, UserId, parse
from app.schemas.types import ChannelName, Email, Id

MAX_NAMED = 100
MAX_LENGTH = 255

Name = TypeVar("Name", int | str, str)

_email: TypeAdapter[str] = TypeAdapter(Email)
_id: TypeAdapter[int] = TypeAdapter(Id)


def _known(said: Any, _members: Any) -> int | str:
    """A group, a user's id, an e-mail address, or a channel's name. Anything else is a single error."""
    if isinstance(said, bool) or not isinstance(said, int | str) or (isinstance(said, str) and len(said) > MAX_LENGTH):
        raise _unknown()
    match parse(said):
        case UserId(id_):
            return _id.validate_python(id_)
        case MailAddress(address):
            return _email.validate_python(address)
        case Group(is_known=False):
            raise _unknown()
        case _:
            return said


def _unknown() -> PydanticCustomError:
    return PydanticCustomError(
        "unknown_target",
        "target must be one of {known}, a user's id, an e-mail address, or a list of those",
        {"known": ", ".join((*GROUP_NAMES, *CHANNELS.names()))},
    )


def _each_once(names: list[Name]) -> list[Name]:
    """Without duplicates, in order."""
    return list(dict.fromkeys(names))


Target = Annotated[
    Annotated[int, Field(strict=True)] | Annotated[str, StringConstraints(max_length=MAX_LENGTH)],
    WrapValidator(_known),
]
TargetList = Annotated[list[Target], Field(min_length=1, max_length=MAX_NAMED), AfterValidator(_each_once)]

_target: TypeAdapter[int | str] = TypeAdapter(Target)
_targets: TypeAdapter[list[int | str]] = TypeAdapter(TargetList)


def _one_or_many(said: Any, _members: Any) -> Any:
    return (_targets if isinstance(said, list) else _target).validate_python(said)


Targets = Annotated[Target | TargetList, WrapValidator(_one_or_many)]
Channels = Annotated[list[ChannelName], Field(max_length=MAX_NAMED), AfterValidator(_each_once)]
