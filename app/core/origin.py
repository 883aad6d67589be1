"""Who causes what happens now: the account, by which session or key, from where, in which request and trace.

The request's middleware makes one for each request, and whoever finds out who is asking fills it in, in any thread:
a request and the threads that work for it share it.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID


@dataclass(slots=True)
class Origin:
    """The origin of a change. All is None where nobody asked: in the worker and in an operator's command."""

    actor_id: int | None = None
    session_id: UUID | None = None
    api_key_id: int | None = None
    sender: str | None = None
    request_id: str | None = None
    traceparent: str | None = None


_current: ContextVar[Origin | None] = ContextVar("origin", default=None)


def current() -> Origin:
    """The origin of what this thread or task does now."""
    return _current.get() or Origin()


def begin(*, sender: str | None, request_id: str | None, traceparent: str | None = None) -> Origin:
    """A request or a command begins. Nobody has shown who they are."""
    origin = Origin(sender=sender, request_id=request_id, traceparent=traceparent)
    _current.set(origin)
    return origin


def identify(*, actor_id: int, session_id: UUID | None = None) -> None:
    """Fill in who is asking, and in which session."""
    origin = current()
    origin.actor_id, origin.session_id = actor_id, session_id
