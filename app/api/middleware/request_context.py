"""Gives a request its id and its line in the log, and answers unhandled errors."""

import os
import re
import time
from http import HTTPStatus

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import problem
from app.api.http_metrics import CLIENT_LEFT, HttpMeter
from app.core import origin
from app.core.plain_lines import PlainLines
from app.core.vocabulary import ErrorCode

log = structlog.get_logger()
lines = PlainLines("app.requests")

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
RECOVERY = re.compile(r"(/password-recovery/).+", re.DOTALL)
PAGE_LINK = re.compile(r"^/p/.*?(/acknowledge|/snooze|/escalate|/resolve|/comment)?$", re.DOTALL)
RESET_LINK = "/reset-password/"
QUIET_PATHS = {"/health", "/metrics"}
NOT_ASCII = re.compile(rb"[^\x00-\x7f]")


class RequestContext:
    """Gives every request an id, for its log lines and its answer, and answers exceptions that nobody caught.

    Counts every request in the metrics.
    """

    def __init__(self, app: ASGIApp, *, meter: HttpMeter | None = None) -> None:
        self.app = app
        self.meter = meter or HttpMeter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = scope["request_id"] = _request_id(scope)
        if not scope["query_string"].isascii():
            scope["query_string"] = NOT_ASCII.sub(_escaped, scope["query_string"])
        # Each request runs in its own context: nothing has to be unbound.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        client = scope.get("client")
        origin.begin(sender=client[0] if client else None, request_id=request_id)
        header = (b"x-request-id", request_id.encode())
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
            log.info("client_disconnected", method=scope["method"], path=_printable(scope["path"]))
            self.meter.count(scope, CLIENT_LEFT, time.perf_counter() - started)
            return
        except Exception:
            log.exception("request_failed", method=scope["method"], path=_printable(scope["path"]))
            if status:  # the answer has started: all we can do is break it off
                self.meter.count(scope, HTTPStatus.INTERNAL_SERVER_ERROR, time.perf_counter() - started)
                raise
            await _internal_error(scope)(scope, receive, send_with_id)
        seconds = time.perf_counter() - started
        self.meter.count(scope, status or CLIENT_LEFT, seconds)
        if scope["path"] not in QUIET_PATHS:
            _log(scope, status, seconds)


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


def _log(scope: Scope, status: int, seconds: float) -> None:
    fields = {
        "method": scope["method"],
        "path": _printable(scope["path"]),
        "status": status,
        "ms": round(seconds * 1000, 1),
        "request_id": scope["request_id"],
    }
    lines.info("request_finished", fields)


def _request_id(scope: Scope) -> str:
    """The client's own id if it is well-formed, so that both sides' logs can be joined."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and SANE_REQUEST_ID.fullmatch(given := value.decode("latin-1")):
            return str(given)
    return os.urandom(16).hex()


def _printable(path: str) -> str:
    """A path for the log, without the tokens of links and without the address of a password reset."""
    if path.startswith("/p/"):
        return PAGE_LINK.sub(r"/p/-\1", path)
    if path.startswith(RESET_LINK):
        return f"{RESET_LINK}-"
    return RECOVERY.sub(r"\1-", path) if "/password-recovery/" in path else path
