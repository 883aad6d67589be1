"""Records each change of configuration and access: who made it, from where, and what changed from what to what."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core import origin
from app.core.audit_actions import AuditAction
from app.core.origin import Origin
from app.core.storable import cut
from app.crud import crud_audit
from app.crud.bulk import Row
from app.crud.crud_audit import OF_ENTRY, SENDER
from app.services.audit import Entry, Kept, canonical, change_of, digest_of, digest_of_entry

log = structlog.get_logger()

SALT_BYTES = 16
LOGGED_FIELDS = 12  # the entry has all of them
MAX_SENDER = 255  # a proxy may say anything

Changes = Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Audited:
    """What was done to which object, and its fields as {field: (from, to)}. The actor is the request's by default."""

    action: str
    object_type: str
    object_id: int | str | None
    changes: Changes = field(default_factory=dict)
    actor_id: int | None = None


def record(
    session: Session,
    action: str,
    object_type: str,
    object_id: int | str | None,
    *,
    changes: Changes | None = None,
    actor_id: int | None = None,
) -> None:
    """Record a change in the transaction that makes it, as {field: (from, to)}. Never pass a secret.

    The actor is the request's, unless it is given. Raises ValueError for an action that is not an AuditAction.
    """
    record_all(session, [Audited(action, object_type, object_id, changes or {}, actor_id)])


def record_all(session: Session, done: Sequence[Audited]) -> None:
    """Record several changes, with one statement."""
    entries: list[Row] = []
    values: list[Row] = []
    by = origin.current()
    for place, one in enumerate(done):
        said = _said(one.changes, by)
        entry = _entry(one, by, said)
        entries.append(_row(entry))
        values += [
            {OF_ENTRY: place, "name": name, "salt": _hexadecimal(kept.salt), "value": kept.value}
            for name, kept in said.items()
        ]
        log.info(
            "audited",
            action=entry.action,
            object_type=entry.object_type,
            object_id=entry.object_id,
            fields=sorted(one.changes)[:LOGGED_FIELDS],
            by=entry.actor_id,
        )
    if entries:
        crud_audit.add(session, entries, values)


def changed(old: Mapping[str, Any], obj: Any) -> Changes:
    """What `crud.apply` has changed in an object, as {field: (from, to)}."""
    return {name: (before, getattr(obj, name)) for name, before in old.items()}


def _said(changes: Changes, by: Origin) -> dict[str, Kept]:
    values: dict[str, Any] = {name: change_of(name, *both) for name, both in changes.items()}
    if by.sender is not None:
        values[SENDER] = cut(by.sender, MAX_SENDER)
    return {name: Kept(os.urandom(SALT_BYTES), canonical(value)) for name, value in values.items()}


def _entry(one: Audited, by: Origin, said: Mapping[str, Kept]) -> Entry:
    return Entry(
        action=AuditAction(one.action).value,
        actor_id=one.actor_id or by.actor_id,
        api_key_id=by.api_key_id,
        session_id=None if by.session_id is None else str(by.session_id),
        request_id=by.request_id,
        object_type=one.object_type,
        object_id=None if one.object_id is None else str(one.object_id),
        size=sum(len(kept.value.encode()) for kept in said.values()),
        digests={name: digest_of(kept) for name, kept in said.items()},
    )


def _row(entry: Entry) -> Row:
    return {
        "action": entry.action,
        "actor_id": entry.actor_id,
        "api_key_id": entry.api_key_id,
        "session_id": entry.session_id,
        "request_id": entry.request_id,
        "object_type": entry.object_type,
        "object_id": entry.object_id,
        "size": entry.size,
        "digests": entry.digests,
        "digest": _hexadecimal(digest_of_entry(entry)),
    }


def _hexadecimal(data: bytes) -> str:
    """As PostgreSQL reads a bytea."""
    return rf"\x{data.hex()}"
