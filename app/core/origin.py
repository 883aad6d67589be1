"""Who causes what happens now: the account, by which session or key, from where, in which request.

The request's middleware and its permission fill it in. It follows the request into the handler's thread.
"""

from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a change. All is None where nobody asked: in the worker and in an operator's command."""

    actor_id: int | None = None
    session_id: UUID | None = None
    api_key_id: int | None = None
    sender: str | None = None
    request_id: str | None = None


NOBODY = Origin()
_current: ContextVar[Origin] = ContextVar("origin", default=NOBODY)


def current() -> Origin:
    """The origin of what this thread or task does now."""
    return _current.get()


def begin(*, sender: str | None, request_id: str | None) -> None:
    """A request or a command begins. Nobody has shown who they are."""
    _current.set(Origin(sender=sender, request_id=request_id))


def identify(**who: Any) -> None:
    """Fill in who it is: `actor_id`, and `session_id` or `api_key_id`."""
    _current.set(replace(_current.get(), **who))
