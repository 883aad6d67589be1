"""Reads, writes and tries out the wording of messages."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.audit_actions import AuditAction
from app.core.errors import InvalidInput
from app.core.facts import IncidentFacts
from app.core.vocabulary import MessageKind
from app.crud import crud_incident, crud_template
from app.crud.clock import now
from app.models import NotificationTemplate, User
from app.schemas.template import TemplatePreview, TemplatePreviewRead, TemplateRead, TemplateUpdate
from app.services import audit_service
from app.services.messages import message_service, template
from app.services.messages.message import context
from app.services.messages.message_sample import INCIDENT, sample
from app.services.messages.message_service import Wording, facts_of, shipped, wording_of
from app.services.messages.template import TemplateError
from app.services.ports import Paging

log = structlog.get_logger()

TEMPLATE = "template"
# What these messages must contain: without it nobody could confirm an address or set a new password.
NEEDED = {MessageKind.VERIFICATION: "code", MessageKind.PASSWORD_RESET: "token"}


def effective(session: Session, paging: Paging) -> list[TemplateRead]:
    """The wording of every kind of message on every channel."""
    own = {(row.channel, row.event): row for row in crud_template.all(session)}
    channels = [channel.name for channel in paging.listed()]
    return [_read(channel, event, own.get((channel, event))) for channel in channels for event in MessageKind]


def get(session: Session, channel: str, event: MessageKind) -> TemplateRead:
    """The wording of one kind of message on one channel."""
    return _read(channel, event, crud_template.of(session, channel, event))


def put(
    session: Session, channel: str, event: MessageKind, update: TemplateUpdate, paging: Paging, *, by: User
) -> TemplateRead:
    """Set a wording; absent parts stay. Raises InvalidInput for one that could not be sent."""
    at = now(session)
    row = crud_template.put(session, channel, event, default=_columns(shipped(channel, event)), at=at)
    wording = replace(wording_of(row), **update.wording())
    _require_sendable(wording, channel, event, paging)
    old = crud_template.apply(session, row, {**update.wording(), "updated_by": by.id}, at=at)
    changes = {name: both for name, both in audit_service.changed(old, row).items() if name != "updated_by"}
    if changes:
        audit_service.record(session, AuditAction.TEMPLATE_SET, TEMPLATE, f"{channel}/{event}", changes=changes)
    log.info("template_set", channel=channel, event_name=event, template_id=row.id, user_id=by.id)
    return _read(channel, event, row)


def reset(session: Session, channel: str, event: MessageKind, *, by: User) -> TemplateRead:
    """Go back to the shipped wording."""
    removed = crud_template.remove(session, channel, event)
    if removed is not None:
        own, default = _columns(wording_of(removed)), _columns(shipped(channel, event))
        changes = {name: (own[name], default[name]) for name in own if own[name] != default[name]}
        audit_service.record(session, AuditAction.TEMPLATE_RESET, TEMPLATE, f"{channel}/{event}", changes=changes)
    log.info("template_reset", channel=channel, event_name=event, user_id=by.id)
    return _read(channel, event, None)


def preview(
    session: Session, channel: str, event: MessageKind, wanted: TemplatePreview, paging: Paging
) -> TemplatePreviewRead:
    """The message that would be sent. Raises InvalidInput for an incident that does not exist."""
    facts = sample(event, channel, url=paging.public_url, incident=_incident(session, wanted.incident_id))
    row = crud_template.of(session, channel, event)
    wording = replace(wording_of(row) if row else shipped(channel, event), **wanted.wording())
    error = None
    try:
        _require_html_is_shown(wording, channel)
        message = message_service.write(wording, facts, limit=message_service.limit(channel, event))
        _require_needed("body", message.body, event, context(facts))
        _require_needed("html", message.html, event, context(facts))
    except (TemplateError, InvalidInput) as failure:
        error = str(failure)
        message = message_service.default(channel, facts)
    return TemplatePreviewRead(subject=message.subject, body=message.body, html=message.html, error=error)


def _incident(session: Session, incident_id: int | None) -> IncidentFacts:
    if incident_id is None:
        return INCIDENT
    incident = crud_incident.get(session, incident_id)
    if incident is None:
        raise InvalidInput(f"There is no incident {incident_id}.", pointer="/incident_id")
    return facts_of(incident)


def _require_sendable(wording: Wording, channel: str, event: MessageKind, paging: Paging) -> None:
    """Try each part on a sample. Raises InvalidInput that points at the part that is wrong."""
    _require_html_is_shown(wording, channel)
    facts = context(sample(event, channel, url=paging.public_url))
    _rendered("subject", wording.subject, facts)
    body = _rendered("body", wording.body, facts, limit=message_service.limit(channel, event))
    _require_needed("body", body, event, facts)
    if wording.html is not None:
        _require_needed("html", _rendered("html", wording.html, facts), event, facts)


def _rendered(part: str, source: str, facts: Mapping[str, Any], limit: int = template.MAX_OUTPUT) -> str:
    try:
        text = template.render(source, facts, html=part == "html", limit=limit)
    except TemplateError as error:
        raise InvalidInput(str(error), pointer=f"/{part}") from error
    if not text.strip():
        raise InvalidInput(
            "The text is empty, at least for the sample. Write something that is always shown.", pointer=f"/{part}"
        )
    return text


def _require_needed(part: str, text: str | None, event: MessageKind, facts: Mapping[str, Any]) -> None:
    """Raise InvalidInput if a part that is sent does not show what its reader needs, such as the code."""
    name = NEEDED.get(event)
    if name is not None and text is not None and facts[name] not in text:
        raise InvalidInput(f"The text does not show the {name}. Add {{{{ {name} }}}} to it.", pointer=f"/{part}")


def _require_html_is_shown(wording: Wording, channel: str) -> None:
    if wording.html is not None and not message_service.shows_html(channel):
        raise InvalidInput(f"The channel {channel} shows no HTML. Leave out html.", pointer="/html")


def _columns(wording: Wording) -> dict[str, str | None]:
    return {"subject": wording.subject, "body": wording.body, "html": wording.html}


def _read(channel: str, event: MessageKind, row: NotificationTemplate | None) -> TemplateRead:
    wording = shipped(channel, event) if row is None else wording_of(row)
    return TemplateRead(
        channel=channel,
        event=event,
        subject=wording.subject,
        body=wording.body,
        html=wording.html,
        is_default=row is None,
        updated_at=row.updated_at if row else None,
        updated_by=row.updated_by if row else None,
    )
