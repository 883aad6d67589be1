"""Decides whether the audit log's chain is whole.

The database links the entries in the order of their commits: link = SHA-256(previous link, number, content), the number
as eight bytes. If an entry is changed, removed or put elsewhere, its link and all later ones are wrong. A tail that was
cut off only shows against a head that was logged before.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from app.services.audit import Entry, Kept, content_of, digest_of, digest_of_entry, eight_bytes

START = bytes(32)  # what stands before the first link


@dataclass(frozen=True, slots=True)
class Found:
    """A link, and what it leads to. `entry` is None if that is gone."""

    seq: int
    entry_id: int
    content: bytes
    hash: bytes
    entry: Entry | None
    at: datetime | None
    values: Mapping[str, Kept]


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain, as it is logged and as `--head` names it."""

    seq: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"


@dataclass(frozen=True, slots=True)
class Walked:
    """The part of a chain that is right: where it ends, and what it has."""

    head: Head
    entries: int = 0
    erased: int = 0


class FaultKind(StrEnum):
    """How a chain was tampered with."""

    CHANGED = "changed"
    VALUE_CHANGED = "value changed"
    REMOVED = "removed"
    REORDERED = "reordered"
    ADDED = "added"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong with a chain."""

    kind: FaultKind
    sentence: str


def next_link(previous: bytes, seq: int, content: bytes) -> bytes:
    """The hash of a link. The trigger `audit_chain` computes the same."""
    return hashlib.sha256(previous + eight_bytes(seq) + content).digest()


def follow(walked: Walked, found: Found) -> Walked | Fault:
    """Go one link further along the chain, or say what is wrong with that link."""
    fault = _fault_of_link(walked.head, found) or _fault_of_values(found)
    if fault is not None:
        return fault
    erased = 0 if found.entry is None else len(found.entry.digests.keys() - found.values.keys())
    head = Head(found.seq, found.hash)
    return replace(walked, head=head, entries=walked.entries + 1, erased=walked.erased + erased)


def fault_of_end(walked: Walked, known: Head | None) -> Fault | None:
    """What is wrong with a chain that ends here, if a later head is known."""
    if known is None or known.seq <= walked.head.seq:
        return None
    return Fault(
        FaultKind.CUT, f"the chain ends at link {walked.head.seq}, before the given head: entries were cut off"
    )


def fault_of_head(known: Head, found: bytes) -> Fault | None:
    """What is wrong if a link has not the hash that is known of it."""
    if known.hash == found:
        return None
    return Fault(
        FaultKind.CUT,
        f"link {known.seq} has not the hash of the given head: entries were cut off, and others written in their place",
    )


def _fault_of_link(head: Head, found: Found) -> Fault | None:
    if found.seq != head.seq + 1:
        return Fault(FaultKind.REMOVED, f"link {head.seq + 1} is missing: entries were removed")
    if found.entry is None or found.at is None:
        return Fault(FaultKind.REMOVED, f"entry {found.entry_id} is missing (link {found.seq}): it was removed")
    if content_of(digest_of_entry(found.entry), found.entry_id, found.at) != found.content:
        return Fault(FaultKind.CHANGED, f"entry {found.entry_id} was changed (link {found.seq})")
    if next_link(head.hash, found.seq, found.content) != found.hash:
        return Fault(
            FaultKind.REORDERED,
            f"link {found.seq} (entry {found.entry_id}) does not follow from the one before it: entries were reordered "
            "or replaced",
        )
    return None


def _fault_of_values(found: Found) -> Fault | None:
    """A value that is gone was erased, and is no fault."""
    digests = {} if found.entry is None else found.entry.digests
    for name, kept in found.values.items():
        if digests.get(name) != digest_of(kept):
            return Fault(
                FaultKind.VALUE_CHANGED,
                f"the value {name} of entry {found.entry_id} was changed (link {found.seq})",
            )
    return None
