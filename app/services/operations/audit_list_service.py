"""Lists the audit log for administrators."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from app.core.bounded_json import TRUNCATED
from app.core.errors import InvalidInput
from app.crud import crud_audit
from app.crud.crud_audit import SENDER, AuditFilter
from app.crud.pagination import Page
from app.crud.time_slice import TimeSlice
from app.models import AuditEntry
from app.schemas.audit import AuditRead, Change


def entries(session: Session, wanted: AuditFilter, part: TimeSlice) -> Page[AuditEntry]:
    """Entries, newest first. Raises InvalidInput for an object's id without its type."""
    if wanted.object_id is not None and wanted.object_type is None:
        raise InvalidInput("object_id needs object_type. Add it, such as object_type=user.", pointer="object_id")
    return crud_audit.slice(session, wanted, part)


def read(session: Session, found: Page[AuditEntry]) -> list[AuditRead]:
    """The entries with what they say, as far as it was not erased."""
    values = crud_audit.values(session, [entry.id for entry in found])
    return [_read(entry, values[entry.id]) for entry in found]


def _read(entry: AuditEntry, values: Mapping[str, str]) -> AuditRead:
    sender = values.get(SENDER)
    return AuditRead(
        id=entry.id,
        at=entry.created_at,
        action=entry.action,
        actor_id=entry.actor_id,
        api_key_id=entry.api_key_id,
        session_id=entry.session_id,
        sender=None if sender is None else json.loads(sender),
        request_id=entry.request_id,
        object_type=entry.object_type,
        object_id=entry.object_id,
        changes={name: _change(values.get(name)) for name in sorted(entry.digests) if name != SENDER},
    )


def _change(value: str | None) -> Change:
    if value is None:
        return Change(is_erased=True)
    said: dict[str, Any] = json.loads(value)
    return Change(before=said.get("from"), after=said.get("to"), is_cut=TRUNCATED in said)
