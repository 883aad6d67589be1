"""Bodies over 1 MiB, and senders that hang up, seen from the wire."""

import io
import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from threading import Thread
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient

from app.main import MAX_BODY_BYTES, create_app
from app.utils.service_locator import Services
from tests.support.answers import MEMBERS, problem
from tests.support.logs import captured
from tests.support.operations import OPERATIONS, WITH_BODY, Operation
from tests.support.waiting import wait_until
from tests.support.world import Person

HEAD = b"POST /v1/auth/signup HTTP/1.1\r\nHost: service\r\nContent-Type: application/json\r\n"
CHUNK = 64 * 1024
WEBHOOK_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True)
class Wire:
    """A connection to a service that really listens."""

    connection: socket.socket

    def chunk(self) -> None:
        self.connection.sendall(b"%x\r\n%s\r\n" % (CHUNK, b" " * CHUNK))

    def answer(self) -> tuple[int, bytes, dict[str, Any]]:
        """Status, headers and body of the next answer."""
        with closing(self.connection.makefile("rb")) as lines:
            status = int(lines.readline().split()[1])
            headers = b"".join(iter(lines.readline, b"\r\n")).lower()
            [length] = re.findall(rb"content-length: (\d+)", headers)
            body: dict[str, Any] = json.loads(lines.read(int(length)))
        return status, headers, body


@pytest.fixture
def port(services: Services) -> Iterator[int]:
    """A service on a port of its own."""
    settings = services.settings.model_copy(update={"log_level": "INFO"})
    app = create_app(settings, services)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, ws="none", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, seconds=30)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(30)


@pytest.fixture
def log(port: int) -> Iterator[io.StringIO]:
    """What the service logs."""
    with captured() as lines:
        yield lines


@pytest.fixture
def wire(port: int) -> Iterator[Wire]:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as connection:
        yield Wire(connection)


def test_a_body_that_announces_its_size_is_refused_unsent(wire: Wire) -> None:
    wire.connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1))
    status, headers, body = wire.answer()
    assert (status, body["code"]) == (413, "body_too_large")
    assert b"content-type: application/problem+json" in headers
    assert body.keys() == MEMBERS


def test_a_body_without_a_size_is_refused_as_soon_as_it_is_too_large(wire: Wire) -> None:
    wire.connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(MAX_BODY_BYTES // CHUNK + 1):
        wire.chunk()
    status, _, body = wire.answer()  # though the last chunk was never sent
    assert (status, body["code"]) == (413, "body_too_large")


def test_a_sender_that_keeps_sending_still_reads_the_answer(wire: Wire) -> None:
    """A connection that was closed on it would be reset, and the answer lost with it."""
    wire.connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(4 * MAX_BODY_BYTES // CHUNK):
        wire.chunk()
    wire.connection.sendall(b"0\r\n\r\nGET /health HTTP/1.1\r\nHost: service\r\n\r\n")
    statuses = [wire.answer()[0], wire.answer()[0]]
    assert statuses == [413, 200]


def test_who_hangs_up_while_sending_is_no_failure_of_the_service(port: int, log: io.StringIO) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as connection:
        connection.sendall(HEAD + b'Content-Length: 100\r\n\r\n{"email": ')
    wait_until(lambda: "client_disconnected" in log.getvalue(), seconds=30)
    assert "request_failed" not in log.getvalue()
    assert "Traceback" not in log.getvalue()


@pytest.mark.parametrize("operation", WITH_BODY, ids=str)
def test_no_operation_takes_a_body_over_the_limit(client: TestClient, operation: Operation) -> None:
    headers = {"Content-Type": "application/json"}
    is_webhook = operation.path.startswith("/v1/alerts/")
    content = b" " * ((WEBHOOK_LIMIT if is_webhook else MAX_BODY_BYTES) + 1)
    answer = client.request(operation.method, operation.url(), content=content, headers=headers)
    assert problem(answer, 413)["code"] == "body_too_large"


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if not o.media_types], ids=str)
def test_an_operation_without_a_body_does_not_wait_for_a_large_one(client: TestClient, operation: Operation) -> None:
    answer = client.request(operation.method, operation.url(), headers={"Content-Length": str(MAX_BODY_BYTES + 1)})
    problem(answer, 413)


def test_a_body_of_just_the_limit_is_read(client: TestClient, user: Person) -> None:
    body = json.dumps({"full_name": "Ada"}).encode().ljust(MAX_BODY_BYTES)
    headers = {**user.headers, "Content-Type": "application/json"}
    assert client.put("/v1/users/me", content=body, headers=headers).json()["full_name"] == "Ada"
