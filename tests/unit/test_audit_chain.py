"""Each kind of tampering with the audit log's chain is found, and named."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.audit import Entry, Kept, canonical, content_of, digest_of, digest_of_entry
from app.services.operations.audit_chain import (
    START,
    Fault,
    FaultKind,
    Found,
    Head,
    Walked,
    fault_of_end,
    fault_of_head,
    follow,
    next_link,
)

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LENGTH = 8
Chain = list[Found]


def entry(place: int, kept: Kept) -> Entry:
    return Entry(
        action="user.updated",
        actor_id=place,
        api_key_id=None,
        session_id=None,
        request_id=f"request-{place}",
        object_type="user",
        object_id=str(place),
        size=len(kept.value),
        digests={"email": digest_of(kept)},
    )


def link(previous: bytes, seq: int, entry: Entry, kept: Kept) -> Found:
    """A right link to an entry, as the database adds it."""
    at = AT + timedelta(seconds=seq)
    content = content_of(digest_of_entry(entry), 100 + seq, at)
    hash_ = next_link(previous, seq, content)
    return Found(seq, 100 + seq, content, hash_, entry, at, {"email": kept})


def chain(length: int = LENGTH) -> Chain:
    found: Chain = []
    previous = START
    for seq in range(1, length + 1):
        kept = Kept(bytes([seq]) * 16, canonical({"from": None, "to": f"{seq}@example.com"}))
        found.append(link(previous, seq, entry(seq, kept), kept))
        previous = found[-1].hash
    return found


def walk(found: Sequence[Found], start: Head = Head(0, START)) -> Walked | Fault:  # noqa: B008 - it is frozen
    walked = Walked(start)
    for one in found:
        outcome = follow(walked, one)
        if isinstance(outcome, Fault):
            return outcome
        walked = outcome
    return walked


def changed_entry(found: Chain) -> Chain:
    assert found[3].entry is not None
    found[3] = replace(found[3], entry=replace(found[3].entry, actor_id=99))
    return found


def changed_time(found: Chain) -> Chain:
    found[3] = replace(found[3], at=AT)
    return found


def changed_value(found: Chain) -> Chain:
    kept = found[3].values["email"]
    found[3] = replace(found[3], values={"email": replace(kept, value=kept.value.replace("4", "5"))})
    return found


def changed_salt(found: Chain) -> Chain:
    found[3] = replace(found[3], values={"email": replace(found[3].values["email"], salt=b"")})
    return found


def added_value(found: Chain) -> Chain:
    found[3] = replace(found[3], values={**found[3].values, "role": Kept(b"", "1")})
    return found


def removed_entry(found: Chain) -> Chain:
    found[3] = replace(found[3], entry=None, at=None, values={})
    return found


def removed_link(found: Chain) -> Chain:
    del found[3]
    return found


def removed_and_renumbered(found: Chain) -> Chain:
    return [*found[:3], *(replace(one, seq=one.seq - 1) for one in found[4:])]


def removed_first(found: Chain) -> Chain:
    return found[1:]


def swapped_links(found: Chain) -> Chain:
    return [*found[:3], replace(found[4], seq=4), replace(found[3], seq=5), *found[5:]]


def swapped_entries(found: Chain) -> Chain:
    third, fourth = found[3], found[4]
    found[3] = replace(fourth, seq=4, content=third.content, hash=third.hash)
    found[4] = replace(third, seq=5, content=fourth.content, hash=fourth.hash)
    return found


def replaced_entry(found: Chain) -> Chain:
    """By one that is sealed well, but was not there when the next one was linked."""
    kept = Kept(b"other" * 4, canonical({"from": None, "to": "eve@example.com"}))
    found[3] = link(found[2].hash, 4, entry(4, kept), kept)
    return found


TAMPERED: dict[str, tuple[Callable[[Chain], Chain], FaultKind, str]] = {
    "changed entry": (changed_entry, FaultKind.CHANGED, "entry 104 was changed"),
    "changed time": (changed_time, FaultKind.CHANGED, "entry 104 was changed"),
    "changed value": (changed_value, FaultKind.VALUE_CHANGED, "the value email of entry 104"),
    "changed salt": (changed_salt, FaultKind.VALUE_CHANGED, "the value email of entry 104"),
    "added value": (added_value, FaultKind.VALUE_CHANGED, "the value role of entry 104"),
    "removed entry": (removed_entry, FaultKind.REMOVED, "entry 104 is missing"),
    "removed link": (removed_link, FaultKind.REMOVED, "link 4 is missing"),
    "removed first": (removed_first, FaultKind.REMOVED, "link 1 is missing"),
    "renumbered": (removed_and_renumbered, FaultKind.REORDERED, "link 4 (entry 105)"),
    "swapped links": (swapped_links, FaultKind.REORDERED, "link 4 (entry 105)"),
    "swapped entries": (swapped_entries, FaultKind.CHANGED, "entry 105 was changed"),
    "replaced entry": (replaced_entry, FaultKind.REORDERED, "link 5 (entry 105)"),
}


def test_a_chain_that_nobody_touched_is_whole() -> None:
    found = chain()
    assert walk(found) == Walked(Head(LENGTH, found[-1].hash), entries=LENGTH)


@pytest.mark.parametrize("name", TAMPERED)
def test_each_kind_of_tampering_is_found_and_named(name: str) -> None:
    tamper, kind, said = TAMPERED[name]
    fault = walk(tamper(chain()))
    assert isinstance(fault, Fault)
    assert fault.kind is kind
    assert said in fault.sentence


def test_an_erased_value_is_counted_and_breaks_nothing() -> None:
    found = chain()
    found[2] = replace(found[2], values={})
    assert walk(found) == Walked(Head(LENGTH, found[-1].hash), entries=LENGTH, erased=1)


def test_a_chain_can_be_walked_from_a_checkpoint() -> None:
    found = chain()
    assert walk(found[5:], Head(5, found[4].hash)) == Walked(Head(LENGTH, found[-1].hash), entries=3)
    assert isinstance(walk(found[5:], Head(5, START)), Fault)


def test_a_cut_tail_shows_against_a_later_head() -> None:
    found = chain()
    walked = walk(found[:6])
    assert isinstance(walked, Walked)
    assert fault_of_end(walked, None) is None
    assert fault_of_end(walked, Head(6, found[5].hash)) is None
    fault = fault_of_end(walked, Head(8, found[7].hash))
    assert fault is not None
    assert fault.kind is FaultKind.CUT


def test_a_tail_that_was_written_anew_shows_against_its_head() -> None:
    found = chain()
    assert fault_of_head(Head(6, found[5].hash), found[5].hash) is None
    fault = fault_of_head(Head(6, found[5].hash), found[4].hash)
    assert fault is not None
    assert fault.kind is FaultKind.CUT


@given(st.permutations(range(LENGTH)))
def test_only_the_order_of_the_commits_is_whole(order: list[int]) -> None:
    found = chain()
    shuffled = [replace(found[place], seq=seq) for seq, place in enumerate(order, start=1)]
    assert isinstance(walk(shuffled), Walked) is (order == list(range(LENGTH)))


@given(st.sets(st.integers(0, LENGTH - 1)))
def test_only_a_tail_can_go_missing_unseen(gone: set[int]) -> None:
    found = chain()
    kept = [one for place, one in enumerate(found) if place not in gone]
    is_beginning = kept == found[: len(kept)]
    assert isinstance(walk(kept), Walked) is is_beginning
