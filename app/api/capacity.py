"""Assigns threads to requests. A few are reserved for alerts, the health check and the link in a page.

Password hashes have threads of their own, so that they hold up no other request.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from time import monotonic
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
RETRY_AFTER_SECONDS = 10
HASHES = "_hashes_passwords"


@dataclass(frozen=True, slots=True)
class Threads:
    """How many requests are handled side by side, and how many may wait for the hash of a password.

    200 hashes are half a minute's work at their default cost.
    """

    total: int
    max_waiting_for_hashes: int = 200


_is_urgent: ContextVar[bool] = ContextVar("is_urgent", default=False)
_ordinary: RunVar[CapacityLimiter] = RunVar("ordinary")
_hashing: RunVar[CapacityLimiter] = RunVar("hashing")
_max_waiting_for_hashes: RunVar[int] = RunVar("max_waiting_for_hashes")
_waiting: dict[object, float] = {}  # since when each request waits for a thread


def set_up(threads: Threads) -> None:
    """Limit this event loop's threads for requests. At least one is left for ordinary requests."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = threads.total
    _ordinary.set(CapacityLimiter(max(threads.total - KEPT_THREADS, 1)))
    _hashing.set(CapacityLimiter(HASHING_REQUESTS))
    _max_waiting_for_hashes.set(threads.max_waiting_for_hashes)


def is_urgent(scope: Scope) -> bool:
    """True for requests that must get through however busy the service is."""
    return scope["type"] == "http" and f"{scope['path']}/".startswith(URGENT)


def mark(scope: Scope) -> None:
    """Mark the current request as urgent or not."""
    _is_urgent.set(is_urgent(scope))


def hashes_passwords(handler: Handler) -> Handler:
    """Mark a handler that hashes a password."""
    setattr(handler, HASHES, True)
    return handler


def is_hashing(handler: Callable[..., Any]) -> bool:
    """True if a handler is marked with `hashes_passwords`."""
    return hasattr(handler, HASHES)


async def run_endpoint(endpoint: Callable[..., Any], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run an endpoint's function in a thread of the right kind. Raises TooManyRequests."""
    if not is_hashing(endpoint):
        return await run(function, *args, **kwargs)
    limiter = _hashing.get(None)
    if limiter is not None and limiter.statistics().tasks_waiting >= _max_waiting_for_hashes.get():
        detail = "Too many passwords are being checked. Try again in a moment."
        raise TooManyRequests(detail, retry_after_seconds=RETRY_AFTER_SECONDS)
    return await anyio.to_thread.run_sync(partial(function, *args, **kwargs), limiter=limiter)


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function in a thread: at once if the request is urgent, else when an ordinary thread is free."""
    limiter = None if _is_urgent.get() else _ordinary.get(None)
    if (limiter or anyio.to_thread.current_default_thread_limiter()).available_tokens >= 1:
        return await _run(limiter, function, *args, **kwargs)
    turn = object()
    _waiting[turn] = monotonic()

    def begin() -> T:
        _waiting.pop(turn, None)
        return function(*args, **kwargs)

    try:
        return await _run(limiter, begin)
    finally:
        _waiting.pop(turn, None)


async def _run(limiter: CapacityLimiter | None, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    if limiter is None:
        return await run_in_threadpool(function, *args, **kwargs)
    async with limiter:
        return await run_in_threadpool(function, *args, **kwargs)


def oldest_wait() -> float:
    """How long the oldest request that waits for a thread has waited, in seconds. 0 if none waits."""
    began_at = list(_waiting.values())  # at once: threads change it
    return monotonic() - min(began_at) if began_at else 0.0
