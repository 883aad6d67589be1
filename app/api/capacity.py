"""Who gets a thread: a few are kept for alerts, the health check and the link in a page; passwords have others.

A request that waits for a password's hash keeps no other request waiting.
"""

from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, ParamSpec, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from app.core.errors import TooManyRequests
from app.core.security import HASHING_REQUESTS

P = ParamSpec("P")
T = TypeVar("T")
Handler = TypeVar("Handler", bound=Callable[..., Any])

URGENT = ("/v1/alerts/", "/health/", "/p/")
KEPT_THREADS = 2
MAX_WAITING = 200  # for a hash: half a minute's work at its default cost
RETRY_AFTER_SECONDS = 10
HASHES = "_hashes_passwords"

_is_urgent: ContextVar[bool] = ContextVar("is_urgent", default=False)
_ordinary: RunVar[CapacityLimiter] = RunVar("ordinary")
_hashing: RunVar[CapacityLimiter] = RunVar("hashing")


def set_up(threads: int) -> None:
    """Bound the threads that handle requests side by side, of this event loop. At least one is for ordinary ones."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = threads
    _ordinary.set(CapacityLimiter(max(threads - KEPT_THREADS, 1)))
    _hashing.set(CapacityLimiter(HASHING_REQUESTS))


def is_urgent(scope: Scope) -> bool:
    """True of what must get through however busy the rest is."""
    return scope["type"] == "http" and f"{scope['path']}/".startswith(URGENT)


def mark(scope: Scope) -> None:
    """Say for the rest of this request whether it is urgent."""
    _is_urgent.set(is_urgent(scope))


def hashes_passwords(handler: Handler) -> Handler:
    """Mark a handler that hashes a password."""
    setattr(handler, HASHES, True)
    return handler


async def run_endpoint(endpoint: Callable[..., Any], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function for an endpoint in a thread that may do so. Raises TooManyRequests."""
    if not hasattr(endpoint, HASHES):
        return await run(function, *args, **kwargs)
    limiter = _hashing.get(None)
    if limiter is not None and limiter.statistics().tasks_waiting >= MAX_WAITING:
        detail = "Too many passwords are being checked: try again."
        raise TooManyRequests(detail, retry_after_seconds=RETRY_AFTER_SECONDS)
    return await anyio.to_thread.run_sync(partial(function, *args, **kwargs), limiter=limiter)


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function in a thread: at once if the request is urgent, else when an ordinary one has its turn."""
    limiter = _ordinary.get(None)
    if limiter is None or _is_urgent.get():
        return await run_in_threadpool(function, *args, **kwargs)
    async with limiter:
        return await run_in_threadpool(function, *args, **kwargs)
