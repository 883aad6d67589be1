"""The trace that what happens now belongs to, as a `traceparent` header (W3C Trace Context, level 1).

    00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
       the trace                        the caller's span flags

A request continues the trace of its caller or begins one. Incidents and messages keep it, so that the page about an
alert belongs to the trace of the request that brought the alert, however much later it is sent.
"""

import os
import re
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from structlog.contextvars import bind_contextvars, reset_contextvars

LENGTH = 55
TRACE_ID = slice(3, 35)
KNOWN_FLAGS = 0b11  # sampled, and that the trace's id is random (level 2); all others have to be cleared
# Lowercase only; version ff, and ids of zeros, are invalid. Later versions may add parts at the end.
TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})"
    r"-(?P<known>(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<more>-.*)?"
)

_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def read(values: Sequence[str]) -> str | None:
    """The traceparent in a request's headers of this name, in the form of version 00.

    None if there is none, if there are several, or if it is malformed: then the standard wants a new trace.
    """
    found = TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if found is None or (found["version"] == "00" and found["more"]):
        return None
    return f"00-{found['known']}-{int(found['flags'], 16) & KNOWN_FLAGS:02x}"


def new() -> str:
    """A traceparent of a new trace, which nobody records."""
    ids = os.urandom(24).hex()
    return f"00-{ids[:32]}-{ids[32:]}-00"


def id_of(traceparent: str | None) -> str | None:
    """The id of the trace: 32 hexadecimal digits."""
    return traceparent[TRACE_ID] if traceparent is not None else None


def named_in_logs(traceparent: str | None) -> dict[str, str]:
    """The field of a line about something that belongs to a trace; none if it belongs to none."""
    return {} if traceparent is None else {"trace_id": traceparent[TRACE_ID]}


def current() -> str | None:
    """The traceparent of what this thread or task does now. None outside of any trace."""
    return _current.get()


def begin(traceparent: str) -> None:
    """A request begins. It has a context of its own, so that nothing has to end."""
    _current.set(traceparent)


class following:  # noqa: N801 - read as a function. A generator would take three times as long
    """What this block does belongs to a trace, and so do its lines in the log, which get these fields as well.

    None: it belongs to no trace.
    """

    __slots__ = ("_bound", "_fields", "_outer", "_traceparent")

    def __init__(self, traceparent: str | None, **fields: Any) -> None:
        self._traceparent = traceparent
        self._fields = named_in_logs(traceparent) | fields

    def __enter__(self) -> None:
        self._outer = _current.set(self._traceparent)
        self._bound = bind_contextvars(**self._fields)

    def __exit__(self, *_: object) -> None:
        reset_contextvars(**self._bound)
        _current.reset(self._outer)
