"""HTTP/1.1 by uvicorn's httptools protocol, with limits that it lacks.

`uvicorn app.main:app --http app.server.protocol:BoundedHttp`; `python -m app serve` does so by itself.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import uuid4
from weakref import WeakKeyDictionary

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.core import descriptors
from app.core.config import get_settings
from app.core.vocabulary import ErrorCode
from app.server.connections import Connections, Phase
from app.server.limits import ConnectionLimits, needed, within

log = structlog.get_logger()

SWEEP_SECONDS = 1.0
LINGER_SECONDS = 2.0  # so that a client that is still sending can read why it was refused
CALM_SECONDS = 10.0
NOT_HTTP = "The request is not valid HTTP/1.1."


class Sweep:
    """Closes late connections every second, and logs when there are too many."""

    def __init__(self, connections: Connections, loop: asyncio.AbstractEventLoop) -> None:
        self._connections = connections
        self._loop = loop
        self._is_running = False
        self._turned_away = 0
        self._full_at: float | None = None

    def ensure(self) -> None:
        """Run while there are connections."""
        if not self._is_running:
            self._is_running = True
            self._loop.call_later(SWEEP_SECONDS, self._run)

    def _run(self) -> None:
        at = self._loop.time()
        if closed := self._connections.hang_up_on_late(at=at):
            log.info("connections_timed_out", closed=closed, open=len(self._connections))
        self._report(at)
        self._is_running = False
        if len(self._connections) or self._full_at is not None:
            self.ensure()

    def _report(self, at: float) -> None:
        turned_away = self._connections.turned_away
        if turned_away > self._turned_away:
            if self._full_at is None:
                log.warning("connections_full", limit=self._connections.limits.connections, open=len(self._connections))
            self._turned_away, self._full_at = turned_away, at
        elif self._full_at is not None and at - self._full_at > CALM_SECONDS:
            log.info("connections_have_room", turned_away=turned_away, open=len(self._connections))
            self._full_at = None


_of_servers: WeakKeyDictionary[ServerState, tuple[Connections, Sweep]] = WeakKeyDictionary()


class BoundedHttp(HttpToolsProtocol):
    """Limits the connections of a process, and the size and duration of a request's head."""

    limits: ClassVar[ConnectionLimits | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unparsed = 0
        self._is_in_head = False
        self._awaits_body = False
        self._has_progressed = False
        self._is_refused = False
        self._running: RequestResponseCycle | None = None
        if self.server_state not in _of_servers:
            connections = Connections(self.limits or process_limits())
            _of_servers[self.server_state] = (connections, Sweep(connections, self.loop))
        self._peers, self._sweep = _of_servers[self.server_state]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self._sweep.ensure()
        if not self._peers.admit(self, at=self.loop.time()):
            detail = "There are too many connections. Try again in a second."
            self._is_refused = True
            transport.write(
                _problem(HTTPStatus.SERVICE_UNAVAILABLE, ErrorCode.OVERLOADED, detail, b"retry-after: 1\r\n")
            )
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._peers.drop(self)
        self._end_answer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser no more of a head than the limit, because it buffers incomplete heads.

        The same limit holds for trailers, chunk extensions and empty lines.
        """
        most = self._peers.limits.head_bytes
        while data and not self._is_refused and not self.transport.is_closing():
            room = most - self._unparsed
            piece, data = data[:room], data[room:]
            self._unparsed += len(piece)
            self._has_progressed = False
            super().data_received(piece)
            if self._awaits_body:
                self._awaits_body = False
                self._peers.move(self, Phase.RECEIVING, at=self.loop.time())
            if self._has_progressed and not self._is_in_head:
                self._unparsed = 0
            elif self._unparsed >= most or (self._is_in_head and self._has_too_many_fields()):
                self._refuse_head()

    def on_message_begin(self) -> None:
        if not self._is_refused:
            self._is_in_head = True
            super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._has_progressed = True
        if self._is_refused:
            return
        if len(self.pipeline) >= self._peers.limits.pipelined:
            self._hang_up_refused()
            return
        if self._has_too_many_fields():
            self._refuse_head()
            return
        self._awaits_body = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._has_progressed = True
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._has_progressed = True
        self._awaits_body = False
        if self._is_refused:
            return
        if not self.cycle.response_complete:
            self._peers.move(self, Phase.ANSWERING, at=self.loop.time())
        super().on_message_complete()

    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last and self._peers.phase(self) is not None:
            self._peers.move(self, Phase.IDLE, at=self.loop.time())

    def hang_up(self) -> None:
        """Close the connection at once."""
        self._end_answer()
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's words
        """Refuse bytes that are no HTTP. Behind a request that is not answered yet there is no place for an answer."""
        self._refuse(HTTPStatus.BAD_REQUEST, ErrorCode.BAD_REQUEST, NOT_HTTP)

    def unsent(self) -> int:
        return self.transport.get_write_buffer_size()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _end_answer(self) -> None:
        """The client has gone. To write more of an answer would fail, and look like a defect.

        Uvicorn knows the newest request of a connection only. That may wait behind the one that is being answered.
        """
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def _should_upgrade_to_ws(self) -> bool:
        return False  # the other protocol has none of these limits, and there are no WebSockets here

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: anybody can send such a request."""

    def _has_too_many_fields(self) -> bool:
        return len(self.headers) > self._peers.limits.head_fields

    def _refuse_head(self) -> None:
        limits = self._peers.limits
        log.warning("head_too_large")
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        detail = f"The headers are over {limits.head_bytes} bytes or {limits.head_fields} fields. Send fewer."
        self._refuse(status, ErrorCode.HEADERS_TOO_LARGE, detail)

    def _refuse(self, status: HTTPStatus, code: ErrorCode, detail: str) -> None:
        """Answer without the application, keep reading briefly so that the client sees it, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._hang_up_refused()  # an answer is under way, so there is no place for another
            return
        self._is_refused = True
        self._is_in_head = False
        self.transport.write(_problem(status, code, detail))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _hang_up_refused(self) -> None:
        self._is_refused = True
        self.hang_up()


def process_limits() -> ConnectionLimits:
    """The limits of this process, from its settings and its limit of descriptors."""
    wanted, allowed = get_settings().max_connections, descriptors.limit()
    limits = within(allowed, wanted=wanted)
    if limits.connections < wanted:
        cure = f"raise the hard limit of open files (ulimit -Hn) to {needed(wanted)}"
        log.warning("descriptors_are_few", descriptors=allowed, connections=limits.connections, cure=cure)
    return limits


def _problem(status: HTTPStatus, code: ErrorCode, detail: str, headers: bytes = b"") -> bytes:
    """A complete answer in problem form (RFC 9457)."""
    request_id = uuid4().hex
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "instance": "",
        "code": code,
        "message": detail,
        "request_id": request_id,
    }
    body = json.dumps(content).encode()
    named = f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\nx-request-id: {request_id}\r\n"
    return b"".join([STATUS_LINE[status], named.encode(), headers, b"connection: close\r\n\r\n", body])
