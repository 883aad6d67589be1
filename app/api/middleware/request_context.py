"""Gives a request its id, its trace and its line in the log, and answers unhandled errors."""

import os
import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import problem
from app.api.http_metrics import CLIENT_LEFT, UNMATCHED, HttpMeter
from app.api.route_table import template_of
from app.core import origin, spans, tracing
from app.core.origin import Origin
from app.core.plain_lines import PlainLines
from app.core.spans import Kind, Span
from app.core.vocabulary import ErrorCode

log = structlog.get_logger()
lines = PlainLines("app.requests")

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
RECOVERY = re.compile(r"(/password-recovery/).+", re.DOTALL)
PAGE_LINK = re.compile(r"^/p/.*?(/acknowledge|/snooze|/escalate|/resolve|/comment)?$", re.DOTALL)
RESET_LINK = "/reset-password/"
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
        begun = Begun.of(scope)
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
            log.exception("request_failed", method=scope["method"], path=_printable(scope["path"]))
            if status:  # the answer has started: all we can do is break it off
                self._end(scope, begun, HTTPStatus.INTERNAL_SERVER_ERROR)
                raise
            await _internal_error(scope)(scope, receive, send_with_id)
        self._end(scope, begun, status or CLIENT_LEFT)

    def _end(self, scope: Scope, begun: "Begun", status: int) -> None:
        """Count a request, log it, and end its span."""
        seconds = time.perf_counter() - begun.at
        self.meter.count(scope, status, seconds)
        is_quiet = status < HTTPStatus.BAD_REQUEST and scope["path"] in QUIET_PATHS
        if not is_quiet:
            event = "client_disconnected" if status == CLIENT_LEFT else "request_finished"
            lines.info(event, _about(scope, status, seconds) | self._asked(begun.by))
        if spans.are_recorded():
            _tell(begun.span, scope, status, self._asked(begun.by))
        begun.span.end()

    def _asked(self, by: Origin) -> dict[str, Any]:
        """Who sent the request, as far as that is known."""
        who: dict[str, Any] = {}
        if by.actor_id is not None:
            who["user_id"] = by.actor_id
        if by.api_key_id is not None:
            who["api_key_id"] = by.api_key_id
        if self.logs_senders:
            who["sender"] = by.sender
        return who


@dataclass(frozen=True, slots=True)
class Begun:
    """A request that has begun: by whom, when by the performance counter, and its span."""

    by: Origin
    at: float
    span: Span

    @classmethod
    def of(cls, scope: Scope) -> "Begun":
        """Give a request its id and its trace. Each request runs in its own context: nothing has to be unbound."""
        at = time.perf_counter()
        given, traceparents = _given(scope)
        if not scope["query_string"].isascii():
            scope["query_string"] = NOT_ASCII.sub(_escaped, scope["query_string"])
        request_id = scope["request_id"] = given or os.urandom(16).hex()
        span = spans.begin(scope["method"], Kind.SERVER, parent=tracing.read(traceparents))
        tracing.begin(span.traceparent)
        structlog.contextvars.bind_contextvars(request_id=request_id, trace_id=tracing.id_of(span.traceparent))
        client = scope.get("client")
        sender = client[0] if client else None
        by = origin.begin(sender=sender, request_id=request_id, traceparent=span.traceparent)
        return cls(by, at, span)


def _tell(span: Span, scope: Scope, status: int, who: dict[str, Any]) -> None:
    """Name a span as OpenTelemetry's conventions for HTTP servers do. Its path has no secrets, and it has no query."""
    route = template_of(scope) or UNMATCHED
    span.name(f"{scope['method']} {route}")
    span.tell(
        {
            "http.request.method": scope["method"],
            "http.route": route,
            "http.response.status_code": status,
            "url.scheme": scope.get("scheme"),
            "url.path": _printable(scope["path"]),
            "client.address": who.get("sender"),
            "user.id": str(who["user_id"]) if "user_id" in who else None,
            "ims.api_key_id": who.get("api_key_id"),
            "ims.request_id": scope["request_id"],
        }
    )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.fail(str(status))


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


def _about(scope: Scope, status: int, seconds: float) -> dict[str, Any]:
    return {
        "method": scope["method"],
        "path": _printable(scope["path"]),
        "route": template_of(scope) or UNMATCHED,
        "status": int(status),
        "ms": round(seconds * 1000, 1),
    }


def _printable(path: str) -> str:
    """A path for the log, without the tokens of links and without the address of a password reset."""
    if path.startswith("/p/"):
        return PAGE_LINK.sub(r"/p/-\1", path)
    if path.startswith(RESET_LINK):
        return f"{RESET_LINK}-"
    return RECOVERY.sub(r"\1-", path) if "/password-recovery/" in path else path
