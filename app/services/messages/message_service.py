"""Writes messages: by an administrator's template, else by the shipped one, else without a template."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import structlog
from sqlalchemy.orm import Session

from app.core.channel import CHANNELS
from app.core.facts import Facts, IncidentFacts
from app.core.vocabulary import MessageKind
from app.crud import crud_template
from app.models import Incident, NotificationTemplate
from app.services.messages import template
from app.services.messages.message import Message, context, one_line, plain
from app.services.messages.template import TemplateError

log = structlog.get_logger()

SHIPPED = Path(__file__).parents[2] / "templates"
MAX_BODY = 20_000  # characters, for a channel without a limit of its own
CACHED = "composer"  # in a session's info


@dataclass(frozen=True, slots=True)
class Wording:
    """The templates of one message. `html` is optional; `id` is the row if an administrator wrote them."""

    subject: str
    body: str
    html: str | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Composer:
    """The templates as this transaction sees them."""

    overrides: Mapping[tuple[str, MessageKind], Wording]

    def compose(self, channel: str, facts: Facts) -> Message:
        """The message to send. Never fails: if a template does not render, the plain message is used."""
        override = self.overrides.get((channel, facts.event))
        if override is not None:
            try:
                return write(override, facts, limit=limit(channel, facts.event))
            except TemplateError as error:
                _warn(channel, facts.event, override, error)
        return default(channel, facts)


def composer(session: Session) -> Composer:
    """Read the templates once for all messages of this transaction."""
    found = session.info.get(CACHED)
    if found is None or found[0] is not session.get_transaction():
        overrides = {(row.channel, row.event): wording_of(row) for row in crud_template.all(session)}
        found = session.info[CACHED] = (session.get_transaction(), Composer(overrides))
    made: Composer = found[1]
    return made


def default(channel: str, facts: Facts) -> Message:
    """The message by the shipped template, or the plain one if that fails."""
    wording = shipped(channel, facts.event)
    try:
        return write(wording, facts)
    except TemplateError as error:
        _warn(channel, facts.event, wording, error)
        return plain(facts)


def _warn(channel: str, event: MessageKind, wording: Wording, error: TemplateError) -> None:
    log.warning("template_failed", channel=channel, event_name=event, template_id=wording.id, error=str(error))


def write(wording: Wording, facts: Facts, *, limit: int = template.MAX_OUTPUT) -> Message:
    """Render a message. Raises TemplateError, also if it is empty."""
    seen = context(facts)
    subject = one_line(template.render(wording.subject, seen))
    body = template.render(wording.body, seen, limit=limit)
    if not subject or not body.strip():
        raise TemplateError("The subject or the body is empty.")
    html = None if wording.html is None else template.render(wording.html, seen, html=True)
    return Message(subject, body, html)


def limit(channel: str, event: MessageKind) -> int:
    """The longest body an administrator's template may make. A message about several incidents must name them all."""
    if event in (MessageKind.BUNDLE, MessageKind.STATUS_UPDATES):
        return template.MAX_OUTPUT
    known = CHANNELS.get(channel)
    return MAX_BODY if known is None or known.max_body is None else known.max_body


def shows_html(channel: str) -> bool:
    known = CHANNELS.get(channel)
    return known is not None and known.shows_html


@lru_cache
def shipped(channel: str, event: MessageKind) -> Wording:
    """The shipped templates: the channel's own, else those for all channels."""
    html = _read(channel, f"{event}.html") if shows_html(channel) else None
    subject, body = _read(channel, f"{event}.subject.txt"), _read(channel, f"{event}.txt")
    return Wording((subject or "").strip(), body or "", html)


def _read(channel: str, name: str) -> str | None:
    files = (SHIPPED / channel / name, SHIPPED / name)
    return next((file.read_text(encoding="utf-8") for file in files if file.exists()), None)


def wording_of(row: NotificationTemplate) -> Wording:
    return Wording(row.subject, row.body, row.html, row.id)


def facts_of(incident: Incident) -> IncidentFacts:
    """What a page says about an incident."""
    return IncidentFacts(
        id=incident.id,
        title=incident.title,
        severity=incident.severity,
        service=incident.service,
        status=incident.status,
        source=incident.source,
        description=incident.description,
        created_at=incident.created_at,
        metadata=incident.metadata_,
    )
