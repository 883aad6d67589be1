"""What the bodies of all requests under way may take together, and which of them gives way."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.api.middleware.body_limit import Bodies, BodyLimit, BodyLimits, BodyRefused

MIB = 1024 * 1024


@dataclass
class Seconds:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def bodies(clock: Seconds) -> Bodies:
    return Bodies(BodyLimits(max_bytes=100, total_bytes=100), clock)


def test_a_quarter_of_the_memory_is_for_what_is_urgent(bodies: Bodies) -> None:
    ordinary, urgent = bodies.begin(is_urgent=False), bodies.begin(is_urgent=True)
    bodies.grow(ordinary, 75)
    with pytest.raises(BodyRefused) as refused:
        bodies.grow(ordinary, 1)
    assert refused.value.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert refused.value.headers["Retry-After"] == "1"
    bodies.grow(urgent, 25)


def test_an_unfinished_body_that_has_stalled_gives_way(bodies: Bodies, clock: Seconds) -> None:
    stalled = bodies.begin(is_urgent=False)
    bodies.grow(stalled, 75)
    clock.now = 2
    bodies.grow(bodies.begin(is_urgent=False), 10)
    assert stalled.has_given_way
    assert bodies.used == 10


def test_a_whole_body_does_not_give_way(bodies: Bodies, clock: Seconds) -> None:
    whole = bodies.begin(is_urgent=False)
    bodies.grow(whole, 75)
    whole.is_whole, clock.now = True, 2
    with pytest.raises(BodyRefused):
        bodies.grow(bodies.begin(is_urgent=False), 1)


def test_an_urgent_body_gives_way_to_no_ordinary_one(bodies: Bodies, clock: Seconds) -> None:
    bodies.grow(bodies.begin(is_urgent=True), 75)
    clock.now = 2
    with pytest.raises(BodyRefused):
        bodies.grow(bodies.begin(is_urgent=False), 1)


def test_memory_is_free_again_when_a_request_ends(bodies: Bodies) -> None:
    body = bodies.begin(is_urgent=False)
    bodies.grow(body, 75)
    bodies.end(body)
    bodies.end(body)
    assert bodies.used == 0


async def _read(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _ask(limit: BodyLimit, path: str, *pieces: Message | Awaitable[Message]) -> int:
    """The status of the answer to a request whose body comes in these pieces; then nothing comes any more."""
    given, sent = list(pieces), []

    async def receive() -> Message:
        if given:
            return given.pop(0)  # type: ignore[return-value]
        return await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"transfer-encoding", b"chunked")]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""}
    scope |= {"server": ("service", 80), "scheme": "http"}
    await limit(scope, receive, send)
    return int(sent[0]["status"])


def _piece(size: int, *, is_last: bool = False) -> Message:
    return {"type": "http.request", "body": b" " * size, "more_body": not is_last}


def test_a_body_that_does_not_come_in_time_is_given_up() -> None:
    limit = BodyLimit(_read, limits=BodyLimits(MIB, 4 * MIB, seconds=0.1))
    assert asyncio.run(_ask(limit, "/v1/incidents", _piece(10))) == HTTPStatus.REQUEST_TIMEOUT
    assert limit.bodies.used == 0


def test_300_unfinished_bodies_keep_no_alert_out() -> None:
    async def attacked() -> tuple[list[int], int, int]:
        limit = BodyLimit(_read, limits=BodyLimits(MIB, 16 * MIB, stalled_seconds=0))
        unfinished = [asyncio.create_task(_ask(limit, "/v1/incidents", _piece(MIB - 1))) for _ in range(300)]
        await asyncio.sleep(0.05)
        used = limit.bodies.used
        alert = await _ask(limit, "/v1/alerts/elastic", _piece(MIB, is_last=True))
        ordinary = await _ask(limit, "/v1/incidents", _piece(MIB, is_last=True))
        ended = [task.result() for task in unfinished if task.done()]
        for task in unfinished:
            task.cancel()
        return [alert, ordinary], used, min(ended)

    statuses, used, ended = asyncio.run(attacked())
    assert statuses == [200, 200]
    assert used <= 12 * MIB
    assert ended == HTTPStatus.SERVICE_UNAVAILABLE


def test_the_form_behind_a_link_is_small() -> None:
    limit = BodyLimit(_read, limits=BodyLimits(MIB, 16 * MIB))
    asked = _ask(limit, "/p/token/snooze", _piece(17 * 1024, is_last=True))
    assert asyncio.run(asked) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
