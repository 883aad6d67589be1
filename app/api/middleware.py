"""What happens around every request. Plain ASGI: no thread, no copy of the body."""

import re
import time
from http import HTTPStatus
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import CODES, problem

log = structlog.get_logger()

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
STRICT_CSP = "default-src 'none'; frame-ancestors 'none'"
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
HSTS = "max-age=31536000; includeSubDomains"
QUIET_PATHS = {"/health"}


class TrailingSlash:
    """`/v1/incidents/` is `/v1/incidents`: a redirect would drop the Authorization header in many clients."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1/") and scope["path"].endswith("/"):
            scope = {**scope, "path": scope["path"].rstrip("/")}
        await self.app(scope, receive, send)


class BodyTooLarge(Exception):
    """More came than a body may have."""


class BodyLimit:
    """Refuses a body over the limit: unread if its length is told, otherwise as soon as it passes the limit."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received = 0

        async def receive_some() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body") or b"")
            self._require_allowed(received)
            return message

        told = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        try:
            self._require_allowed(int(told) if told.isdecimal() else 0)
            await self.app(scope, receive_some, send)
        except BodyTooLarge:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            detail = f"The body is over {self.max_bytes} bytes."
            answer = problem(Request(scope), status, detail, code=CODES[status])
            await answer(scope, receive, send)

    def _require_allowed(self, size: int) -> None:
        if size > self.max_bytes:
            raise BodyTooLarge


class RequestContext:
    """Gives every request an id that is on its log lines and in its answer, and answers for what nobody caught."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope["request_id"] = request_id
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._answer(scope, receive, send, request_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        started = time.monotonic()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            log.info("client_disconnected", method=scope["method"], path=_printable(scope["path"]))
            return
        except Exception:
            log.exception("request_failed", method=scope["method"], path=_printable(scope["path"]))
            if status:  # the answer has begun: all that is left is to break it off
                raise
            answer = problem(Request(scope), HTTPStatus.INTERNAL_SERVER_ERROR, "Something broke.", code="internal")
            await answer(scope, receive, send_with_id)
        if scope["path"] not in QUIET_PATHS:
            milliseconds = round((time.monotonic() - started) * 1000, 1)
            path = _printable(scope["path"])
            log.info("request_finished", method=scope["method"], path=path, status=status, ms=milliseconds)


class SecurityHeaders:
    """Headers that tell a browser to trust nothing. A page that needs more sets its own policy."""

    def __init__(self, app: ASGIApp, *, is_production: bool) -> None:
        self.app = app
        self.headers = SECURITY_HEADERS | ({"Strict-Transport-Security": HSTS} if is_production else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", STRICT_CSP)
                if scope["path"].startswith("/v1/"):
                    headers.setdefault("Cache-Control", "no-store")
                for name, value in self.headers.items():
                    headers[name] = value
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def _request_id(headers: Headers) -> str:
    """The client's own id if it is a sane one, so that both sides' logs can be joined."""
    given = headers.get("x-request-id", "")
    return given if SANE_REQUEST_ID.fullmatch(given) else uuid4().hex


def _printable(path: str) -> str:
    """A path in a log: without the address that password recovery has in it, and the token of a page's link."""
    path = re.sub(r"(/password-recovery/).+", r"\1-", path, flags=re.DOTALL)
    return re.sub(r"^/p/.*?(/acknowledge|/snooze|/escalate)?$", r"/p/-\1", path, flags=re.DOTALL)
