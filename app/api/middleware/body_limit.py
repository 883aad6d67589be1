"""The largest body that a request may have."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import CODES, problem


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
