"""Decides how an entry of the audit log is sealed.

Each value has a random salt, and its digest is SHA-256 of salt and value: the value can be deleted and nobody can guess
it from the digest, while the digest still shows whether it was changed. An entry's digest covers all that the service
writes into it, and its content the id and the time that the database adds.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from app.core.bounded_json import bounded

MAX_CHANGE_BYTES = 65_536  # of what a field was and became together; beyond that they are cut and marked
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HIDDEN = frozenset(
    {"code", "current_password", "hashed_password", "key", "new_password", "password", "secret", "token"}
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the digest of an entry covers."""

    action: str
    actor_id: int | None
    api_key_id: int | None
    session_id: str | None
    request_id: str | None
    object_type: str
    object_id: str | None
    size: int
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Kept:
    """A value as it is kept, with its salt."""

    salt: bytes
    value: str


def canonical(value: Any) -> str:
    """A value as JSON, always written in the same way."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def change_of(field: str, before: Any, after: Any) -> dict[str, Any]:
    """What a field was and became, as JSON of bounded size. Fields that are named like a secret keep nothing."""
    if field in HIDDEN:
        return {"from": None, "to": None}
    return bounded({"from": _plain(before), "to": _plain(after)}, MAX_CHANGE_BYTES)


def digest_of(kept: Kept) -> str:
    """The salted digest of a value."""
    return hashlib.sha256(kept.salt + kept.value.encode()).hexdigest()


def digest_of_entry(entry: Entry) -> bytes:
    """The digest of what the service writes into an entry."""
    covered = [
        entry.action,
        entry.actor_id,
        entry.api_key_id,
        entry.session_id,
        entry.request_id,
        entry.object_type,
        entry.object_id,
        entry.size,
        sorted(entry.digests.items()),
    ]
    return hashlib.sha256(canonical(covered).encode()).digest()


def content_of(digest: bytes, entry_id: int, at: datetime) -> bytes:
    """The digest of a whole entry. The trigger `audit_chain` computes the same."""
    microseconds = (at - EPOCH) // MICROSECOND
    return hashlib.sha256(digest + eight_bytes(entry_id) + eight_bytes(microseconds)).digest()


def eight_bytes(number: int) -> bytes:
    """A number as PostgreSQL's int8send writes it."""
    return number.to_bytes(8, signed=True)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return value if value is None or isinstance(value, bool | int | float | str | dict | list | tuple) else str(value)
