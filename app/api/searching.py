"""Searches wait for their turn on the event loop, where they hold neither a thread nor a connection.

A search is a GET with words in `q`. It keeps the database busy, so each person may run only a few at once in a process,
and searches never occupy all threads. A client that disconnects while it waits gives up its place.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from anyio.lowlevel import RunVar
from fastapi import Request
from fastapi.security.utils import get_authorization_scheme_param

from app.core.api_key import KeyProof
from app.core.errors import NotAuthenticated
from app.core.security import Claims, Tokens

OF_ONE_USER = 2
OF_EVERYBODY = 4
WORDS = "q"

Searcher = int | KeyProof  # the id of a user, or an API key


class ClientLeft(Exception):
    """The client closed the connection while its search waited."""


@dataclass
class Turns:
    """The places for searches of one event loop."""

    of_everybody: asyncio.Semaphore
    # A person's entry is removed with the last search that runs or waits.
    of_users: WeakValueDictionary[Searcher, asyncio.Semaphore] = field(default_factory=WeakValueDictionary)

    def of(self, searcher: Searcher) -> asyncio.Semaphore:
        return self.of_users.setdefault(searcher, asyncio.Semaphore(OF_ONE_USER))


_turns: RunVar[Turns] = RunVar("searches")


def set_up(threads: int) -> None:
    """Limit this event loop's concurrent searches to at most half of the threads that handle requests."""
    _turns.set(Turns(asyncio.Semaphore(max(min(OF_EVERYBODY, threads // 2), 1))))


@asynccontextmanager
async def turn(request: Request) -> AsyncIterator[None]:
    """Wait for a place if the request searches, and keep it until the block ends. Raises ClientLeft."""
    turns, searcher = _turns.get(None), _searcher(request)
    if turns is None or searcher is None:
        yield
        return
    own = turns.of(searcher)
    async with AsyncExitStack() as places:
        for place in (own, turns.of_everybody):
            await _take(place, request)
            places.callback(place.release)
        yield


def _searcher(request: Request) -> Searcher | None:
    """The user or the API key that searches. None if the request is no search, or will be refused before."""
    if request.method != "GET" or not request.scope["query_string"]:
        return None
    if not request.query_params.get(WORDS, "").strip():
        return None
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    tokens: Tokens = request.app.state.services.auth.tokens
    try:
        bearer = tokens.read(token) if scheme.lower() == "bearer" else None
    except NotAuthenticated:
        return None
    return bearer.user_id if isinstance(bearer, Claims) else bearer


async def _take(place: asyncio.Semaphore, request: Request) -> None:
    if not place.locked():
        await place.acquire()  # at once
        return
    taking, leaving = asyncio.ensure_future(place.acquire()), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((taking, leaving), return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        _give_up(taking, place)
        raise
    finally:
        leaving.cancel()
    if leaving.done() and not leaving.cancelled():
        _give_up(taking, place)
        raise ClientLeft


def _give_up(taking: asyncio.Future[Any], place: asyncio.Semaphore) -> None:
    if not taking.cancel():  # it has the place already
        place.release()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
