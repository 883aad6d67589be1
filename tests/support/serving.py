"""A service that really listens, within bounds that a test can reach."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from app.server.limits import ConnectionLimits
from app.server.protocol import BoundedHttp
from tests.support.waiting import wait_until

HEALTH = b"GET /health HTTP/1.1\r\nHost: service\r\n\r\n"


@dataclass(frozen=True)
class Service:
    """Where it listens, and the connections to it that end with the test."""

    port: int
    stack: ExitStack = field(default_factory=ExitStack)

    def connect(self, sent: bytes = b"") -> socket.socket:
        """A connection over which this was sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.stack.enter_context(closing(connection))
        if sent:
            connection.sendall(sent)
        return connection


@contextmanager
def serving(app: ASGIApp, **limits: Any) -> Iterator[Service]:
    """A service on a port of its own."""
    protocol = type("Protocol", (BoundedHttp,), {"limits": ConnectionLimits(**{"connections": 100, **limits})})
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, http=protocol, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, seconds=30)
    service = Service(server.servers[0].sockets[0].getsockname()[1])
    with service.stack:
        yield service
    server.should_exit = True
    thread.join(30)


def answer(connection: socket.socket) -> bytes:
    """All that comes until the other side closes the connection; without an answer it is empty."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def status(connection: socket.socket) -> int:
    """The status of the next answer."""
    return int(connection.recv(65536).split(b" ", 2)[1])


def is_closed(connection: socket.socket) -> bool:
    """True once the other side has closed the connection."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        connection.settimeout(30)
