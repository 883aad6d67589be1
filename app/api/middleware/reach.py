"""Refuses requests that must not come in this way: by plain HTTP, or for a host name that is not ours."""

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

import structlog
from fastapi import Request
from fastapi.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import problem
from app.core.vocabulary import ErrorCode

log = structlog.get_logger()

API = "/v1/"
PROBES, METRICS = "/health", "/metrics"  # asked by address, from within: never refused here
# RFC 9110, section 7.2. A dot may end a name.
HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\s:\[\]]+?)\.?)(?::\d*)?")
MAX_LOGGED_HOST = 255  # characters of a name (RFC 1035, section 2.3.4)
PLAIN_HTTP = (
    "Plain HTTP is refused here. Send the request by HTTPS. If it came by HTTPS through a proxy, the operator must "
    "name that proxy in TRUSTED_PROXIES."
)
NO_HOST = "The request must have exactly one Host header, with a host name."
OTHER_HOST = (
    "This service does not answer for this host name. Use the address in PUBLIC_URL, or ask the operator to add the "
    "name to ALLOWED_HOSTS."
)


def is_probe(path: str) -> bool:
    """True for the health checks and the metrics."""
    return path.startswith(PROBES) or path.rstrip("/") == METRICS


class HttpsOnly:
    """Lets HTTPS in. Redirects pages to HTTPS and refuses the API: its clients would repeat their secrets.

    The scheme is the connection's own, or what a trusted proxy said (`X-Forwarded-Proto`).
    """

    def __init__(self, app: ASGIApp, *, public_url: str) -> None:
        self.app = app
        self._base = "https://" + public_url.partition("://")[2].rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["scheme"] == "https" or is_probe(scope["path"]):
            await self.app(scope, receive, send)
            return
        if f"{scope['path']}/".startswith(API):
            log.warning("plain_http_refused")
            await _refuse(scope, HTTPStatus.FORBIDDEN, PLAIN_HTTP, ErrorCode.HTTPS_REQUIRED)(scope, receive, send)
            return
        await RedirectResponse(self._target(scope), HTTPStatus.PERMANENT_REDIRECT)(scope, receive, send)

    def _target(self, scope: Scope) -> str:
        query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
        return f"{self._base}{scope['raw_path'].decode('latin-1')}{query}"


class AllowedHosts:
    """Lets requests in whose Host header names this service. `*.example.com` stands for all names below example.com."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str]) -> None:
        self.app = app
        listed = set(hosts)
        self._below = tuple(host.removeprefix("*") for host in listed if host.startswith("*."))
        self._names = frozenset(listed)
        self._is_ours = lru_cache(maxsize=1024)(self._is_listed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_probe(scope["path"]):
            await self.app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == b"host"]
        if len(given) == 1 and self._is_ours(given[0]):
            await self.app(scope, receive, send)
            return
        if len(given) != 1 or not given[0]:
            await _refuse(scope, HTTPStatus.BAD_REQUEST, NO_HOST, ErrorCode.BAD_REQUEST)(scope, receive, send)
            return
        cure = "add it to ALLOWED_HOSTS, or let the proxy pass on the Host header it receives"
        log.warning("host_refused", host=given[0].decode("latin-1")[:MAX_LOGGED_HOST], cure=cure)
        status = HTTPStatus.MISDIRECTED_REQUEST
        await _refuse(scope, status, OTHER_HOST, ErrorCode.HOST_NOT_SERVED)(scope, receive, send)

    def _is_listed(self, given: bytes) -> bool:
        found = HOST.fullmatch(given.decode("latin-1").lower())
        if found is None:
            return False
        name = found["address"] or found["name"]
        return name in self._names or (bool(self._below) and name.endswith(self._below))


def _refuse(scope: Scope, status: HTTPStatus, said: str, code: ErrorCode) -> ASGIApp:
    return problem(Request(scope), status, said, code=code)
