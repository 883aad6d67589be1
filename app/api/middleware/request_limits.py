"""Limits how many requests a user, an API key or a sender may make, and tells each client where it stands.

The headers are those of the IETF's draft "RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers).
"""

import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil

import structlog
from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.capacity import is_urgent
from app.api.errors import problem
from app.api.middleware.reach import is_probe
from app.core.errors import NotAuthenticated
from app.core.request_limits import WINDOW_SECONDS, Counter, Quota, Standing
from app.core.sender import network_of
from app.core.settings.limits import LimitSettings
from app.core.vocabulary import ErrorCode

log = structlog.get_logger()

BEARER = b"bearer "
JWT = b"eyJ"  # how every access token begins: `{"` in base64
CALLBACKS = "/v1/notifications/callbacks/"  # a provider reports once, and each report is signed
TOO_MANY = "Too many requests. Slow down, and try again after the time in Retry-After."


@dataclass(frozen=True, slots=True)
class Quotas:
    """The quota of each kind of client."""

    user: Quota
    api_key: Quota
    sender: Quota

    @classmethod
    def of(cls, settings: LimitSettings) -> "Quotas":
        return cls(
            Quota("user", settings.rate_limit_per_user),
            Quota("api-key", settings.rate_limit_per_api_key),
            Quota("sender", settings.rate_limit_per_sender),
        )


class RequestLimits:
    """Answers 429 to a client that makes too many requests.

    Alerts, providers' reports, the link in a page, health checks and metrics are never limited: what guards them is
    the secret that they carry.
    """

    def __init__(self, app: ASGIApp, *, quotas: Quotas, counter: Counter) -> None:
        self.app = app
        self._quotas = quotas
        self._counter = counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_exempt(scope):
            await self.app(scope, receive, send)
            return
        standing = await self._tightest(self._clients(scope))
        if standing is None:
            await self.app(scope, receive, send)
            return
        headers = _headers(standing)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        app = _refusal(scope, standing) if standing.is_exceeded else self.app
        await app(scope, receive, send_with_headers)

    async def _tightest(self, clients: list[tuple[Quota, str]]) -> Standing | None:
        """Count the request for each of these, up to the first whose quota is exceeded. The one with the least left."""
        tightest: Standing | None = None
        for quota, key in clients:
            if quota.requests == 0:
                continue
            made, seconds = await self._counter.add(f"{quota.name}:{key}")
            standing = Standing(quota, made, min(max(1, ceil(seconds)), WINDOW_SECONDS))  # a sum may be rounded up
            if tightest is None or standing.remaining < tightest.remaining:
                tightest = standing
            if standing.is_exceeded:
                break
        return tightest

    def _clients(self, scope: Scope) -> list[tuple[Quota, str]]:
        """Whom a request is counted for: its user. Without a valid access token its sender, and the token it has."""
        client = scope.get("client")
        sender = (self._quotas.sender, network_of(client[0] if client else None))
        token = _token(scope)
        if token is None:
            return [sender]
        if not token.startswith(JWT):
            return [sender, (self._quotas.api_key, hashlib.sha256(token).hexdigest())]
        try:
            claims = scope["app"].state.services.auth.tokens.read(token.decode("latin-1"))
        except NotAuthenticated:
            return [sender]
        return [(self._quotas.user, str(claims.user_id))]


def _is_exempt(scope: Scope) -> bool:
    return is_urgent(scope) or is_probe(scope["path"]) or scope["path"].startswith(CALLBACKS)


def _token(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"authorization" and value[: len(BEARER)].lower() == BEARER:
            token: bytes = value[len(BEARER) :].strip()
            return token
    return None


def _headers(standing: Standing) -> list[tuple[bytes, bytes]]:
    quota = standing.quota
    policy = f'"{quota.name}";q={quota.requests};w={WINDOW_SECONDS}'
    now = f'"{quota.name}";r={standing.remaining};t={standing.seconds_left}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", now.encode())]


def _refusal(scope: Scope, standing: Standing) -> ASGIApp:
    if standing.made == standing.quota.requests + 1:  # once in a window
        log.warning("requests_limited", limit=standing.quota.name, requests=standing.quota.requests)
    headers = {"Retry-After": str(standing.seconds_left)}
    status, code = HTTPStatus.TOO_MANY_REQUESTS, ErrorCode.TOO_MANY_REQUESTS
    return problem(Request(scope), status, TOO_MANY, code=code, headers=headers)
