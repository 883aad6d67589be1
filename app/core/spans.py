"""Spans: how long the parts of a trace take, for whoever records them. Without a recorder they cost next to nothing.

    with spans.span("send email", Kind.CONSUMER, parent=message.traceparent) as span:
        outcome = send(message)
        span.tell({"ims.outcome": outcome.result})

What is done within belongs to the span's trace: see `app.core.tracing`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import partial
from typing import Any, Protocol

import structlog

from app.core import tracing

log = structlog.get_logger()

Attributes = Mapping[str, Any]


class Kind(Enum):
    """What a span is about, as OpenTelemetry names it."""

    SERVER = "server"
    CLIENT = "client"
    CONSUMER = "consumer"
    INTERNAL = "internal"


class Span(Protocol):
    """A part of a trace that is going on."""

    @property
    def traceparent(self) -> str:
        """What its children name as their parent."""
        ...

    def name(self, name: str) -> None:
        """Rename it: what it is about may be known only at its end."""
        ...

    def tell(self, attributes: Attributes) -> None:
        """Add what is known about it. Never a secret, a body or an address of a person."""
        ...

    def fail(self, error: str) -> None:
        """Say that it did not do what it was to do."""
        ...

    def end(self) -> None: ...


class Recorder(Protocol):
    """Records spans."""

    def begin(self, name: str, kind: Kind, *, parent: str | None, links: Sequence[str] = ()) -> Span:
        """A new span; without a parent, of a new trace. `links` are the traces that caused it together."""
        ...

    def done(self, name: str, kind: Kind, attributes: Attributes, *, parent: str, seconds: float) -> None:
        """Record a span that ends now and has taken so long."""
        ...


class _Unrecorded:
    """Stands for a span when nobody records."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent or tracing.new()

    def name(self, name: str) -> None: ...

    def tell(self, attributes: Attributes) -> None: ...

    def fail(self, error: str) -> None: ...

    def end(self) -> None: ...


class _Guarded:
    """A recorder's span. What fails in the recorder is logged: no page may be lost over a span."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: Span) -> None:
        self._span = span
        self.traceparent = span.traceparent

    def name(self, name: str) -> None:
        _attempt(self._span.name, name)

    def tell(self, attributes: Attributes) -> None:
        _attempt(self._span.tell, attributes)

    def fail(self, error: str) -> None:
        _attempt(self._span.fail, error)

    def end(self) -> None:
        _attempt(self._span.end)


def _attempt(call: Callable[..., object], *arguments: object) -> None:
    try:
        call(*arguments)
    except Exception:
        log.exception("span_not_recorded")


_in_use: list[Recorder] = []


@contextmanager
def recorded_by(recorder: Recorder) -> Iterator[None]:
    """Record the spans of this process while the block runs."""
    _in_use.append(recorder)
    try:
        yield
    finally:
        _in_use.remove(recorder)


def are_recorded() -> bool:
    """True if anybody records."""
    return bool(_in_use)


def begin(name: str, kind: Kind, *, parent: str | None, links: Sequence[str] = ()) -> Span:
    """A span that the caller ends. If nobody records, what is done in it belongs to the parent, or to a new trace."""
    if _in_use:
        try:
            return _Guarded(_in_use[-1].begin(name, kind, parent=parent, links=links))
        except Exception:
            log.exception("span_not_recorded")
    return _Unrecorded(parent)


def done(name: str, kind: Kind, attributes: Attributes, *, parent: str, seconds: float) -> None:
    """Record a span that ends now and has taken so long, if anybody records."""
    if _in_use:
        _attempt(partial(_in_use[-1].done, name, kind, attributes, parent=parent, seconds=seconds))


class span:  # noqa: N801 - read as a function, see `tracing.following`
    """A span around the block, which belongs to its trace. An exception fails it."""

    __slots__ = ("_begun", "_following")

    def __init__(self, name: str, kind: Kind, *, parent: str | None, links: Sequence[str] = ()) -> None:
        self._begun = begin(name, kind, parent=parent, links=links)
        self._following = tracing.following(self._begun.traceparent)

    def __enter__(self) -> Span:
        self._following.__enter__()
        return self._begun

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._following.__exit__()
        if kind is not None:
            self._begun.fail(kind.__name__)
        self._begun.end()
