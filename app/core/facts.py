"""What a message says, as typed facts, and the JSON that the outbox keeps of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import Field, PlainSerializer, TypeAdapter, ValidationError

from app.core.vocabulary import MessageKind, NotificationKind


@dataclass(frozen=True, slots=True)
class IncidentFacts:
    """What a page says about its incident.

    The outbox keeps no `metadata`: an alert's may be large.
    """

    id: int
    title: str
    severity: str
    service: str
    status: str
    source: str
    description: str | None
    created_at: Annotated[datetime, PlainSerializer(datetime.isoformat)]
    metadata: Annotated[Mapping[str, Any], Field(exclude=True)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PageFacts:
    """`url` is the incident in the API, `link` the signed page for this person."""

    event: ClassVar[MessageKind] = MessageKind.PAGE

    incident: IncidentFacts
    url: str
    note: str | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """Several pages in one message."""

    event: ClassVar[MessageKind] = MessageKind.BUNDLE

    incidents: Annotated[tuple[PageFacts, ...], Field(min_length=1)]

    @property
    def count(self) -> int:
        return len(self.incidents)


@dataclass(frozen=True, slots=True)
class PasswordResetFacts:
    """`url` is the public one of the service; the token works for so many minutes."""

    event: ClassVar[MessageKind] = MessageKind.PASSWORD_RESET

    token: str
    url: str
    minutes: int


@dataclass(frozen=True, slots=True)
class VerificationFacts:
    """The code that proves an address on a channel, and for how many minutes it works."""

    event: ClassVar[MessageKind] = MessageKind.VERIFICATION

    code: str
    minutes: int
    channel: str


@dataclass(frozen=True, slots=True)
class ChannelTestFacts:
    """The channel that its user tries."""

    event: ClassVar[MessageKind] = MessageKind.TEST

    channel: str


@dataclass(frozen=True, slots=True)
class NoticeFacts:
    """A sentence about the reader's own settings."""

    event: ClassVar[MessageKind] = MessageKind.NOTICE

    text: str


OwnFacts = PasswordResetFacts | VerificationFacts | ChannelTestFacts | NoticeFacts  # about a person's own account
Facts = PageFacts | BundleFacts | OwnFacts

_PAGE: TypeAdapter[Facts] = TypeAdapter(PageFacts)
_SHAPES: Mapping[NotificationKind, TypeAdapter[Facts]] = {
    NotificationKind.PAGE: _PAGE,
    NotificationKind.MANUAL_PAGE: _PAGE,
    NotificationKind.BUNDLE: TypeAdapter(BundleFacts),
    NotificationKind.PASSWORD_RESET: TypeAdapter(PasswordResetFacts),
    NotificationKind.VERIFICATION: TypeAdapter(VerificationFacts),
    NotificationKind.TEST: TypeAdapter(ChannelTestFacts),
    NotificationKind.NOTICE: TypeAdapter(NoticeFacts),
}


def stored(facts: Facts) -> dict[str, Any]:
    """The facts as the outbox keeps them. Workers of another version read the same shape."""
    kept: dict[str, Any] = _SHAPES[NotificationKind(facts.event)].dump_python(facts, mode="json")
    return {"count": facts.count, **kept} if isinstance(facts, BundleFacts) else kept


def read(kind: NotificationKind, kept: Mapping[str, Any]) -> Facts | None:
    """The facts of a stored message; None if it has none, or none that this version can read.

    Such a message is still sent: its subject and body are stored as well.
    """
    shape = _SHAPES.get(kind)
    try:
        return shape.validate_python(kept) if shape is not None else None
    except ValidationError:
        return None
