"""What is left of a text that is too long, and what it says of the rest."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.channel import Envelope
from app.integrations.channels.excerpt import excerpt
from tests.support.bundled import accounted, body_of, facts_of, numbers
from tests.support.envelopes import KEY

URL = f"https://pager.example.com/p/{'x' * 80}"


def shortened(text: str, room: int, ids: list[int] | None = None) -> str:
    facts = facts_of(ids) if ids else None
    return excerpt(Envelope("", "", text, KEY, None, facts=facts), text, lambda kept: len(kept.encode()) <= room)


@pytest.mark.parametrize(
    ("text", "room", "expected"),
    [
        ("", -1, ""),
        ("abc", 3, "abc"),
        ("abc", 2, "…"),
        ("Der Speicher ist voll", 15, "Der …"),
        ("Der Speicher ist voll", 16, "Der Speicher …"),
        ("Der Speicher, ist voll", 17, "Der Speicher …"),
        (f"Achtung {'漢' * 30}", 97, "Achtung …"),
        (f"Achtung {'漢' * 50}", 8 + 3 * 41 + 3, f"Achtung {'漢' * 41}…"),
        (f"漢{'x' * 60} #12345", 69, f"漢{'x' * 60} …"),
        (f"{'漢' * 60}#12345", 185, f"{'漢' * 60}…"),
        (f"See {URL} now", 100, "See …"),
        (f"{'漢' * 60}{URL}", 250, f"{'漢' * 60}…"),
    ],
)
def test_a_cut_drops_a_broken_word_but_never_half_a_number_or_address(text: str, room: int, expected: str) -> None:
    assert shortened(text, room) == expected


@pytest.mark.parametrize(
    ("text", "ids", "expected"),
    [
        ("#100, #200, #30000", [100, 200, 30000], "#100 and 2 more"),
        ("#1-#7, #90, #100, #200", [*range(1, 8), 90, 100, 200], "#1-#7 and 3 more"),
        ("#1、#2、#3、#400、#500", [1, 2, 3, 400, 500], "#1、 and 4 more"),
        ("#1漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢", [1], "#1漢漢漢漢…"),
        ("#1 Disk full, #2 Disk full", [1, 2], "#1 and 1 more"),
        ("#123456789 x, #1234567890", [12345678], "and 1 more"),
        ("#1000000000, #2000000000", [10**9, 2 * 10**9], "and 2 more"),
    ],
)
def test_a_bundle_counts_what_the_kept_text_does_not_name(text: str, ids: list[int], expected: str) -> None:
    assert shortened(text, 17, ids) == expected


@given(
    count=st.integers(1, 400),
    separator=st.sampled_from([", ", ",", "\n", "、", " ", " 漢漢漢, "]),
    room=st.integers(40, 1500),
)
def test_every_incident_of_a_bundle_is_named_or_counted(count: int, separator: str, room: int) -> None:
    ids = numbers(count)
    text = body_of(ids, separator)
    sent = shortened(text, room, ids)
    assert len(sent.encode()) <= room
    if sent != text:
        marked = re.sub("[、漢 ]+ and ", " and ", sent)
        assert accounted(marked, ids) == count


@given(text=st.text(), room=st.integers(4, 200))
def test_what_is_cut_is_a_beginning_with_an_ellipsis(text: str, room: int) -> None:
    sent = shortened(text, room)
    assert len(sent.encode()) <= room
    if sent != text:
        assert text.lstrip().startswith(sent.removesuffix("…").rstrip())
