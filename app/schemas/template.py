"""Message templates on the wire."""

from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, StringConstraints

from app.core.vocabulary import MessageKind
from app.schemas.base import NameOf, Read, Update
from app.schemas.types import MAX_TEXT, ChannelName, Id, RequiredText, Storable, Time

SUBJECT = "[{{ incident.severity | upper }}] {{ incident.title }}"
BODY = "{{ incident.title }} ({{ incident.service }})\n{{ link }}\n"
EXAMPLE: dict[str, Any] = {"subject": SUBJECT, "body": BODY}
HTML = (
    "The same as HTML, for e-mail only; facts in it are escaped. If null, or absent with a new body, the message is "
    "plain text"
)

Source = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT), Storable]


class TemplateUpdate(Update):
    """The wording of one kind of message on one channel."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})
    read_only: ClassVar[frozenset[str]] = frozenset(
        {"channel", "event", "is_default", "updated_at", "updated_by", "updated_by_name"}
    )

    subject: RequiredText = ""
    body: Source = ""
    html: Source | None = Field(default=None, description=HTML)

    def wording(self) -> dict[str, Any]:
        """The parts to change. A new body drops the old HTML, which mail programs would show instead of it."""
        named = {name: value for name, value in self.changes().items() if name in ("subject", "body", "html")}
        return {"html": None, **named} if "body" in named else named


class TemplatePreview(TemplateUpdate):
    """What to try. Absent parts are taken as stored; without an incident, a sample is used."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**EXAMPLE, "incident_id": 1}]})

    incident_id: Id | None = None


class TemplateRead(Read):
    """The wording in use."""

    channel: ChannelName = Field(examples=["email"])
    event: MessageKind
    subject: str = Field(examples=[SUBJECT])
    body: str = Field(examples=[BODY])
    html: str | None
    is_default: bool = Field(description="Whether this is the default wording")
    updated_at: Time | None = Field(description="When an administrator wrote it")
    updated_by: int | None = Field(description="The administrator who wrote it")
    updated_by_name: Annotated[str | None, NameOf("updated_by")] = None


class TemplatePreviewRead(Read):
    """The message that would be sent. If the template has an error, that is the default one."""

    subject: str
    body: str
    html: str | None
    error: str | None = Field(description="What is wrong with the template")
