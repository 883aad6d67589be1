"""Clients that connect and say nothing, or too much, seen from the wire."""

import asyncio
import json
import time

import pytest
from starlette.types import Receive, Scope, Send

from app.core.config import Settings
from tests.support.answers import MEMBERS
from tests.support.serving import HEALTH, answer, is_closed, serving, status
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

KIB = 1024
ENDLESS = b"a" * (80 * KIB)
UPLOAD = b"POST /upload HTTP/1.1\r\nHost: service\r\nTransfer-Encoding: chunked\r\n"


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body of a request and says hello."""
    if scope["type"] == "http":
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello"})


def test_silent_clients_do_not_keep_others_out() -> None:
    with serving(hello, connections=20) as service:
        silent = [service.connect() for _ in range(20)]
        time.sleep(0.2)
        for _ in range(5):
            assert status(service.connect(HEALTH)) == 200
        wait_until(lambda: sum(map(is_closed, silent)) == 5, seconds=10)


def test_idle_clients_do_not_keep_others_out() -> None:
    with serving(hello, connections=10) as service:
        for _ in range(10):
            assert status(service.connect(HEALTH)) == 200
        time.sleep(0.2)
        assert status(service.connect(HEALTH)) == 200


def test_a_client_too_many_is_answered_503() -> None:
    with serving(hello, connections=3) as service:
        for _ in range(3):  # all within the moment that a new client has
            service.connect()
        received = answer(service.connect())
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"retry-after: 1" in head
    assert json.loads(body)["code"] == "overloaded"


@pytest.mark.parametrize("sent", [b"", b"GET /he", b"\r\n\r\n"], ids=["nothing", "half a head", "empty lines"])
def test_a_client_without_a_whole_head_is_hung_up_on(sent: bytes) -> None:
    with serving(hello, head_seconds=0.5) as service:
        connection = service.connect(sent)
        wait_until(lambda: is_closed(connection), seconds=10)


def test_dripping_a_head_after_an_answer_is_hung_up_on_as_well() -> None:
    with serving(hello, head_seconds=1) as service:
        connection = service.connect(HEALTH)
        assert status(connection) == 200
        deadline = time.monotonic() + 10
        while not is_closed(connection):
            assert time.monotonic() < deadline
            connection.sendall(b"\r")
            time.sleep(0.1)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /health HTTP/1.1\r\nHost: service\r\nX-Endless: " + ENDLESS,
        b"GET /" + ENDLESS,
        b"GET /health HTTP/1.1\r\n" + b"a:\r\n" * 300,
        UPLOAD + b"\r\n0\r\nX-Trailer: " + ENDLESS,
        UPLOAD + b"\r\n5;ext=" + ENDLESS,
        b"\r\n" * (20 * KIB),
    ],
    ids=["one header", "the address", "many headers", "a trailer", "a chunk's extension", "empty lines"],
)
def test_a_head_that_does_not_end_is_refused(sent: bytes) -> None:
    with serving(hello) as service:
        received = answer(service.connect(sent))
    if received:  # in the middle of a request there is no place for an answer
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
        assert b"content-type: application/problem+json" in head
        said = json.loads(body)
        assert said.keys() == MEMBERS
        assert said["code"] == "headers_too_large"


def test_a_large_head_within_the_bounds_is_read() -> None:
    head = HEALTH.replace(b"\r\n\r\n", b"\r\nX-Large: " + b"a" * (30 * KIB) + b"\r\n\r\n")
    with serving(hello) as service:
        connection = service.connect(head)
        assert status(connection) == 200
        connection.sendall(head)  # and so is the next one
        assert status(connection) == 200


def test_requests_that_are_sent_ahead_are_bounded() -> None:
    with serving(hello) as service:
        connection = service.connect(HEALTH * 500)
        assert answer(connection).count(b"HTTP/1.1 200") < 100


def test_a_few_requests_that_are_sent_ahead_are_all_answered() -> None:
    with serving(hello) as service:
        connection = service.connect(HEALTH * 9 + HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert answer(connection).count(b"HTTP/1.1 200") == 10


def test_a_websocket_is_no_way_around_the_bounds() -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a\r\n\r\n"
    with serving(hello, head_seconds=1) as service:
        connection = service.connect(HEALTH.removesuffix(b"\r\n") + upgrade)
        assert status(connection) == 200
        wait_until(lambda: is_closed(connection), seconds=10)


def test_fewer_than_1024_connections_cannot_be_set() -> None:
    with pytest.raises(ValueError, match="max_connections"):
        Settings(_env_file=None, max_connections=1023)


@pytest.mark.parametrize(
    "sent", [b"\x00\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00"]
)
def test_what_is_no_http_is_refused_as_a_problem(sent: bytes) -> None:
    with serving(hello) as service:
        head, _, body = answer(service.connect(sent)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert json.loads(body).keys() == MEMBERS
    assert json.loads(body)["code"] == "bad_request"


@pytest.mark.parametrize("ahead", [b"", HEALTH], ids=["alone", "with another behind"])
def test_garbage_behind_a_request_is_no_answer_to_it(ahead: bytes) -> None:
    """And it does not make the answer under way fail, which would look like a defect in the log."""
    ended: list[BaseException | None] = []

    async def talk(scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with a piece in each turn of the event loop, until the client has gone."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            gone = asyncio.ensure_future(_gone(receive))
            while not gone.done():
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                await asyncio.sleep(0)
        except Exception as error:
            ended.append(error)
            raise
        ended.append(None)

    with serving(talk) as service:
        connection = service.connect(HEALTH)
        assert status(connection) == 200
        connection.sendall(ahead + b"\x00nonsense\r\n\r\n")
        received = answer(connection)
        wait_until(lambda: bool(ended), seconds=10)
    assert b"HTTP/1.1 400" not in received
    assert ended == [None]


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
