"""Gives a request its id, its trace and its line in the log, and answers unhandled errors."""

import os
import re
import time
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import problem
from app.api.http_metrics import CLIENT_LEFT, HttpMeter
from app.api.middleware import request_line
from app.api.middleware.request_line import printable
from app.core import origin, spans, tracing
from app.core.origin import Origin
from app.core.plain_lines import PlainLines
from app.core.spans import Kind, Span
from app.core.vocabulary import ErrorCode

log = structlog.get_logger()
lines = PlainLines("app.requests")

ADDRESS = re.compile(r"[0-9A-Za-z.:%_-]{1,64}")  # of IPv4, IPv6 with its zone, or a name
MALFORMED = "malformed"
SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
QUIET_PATHS = {"/health", "/health/live", "/health/ready", "/metrics"}  # logged only if they are refused or fail
NOT_ASCII = re.compile(rb"[^\x00-\x7f]")


class RequestContext:
    """Gives every request an id and a trace, for its log lines and its answer, and answers exceptions nobody caught.

    Counts every request in the metrics. Logs it with its sender's address only if `logs_senders`.
    """

    def __init__(self, app: ASGIApp, *, meter: HttpMeter | None = None, logs_senders: bool = True) -> None:
        self.app = app
        self.meter = meter or HttpMeter()
        self.logs_senders = logs_senders

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = _begin(scope)
        header = (b"x-request-id", scope["request_id"].encode())
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], header]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            self._end(scope, begun, CLIENT_LEFT)
            return
        except Exception:
            log.exception("request_failed", method=scope["method"], path=printable(scope))
            if status:  # the answer has started: all we can do is break it off
                self._end(scope, begun, HTTPStatus.INTERNAL_SERVER_ERROR)
                raise
            await _internal_error(scope)(scope, receive, send_with_id)
        self._end(scope, begun, status or CLIENT_LEFT)

    def _end(self, scope: Scope, begun: "Begun", status: int) -> None:
        """Count a request, log it, and end its span."""
        seconds = time.perf_counter() - begun.at
        self.meter.count(scope, status, seconds)
        if status >= HTTPStatus.BAD_REQUEST or scope["path"] not in QUIET_PATHS:
            event = "client_disconnected" if status == CLIENT_LEFT else "request_finished"
            said = request_line.fields(scope, begun.by, status, seconds, names_sender=self.logs_senders)
            lines.info_whole(event, said)
        if begun.span is not None:
            request_line.tell(begun.span, scope, begun.by, status, names_sender=self.logs_senders)
            begun.span.end()


class Begun(NamedTuple):
    """A request that has begun: by whom, when by the performance counter, and its span if anybody records it."""

    by: Origin
    at: float
    span: Span | None


def _begin(scope: Scope) -> Begun:
    """Give a request its id and its trace. Each request runs in its own context: nothing has to be unbound."""
    at = time.perf_counter()
    given, traceparents = _given(scope)
    if not scope["query_string"].isascii():
        scope["query_string"] = NOT_ASCII.sub(_escaped, scope["query_string"])
    parent = tracing.read(traceparents) if traceparents else None
    span = spans.begin(scope["method"], Kind.SERVER, parent=parent) if spans.are_recorded() else None
    traceparent = (parent or tracing.new()) if span is None else span.traceparent
    trace_id = tracing.id_of(traceparent)
    # A new trace has one request, so that their ids can be the same.
    request_id = scope["request_id"] = given or (trace_id if parent is None else os.urandom(16).hex())
    tracing.begin(traceparent)
    structlog.contextvars.bind_contextvars(request_id=request_id, trace_id=trace_id)
    return Begun(origin.begin(sender=_sender(scope), request_id=request_id, traceparent=traceparent), at, span)


def _sender(scope: Scope) -> str | None:
    """The client's address. A proxy that is trusted may still pass on any text that a client sent."""
    client = scope.get("client")
    if not client:
        return None
    return _address(client[0])


@lru_cache(1024)
def _address(text: str) -> str:
    return text if ADDRESS.fullmatch(text) else MALFORMED


def _given(scope: Scope) -> tuple[str | None, list[str]]:
    """The client's own id of the request if it is well-formed, to join both sides' logs; and the traces it names."""
    given, traceparents = None, []
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            given = given or (text if SANE_REQUEST_ID.fullmatch(text) else None)
        elif name == b"traceparent":
            traceparents.append(value.decode("latin-1"))
    return given, traceparents


def _internal_error(scope: Scope) -> ASGIApp:
    return problem(
        Request(scope),
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "An unexpected error occurred. The service's log has the details under this request's id.",
        code=ErrorCode.INTERNAL,
    )


def _escaped(byte: re.Match[bytes]) -> bytes:
    """A byte of a query as it should have come (RFC 3986, section 2.1). Starlette takes raw ones for UTF-8."""
    return b"%%%02X" % byte[0][0]
