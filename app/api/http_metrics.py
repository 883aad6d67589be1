"""Counts requests by route, method and status, and what their status says about alerts and secrets.

The labels come from the routes of the application: any other address counts as `unmatched`, any other method or status
as `other`. A request that the middleware refuses counts for its route, too. All series are looked up here once, so that
a request costs a microsecond.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers
from starlette.types import Scope

from app.api.route_table import template_of, was_routed
from app.core import api_key, metrics
from app.core.instruments import OTHER, Count, Spread

UNMATCHED = "unmatched"
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
CLIENT_LEFT = 499  # as NGINX logs it
STATUSES = (
    200, 201, 204, 304, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 421, 422, 429, 431, CLIENT_LEFT, 500, 503
)  # fmt: skip
ALWAYS_SHOWN = frozenset({500, 503})

ALERTS = "/v1/alerts/"
PAGE_ACTS = ("", "/acknowledge", "/snooze", "/escalate", "/resolve", "/comment")
PAGE_LINK = "/p/{token}"
# By route: which status refuses a secret, and of which kind. All other routes want an access token or an API key.
SECRETS: dict[str, dict[int, str]] = {
    "/v1/auth/login/access-token": {401: "password"},
    "/v1/auth/login/refresh-token": {401: "refresh_token"},
    "/v1/auth/logout": {401: "refresh_token"},
    "/v1/auth/reset-password": {400: "reset_token"},
    "/v1/notifications/callbacks/twilio": {403: "callback"},
    "/metrics": {401: "metrics_token", 403: "metrics_token"},
    **{f"{PAGE_LINK}{act}": {404: "page_link"} for act in PAGE_ACTS},
}
# What becomes of alerts whose post gets this status. Those that were taken in are counted by their own outcomes; so are
# those that were too large (413), which open an incident, unless the middleware refused them.
ALERTS_LOST = {401: metrics.REFUSED, 429: metrics.REFUSED} | dict.fromkeys(
    (400, 403, 408, 409, 415, 421, 422, 431, CLIENT_LEFT, 500, 503), metrics.ERROR
)


@dataclass(frozen=True, slots=True)
class RouteSeries:
    """What the requests of one route and method count."""

    by_status: Mapping[int, Count]
    other: Count
    seconds: Spread
    also: Mapping[int, tuple[Count, ...]] = field(default_factory=dict)
    lost: Mapping[int, Count] = field(default_factory=dict)  # beside those that the middleware refuses
    taken_in: Spread | None = None
    wants_bearer: bool = False

    def count(self, status: int, seconds: float) -> None:
        """Count the answer of a route."""
        self._count(status, seconds)
        for one in self.also.get(status, ()):
            one.add()
        if self.taken_in is not None and status < 300:
            self.taken_in.observe(seconds)

    def refuse(self, status: int, seconds: float) -> None:
        """Count an answer of the middleware: it saw no secret, and no alert was taken in."""
        self._count(status, seconds)
        if status in self.lost:
            self.lost[status].add()

    def _count(self, status: int, seconds: float) -> None:
        self.by_status.get(status, self.other).add()
        self.seconds.observe(seconds)


class HttpMeter:
    """Counts the requests of an application."""

    def __init__(self) -> None:
        self._by_route: dict[tuple[str | None, str], RouteSeries] = {}
        self._unmatched = {
            method: _counts(UNMATCHED, method, {404, 405, *ALWAYS_SHOWN}) for method in (*METHODS, OTHER)
        }

    def add(self, route: RouteContext) -> None:
        """Count the requests of a route by themselves."""
        expected = {route.status_code or 200, *(int(status) for status in route.responses if str(status).isdecimal())}
        for method in sorted(route.methods or ()):
            self._by_route[str(route.path), method] = _series(str(route.path), method, expected)
        if (str(route.path), OTHER) not in self._by_route:
            self._by_route[str(route.path), OTHER] = _counts(str(route.path), OTHER, ())

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count the answer to a request."""
        is_routed, method = was_routed(scope), scope["method"]
        template = template_of(scope)
        series = self._by_route.get((template, method)) or self._by_route.get((template, OTHER))
        if series is None:
            series = self._unmatched.get(method) or self._unmatched[OTHER]
        if is_routed:
            series.count(status, seconds)
            if status == HTTPStatus.UNAUTHORIZED and series.wants_bearer:
                metrics.AUTH_FAILURES.of(_kind_of_bearer(scope)).add()
        else:
            series.refuse(status, seconds)


def meter_of(app: FastAPI) -> HttpMeter:
    """The meter of an application that has all of its routes."""
    meter = HttpMeter()
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute):
            meter.add(route)
    return meter


def _series(route: str, method: str, expected: Iterable[int]) -> RouteSeries:
    """The series of a route and a method that it has."""
    counts = _counts(route, method, {*expected, *ALWAYS_SHOWN})
    also = {status: tuple(_also(route, status)) for status in STATUSES}
    also = {status: these for status, these in also.items() if these}
    if not route.startswith(ALERTS):
        return replace(counts, also=also, wants_bearer=route not in SECRETS)
    error = metrics.ALERTS_RECEIVED.of(route.removeprefix(ALERTS), metrics.ERROR)
    lost = {status: error for status in STATUSES if status >= HTTPStatus.BAD_REQUEST}
    return replace(counts, also=also, lost=lost, taken_in=metrics.INGEST_SECONDS.one())


def _counts(route: str, method: str, shown: Collection[int]) -> RouteSeries:
    """The series of the answers alone. A status that is not `shown` from the start is shown once it occurs."""
    requests = metrics.HTTP_REQUESTS
    counts = {
        status: (requests.one if status in shown else requests.shy)(route, method, str(status)) for status in STATUSES
    }
    return RouteSeries(counts, requests.shy(route, method, OTHER), metrics.HTTP_SECONDS.one(route))


def _also(route: str, status: int) -> Iterator[Count]:
    """What an answer with this status counts beside the request."""
    if route.startswith(ALERTS):
        outcome = ALERTS_LOST.get(status)
        if outcome is not None:
            yield metrics.ALERTS_RECEIVED.of(route.removeprefix(ALERTS), outcome)
        if status == 401:
            yield metrics.AUTH_FAILURES.of("webhook_token")
    elif status in SECRETS.get(route, ()):
        yield metrics.AUTH_FAILURES.of(SECRETS[route][status])


def _kind_of_bearer(scope: Scope) -> str:
    """What a refused request should have shown: an API key if it claims to have one, else an access token."""
    _, token = get_authorization_scheme_param(Headers(scope=scope).get("authorization"))
    return "api_key" if api_key.is_one(token) else "access_token"
