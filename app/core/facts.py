"""What a message says, as typed facts, and the JSON that the outbox keeps of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import Field, PlainSerializer, TypeAdapter, ValidationError

from app.core.vocabulary import MessageKind, NotificationKind, UpdateEvent


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


@dataclass(frozen=True, slots=True)
class StatusUpdateFacts:
    """How an incident that paged the reader goes on. `said` is the sentence that says it.

    It is true in this cycle of the incident only.
    """

    update: UpdateEvent
    incident: IncidentFacts
    cycle: int
    said: str
    url: str
    link: str | None = None

    @property
    def event(self) -> MessageKind:
        return MessageKind(self.update)


@dataclass(frozen=True, slots=True)
class StatusUpdatesFacts:
    """Several status updates in one message."""

    event: ClassVar[MessageKind] = MessageKind.STATUS_UPDATES

    updates: Annotated[tuple[StatusUpdateFacts, ...], Field(min_length=1)]

    @property
    def count(self) -> int:
        return len(self.updates)


UpdateFacts = StatusUpdateFacts | StatusUpdatesFacts
OwnFacts = PasswordResetFacts | VerificationFacts | ChannelTestFacts | NoticeFacts  # about a person's own account
Facts = PageFacts | BundleFacts | OwnFacts | UpdateFacts

_PAGE: TypeAdapter[Facts] = TypeAdapter(PageFacts)
_SHAPES: Mapping[NotificationKind, TypeAdapter[Facts]] = {
    NotificationKind.PAGE: _PAGE,
    NotificationKind.MANUAL_PAGE: _PAGE,
    NotificationKind.BUNDLE: TypeAdapter(BundleFacts),
    NotificationKind.PASSWORD_RESET: TypeAdapter(PasswordResetFacts),
    NotificationKind.VERIFICATION: TypeAdapter(VerificationFacts),
    NotificationKind.TEST: TypeAdapter(ChannelTestFacts),
    NotificationKind.NOTICE: TypeAdapter(StatusUpdateFacts | StatusUpdatesFacts | NoticeFacts),
}


def stored(facts: Facts) -> dict[str, Any]:
    """The facts as the outbox keeps them. Workers of another version read the same shape."""
    kept: dict[str, Any] = _SHAPES[kind_of(facts)].dump_python(facts, mode="json")
    return {"count": facts.count, **kept} if isinstance(facts, BundleFacts | StatusUpdatesFacts) else kept


def kind_of(facts: Facts) -> NotificationKind:
    """The kind of message that says these facts: a status update is a notice, which workers of every version send."""
    is_update = isinstance(facts, StatusUpdateFacts | StatusUpdatesFacts)
    return NotificationKind.NOTICE if is_update else NotificationKind(facts.event)


def read(kind: NotificationKind, kept: Mapping[str, Any]) -> Facts | None:
    """The facts of a stored message; None if it has none, or none that this version can read.

    Such a message is still sent: its subject and body are stored as well.
    """
    shape = _SHAPES.get(kind)
    try:
        return shape.validate_python(kept) if shape is not None else None
    except ValidationError:
        return None
