"""The id of a request, its line in the log, and the answer when nothing else answers."""

import re
import time
from http import HTTPStatus
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import problem

log = structlog.get_logger()

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
QUIET_PATHS = {"/health"}


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


def _request_id(headers: Headers) -> str:
    """The client's own id if it is a sane one, so that both sides' logs can be joined."""
    given = headers.get("x-request-id", "")
    return given if SANE_REQUEST_ID.fullmatch(given) else uuid4().hex


def _printable(path: str) -> str:
    """A path in a log: without the address that password recovery has in it, and the token of a page's link."""
    path = re.sub(r"(/password-recovery/).+", r"\1-", path, flags=re.DOTALL)
    return re.sub(r"^/p/.*?(/acknowledge|/snooze|/escalate)?$", r"/p/-\1", path, flags=re.DOTALL)
