"""Which trace a request belongs to, by the header that it brings (W3C Trace Context)."""

import pytest
from structlog.contextvars import get_contextvars

from app.core import tracing

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
KNOWN = f"00-{TRACE}-{SPAN}-01"
ZEROS = "0" * 32


@pytest.mark.parametrize(
    ("given", "known"),
    [
        (KNOWN, KNOWN),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-03", f"00-{TRACE}-{SPAN}-03"),
        (f"00-{TRACE}-{SPAN}-ff", f"00-{TRACE}-{SPAN}-03"),
        (f"cc-{TRACE}-{SPAN}-01", KNOWN),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", KNOWN),
    ],
)
def test_a_well_formed_trace_is_continued(given: str, known: str) -> None:
    assert tracing.read([given]) == known


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "-",
        "x" * 100_000,
        KNOWN[:-1],
        f"{KNOWN}0",
        f"{KNOWN}-more",
        f"{KNOWN}\n",
        f" {KNOWN}",
        KNOWN.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{ZEROS}-{SPAN}-01",
        f"00-{TRACE}-{ZEROS[:16]}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"{KNOWN},{KNOWN}",
        "00-٤bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ],
)
def test_a_malformed_trace_is_ignored(malformed: str) -> None:
    assert tracing.read([malformed]) is None


def test_of_several_traces_none_is_continued() -> None:
    assert tracing.read([KNOWN, KNOWN]) is None
    assert tracing.read([]) is None


def test_a_new_trace_is_one_that_others_can_continue() -> None:
    first, second = tracing.new(), tracing.new()
    assert tracing.read([first]) == first
    assert tracing.id_of(first) != tracing.id_of(second)
    assert first.endswith("-00")  # nobody records it


def test_what_a_block_does_belongs_to_its_trace() -> None:
    with tracing.following(KNOWN):
        assert (tracing.current(), get_contextvars()) == (KNOWN, {"trace_id": TRACE})
        with tracing.following(None):
            assert tracing.current() is None
        assert tracing.current() == KNOWN
    assert (tracing.current(), get_contextvars()) == (None, {})
