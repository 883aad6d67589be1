"""Limits the size and the duration of request bodies, and the memory of all of them together."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic

import anyio
import structlog
from anyio import CancelScope
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import capacity
from app.api.errors import CODES, problem
from app.core.vocabulary import ErrorCode

log = structlog.get_logger()

FORM_PATH, MAX_FORM_BYTES = "/p/", 16 * 1024  # the link in a page: anybody may post to it
ALERTS_PATH = "/v1/alerts/"  # the webhooks limit their bodies themselves, once the sender has shown its secret
KEPT_PART = 4  # a quarter of the memory is reserved for urgent requests
HANG_UP = {"Connection": "close"}


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What one body may take, and all of them together. After `stalled_seconds` one may give way to another."""

    max_bytes: int
    total_bytes: int
    seconds: float = 60.0
    stalled_seconds: float = 1.0


class BodyRefused(Exception):
    """The body will not be read any further."""

    def __init__(self, status: HTTPStatus, code: ErrorCode, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.headers = status, code, headers or {}

    def copy(self) -> "BodyRefused":
        return BodyRefused(self.status, self.code, str(self), self.headers)


def too_large(max_bytes: int) -> BodyRefused:
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return BodyRefused(status, CODES[status], f"The body is over {max_bytes} bytes.")


def overloaded() -> BodyRefused:
    detail = "Too many requests are under way. Try again in a second."
    return BodyRefused(HTTPStatus.SERVICE_UNAVAILABLE, ErrorCode.OVERLOADED, detail, {"Retry-After": "1", **HANG_UP})


def too_slow(seconds: float) -> BodyRefused:
    detail = f"The body did not arrive within {seconds:g} s. Send it again."
    return BodyRefused(HTTPStatus.REQUEST_TIMEOUT, ErrorCode.REQUEST_TIMEOUT, detail, HANG_UP)


@dataclass(eq=False)
class Body:
    """The body of one request under way: how much of it has arrived, and since when more is awaited."""

    is_urgent: bool
    began_at: float
    size: int = 0
    is_whole: bool = False
    has_given_way: bool = False
    waits_in: CancelScope | None = None


@dataclass
class Bodies:
    """The bodies under way in this process, oldest first, and the memory that they may use together.

    When the memory is used up, a stalled body is dropped. So clients that start bodies and never finish them cannot
    keep out those that send whole ones.
    """

    limits: BodyLimits
    clock: Callable[[], float] = monotonic
    used: int = 0
    under_way: dict[Body, None] = field(default_factory=dict)

    def begin(self, *, is_urgent: bool) -> Body:
        body = Body(is_urgent, self.clock())
        self.under_way[body] = None
        return body

    def end(self, body: Body) -> None:
        if body in self.under_way:
            del self.under_way[body]
            self.used -= body.size

    def grow(self, body: Body, size: int) -> None:
        """Account for a piece. Raises BodyRefused if there is no room for it."""
        total = self.limits.total_bytes
        room = total if body.is_urgent else total - total // KEPT_PART
        while self.used + size > room:
            stalled = self._stalled(body)
            if stalled is None:
                raise overloaded()
            self._end_early(stalled)
        self.used += size
        body.size += size

    def _stalled(self, body: Body) -> Body | None:
        latest = self.clock() - self.limits.stalled_seconds
        candidates = (b for b in self.under_way if b is not body and not b.is_whole and b.size)
        return next((b for b in candidates if b.began_at <= latest and (body.is_urgent or not b.is_urgent)), None)

    def _end_early(self, body: Body) -> None:
        self.end(body)
        body.has_given_way = True
        if body.waits_in is not None:
            body.waits_in.cancel()


class BodyLimit:
    """Refuses a body over the limit: unread if its length is told, otherwise as soon as it passes the limit.

    One that takes too long is given up, and all of them together keep to their limit.
    """

    def __init__(self, app: ASGIApp, *, limits: BodyLimits) -> None:
        self.app = app
        self.limits = limits
        self.bodies = Bodies(limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        capacity.mark(scope)
        if not _has_body(scope):
            await self.app(scope, receive, send)
            return
        body = self.bodies.begin(is_urgent=capacity.is_urgent(scope))
        try:
            await _Exchange(self, scope, body, receive, send).run()
        finally:
            self.bodies.end(body)

    def max_of(self, scope: Scope) -> int:
        """The size limit of this request's body in bytes."""
        if scope["path"].startswith(ALERTS_PATH):
            return sys.maxsize
        most = self.limits.max_bytes
        return min(most, MAX_FORM_BYTES) if scope["path"].startswith(FORM_PATH) else most


def _has_body(scope: Scope) -> bool:
    """True if the head announces a body (RFC 9112, section 6.3)."""
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            return True
    return False


class _Exchange:
    """One request. Once its body is refused, the answer says so, whatever the application answers."""

    def __init__(self, limit: BodyLimit, scope: Scope, body: Body, receive: Receive, send: Send) -> None:
        self._limit, self._scope, self._body = limit, scope, body
        self._receive, self._send = receive, send
        self._max_bytes = limit.max_of(scope)
        self._deadline = anyio.current_time() + limit.limits.seconds
        self._refused: BodyRefused | None = None
        self._has_begun = False

    async def run(self) -> None:
        told = Headers(scope=self._scope).get("content-length", "")
        try:
            self._require_allowed(int(told) if told.isdecimal() else 0)
            await self._limit.app(self._scope, self.receive, self.send)
        except BodyRefused as refused:
            self._refused = refused.copy()
        if self._refused is not None and not self._has_begun:
            await self._answer(self._refused)

    async def receive(self) -> Message:
        if self._body.is_whole:
            return await self._receive()  # wait for the client to hang up until the answer is complete
        try:
            message = await self._receive_piece()
            self._require_allowed(self._body.size + len(message.get("body") or b""))
            self._limit.bodies.grow(self._body, len(message.get("body") or b""))
        except BodyRefused as refused:
            # A copy: the traceback of the raised one would keep the received body in memory.
            self._refused = refused.copy()
            raise
        self._body.is_whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if self._refused is None or self._has_begun:
            self._has_begun = True
            await self._send(message)

    async def _receive_piece(self) -> Message:
        with CancelScope(deadline=self._deadline) as scope:
            self._body.waits_in = scope
            if self._body.has_given_way:
                scope.cancel()
            message = await self._receive()
        self._body.waits_in = None
        if self._body.has_given_way:
            raise overloaded()
        if scope.cancelled_caught:
            raise too_slow(self._limit.limits.seconds)
        return message

    def _require_allowed(self, size: int) -> None:
        if size > self._max_bytes:
            raise too_large(self._max_bytes)

    async def _answer(self, refused: BodyRefused) -> None:
        if refused.status is not HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            log.warning("body_refused", code=refused.code, received=self._body.size)
        request = Request(self._scope)
        answer = problem(request, refused.status, str(refused), code=refused.code, headers=refused.headers)
        await answer(self._scope, self._receive, self._send)
