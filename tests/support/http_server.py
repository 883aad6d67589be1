"""A provider on a socket: answers from a script, and keeps what it was asked."""

import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, Literal
from urllib.parse import parse_qs

DRIP_SECONDS = 0.02  # between two bytes: no timeout of a single read is ever reached
CLOSE_NOW = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: closing resets the connection


@dataclass(frozen=True)
class Answer:
    """What the server does with a request.

    `fault`: "hang" says nothing until the server stops, "reset" tears the connection down, "echo" repeats the first
    line of the request in place of a status, "drip_head" and "drip_body" never finish a header or the body, a byte at
    a time.
    """

    status: int = 200
    body: bytes | str | dict[str, Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Literal["hang", "reset", "echo", "drip_head", "drip_body", "raw"] | None = None

    def content(self) -> bytes:
        body = json.dumps(self.body) if isinstance(self.body, dict) else self.body
        return body.encode() if isinstance(body, str) else body


@dataclass(frozen=True)
class Asked:
    """A request as it came. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """The fields of an `application/x-www-form-urlencoded` body; of a repeated one the last."""
        return {name: values[-1] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}


@dataclass
class HttpServer:
    """A running server. `answers` are given in turn; after them `default` is."""

    port: int
    scheme: str = "http"
    default: Answer = field(default_factory=Answer)
    answers: deque[Answer] = field(default_factory=deque)
    requests: list[Asked] = field(default_factory=list)
    stopping: Event = field(default_factory=Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def script(self, *answers: Answer) -> None:
        self.answers.extend(answers)

    def next_answer(self) -> Answer:
        try:
            return self.answers.popleft()
        except IndexError:
            return self.default


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for them

    def __init__(self, *args: Any) -> None:
        self.connected: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connected.add(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        """End connections that clients keep open."""
        for connection in list(self.connected):
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: HttpServer

    def setup(self) -> None:
        self.request.settimeout(60)  # a kept-alive connection does not hold up the end of the test
        super().setup()

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.state.requests.append(Asked(self.command, self.path, headers, body))
        answer = self.state.next_answer()
        if answer.fault is None:
            self._answer(answer)
            return
        self.close_connection = True
        with suppress(OSError):
            getattr(self, f"_{answer.fault}")(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _handle  # noqa: N815 - http.server's names

    def _answer(self, answer: Answer) -> None:
        content = answer.content()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _hang(self, answer: Answer) -> None:
        self.state.stopping.wait()

    def _reset(self, answer: Answer) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, CLOSE_NOW)
        self.connection.close()

    def _echo(self, answer: Answer) -> None:
        self.wfile.write(f"{self.requestline}\r\n\r\n".encode())

    def _drip_head(self, answer: Answer) -> None:
        self.wfile.write(f"HTTP/1.1 {answer.status} Drip\r\nX-Drip: ".encode())
        self._drip()

    def _drip_body(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.end_headers()
        self._drip()

    def _raw(self, answer: Answer) -> None:
        self.wfile.write(answer.content())

    def _drip(self) -> None:
        while not self.state.stopping.wait(DRIP_SECONDS):
            self.wfile.write(b".")
            self.wfile.flush()

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@contextmanager
def http_server(answers: Iterable[Answer] = (), *, certificate: Path | None = None) -> Iterator[HttpServer]:
    """A server on a free port of 127.0.0.1; with a PEM file of key and certificate it speaks TLS."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {}))
    state = HttpServer(server.server_address[1], "https" if certificate else "http", answers=deque(answers))
    server.RequestHandlerClass.state = state  # type: ignore[attr-defined]  # ours, made just above
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.stopping.set()
        server.shutdown()
        server.hang_up()
        server.server_close()
        thread.join(10)
