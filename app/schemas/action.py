"""What a step of an escalation policy does, on the wire. Each action is told by its `type`."""

from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter
from pydantic_core import PydanticCustomError

from app.core.channel import CHANNELS
from app.core.vocabulary import Severity
from app.schemas.base import Input
from app.schemas.types import ChannelName, Email, Id, JsonObject, RequiredText, Storable, Word

MAX_ACTIONS = 20
MAX_URL = 2048
MAX_NAMED = 100
GROUP_TARGETS = ("assignees", "creator", "admins", "all")

Name = TypeVar("Name", int | str, str)

_email: TypeAdapter[str] = TypeAdapter(Email)
_id: TypeAdapter[int] = TypeAdapter(Id)


def _known_target(target: int | str) -> int | str:
    """A group, a user's id, an e-mail address, or a channel's name (the assignees on that channel)."""
    if isinstance(target, int):
        return _id.validate_python(target)
    if target in GROUP_TARGETS or target in CHANNELS:
        return target
    if "@" in target:
        return _email.validate_python(target)
    raise PydanticCustomError(
        "unknown_target",
        "target must be one of {known}, a user's id, an e-mail address, or a list of those",
        {"known": ", ".join((*GROUP_TARGETS, *CHANNELS.names()))},
    )


def _each_once(names: list[Name]) -> list[Name]:
    """Without repeats: the first of each, in their order."""
    return list(dict.fromkeys(names))


Target = Annotated[
    Annotated[int, Field(strict=True)] | Annotated[str, StringConstraints(max_length=255)],
    AfterValidator(_known_target),
]
Targets = Target | Annotated[list[Target], Field(min_length=1, max_length=MAX_NAMED), AfterValidator(_each_once)]
Channels = Annotated[list[ChannelName], Field(max_length=MAX_NAMED), AfterValidator(_each_once)]


class NotifyAction(Input):
    """Page people. Without `channels` each person's own preferences decide. A repeated name counts once."""

    type: Literal["notify"]
    target: Targets = Field(
        default="assignees",
        description="`assignees`, `creator`, `admins`, `all`, a user's id, an e-mail address, a list of those, or a "
        "channel's name: the assignees on that channel",
    )
    channels: Channels | None = None
    message: Annotated[str, StringConstraints(max_length=2000), Storable] | None = None


class AssignAction(Input):
    """Make somebody an assignee."""

    type: Literal["assign"]
    user_id: Id
    role: Word = "responder"


class ChangeStatusAction(Input):
    """Move the incident to another status."""

    type: Literal["change_status", "status_change"]
    status: Literal["open", "acknowledged", "resolved"]


def _web_address(url: str) -> str:
    """An http or https URL without credentials. Where it leads is looked up when it is called."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError as error:
        raise ValueError("must be an http or https URL") from error
    if not is_good or any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("must be an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not have a user's name or a password in it")
    return url


class WebhookAction(Input):
    """Call a URL with JSON, signed like every webhook. The answer is kept in the incident's timeline."""

    type: Literal["webhook"]
    url: Annotated[str, StringConstraints(max_length=MAX_URL), Storable, AfterValidator(_web_address)]
    body: JsonObject | None = Field(
        default=None,
        description="JSON whose texts are templates, such as `{{ incident.title }}`. Without it: the incident.",
    )


class CommentAction(Input):
    """Write into the incident's timeline."""

    type: Literal["comment"]
    content: RequiredText = Field(description="A template, such as `Nobody took {{ incident.title }} for an hour.`")


class SetSeverityAction(Input):
    """Change the severity. A step does so once in a cycle, so that policies cannot chase each other."""

    type: Literal["set_severity"]
    severity: Severity


Action = Annotated[
    NotifyAction | AssignAction | ChangeStatusAction | WebhookAction | CommentAction | SetSeverityAction,
    Field(discriminator="type"),
]
Actions = Annotated[list[Action], Field(min_length=1, max_length=MAX_ACTIONS)]
