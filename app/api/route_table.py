"""Looks up the route of a request instead of trying one route after the other.

FastAPI matches a request against each route in turn, twice for each router around it. This table is made once from the
same routes. FastAPI handles what is not in it: another method, an unknown address, a mount, the lifespan.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.short_way import short_way_first

PARAMETER = "{"
# The key in the scope for the template of the request's route, such as /v1/users/{user_id}.
ROUTE_TEMPLATE = "route_template"


def was_routed(scope: Scope) -> bool:
    """True if a request got as far as its route: the middleware did not refuse it."""
    return ROUTE_TEMPLATE in scope or "route" in scope


def template_of(scope: Scope) -> str | None:
    """The template of a request's path, also if the middleware refused it or no route takes its method. Or None.

    A request that the table did not dispatch is looked up here, once.
    """
    if ROUTE_TEMPLATE not in scope:
        app = scope.get("app")
        table = app.router.middleware_stack if app is not None else None
        scope[ROUTE_TEMPLATE] = table.template(scope) if isinstance(table, RouteTable) else None
    template: str | None = scope[ROUTE_TEMPLATE]
    return template


@dataclass(frozen=True, slots=True)
class Target:
    """What answers the requests of a route, and what the scope says of the route."""

    app: ASGIApp
    said: Mapping[str, Any]

    @classmethod
    def of(cls, route: RouteContext) -> "Target":
        said = {"endpoint": route.endpoint, "route": route.original_route, ROUTE_TEMPLATE: route.path}
        return cls(short_way_first(route), said)


@dataclass(frozen=True, slots=True)
class Entry:
    """The routes of one path template, by method."""

    pattern: re.Pattern[str]
    convertors: Mapping[str, Any]
    by_method: dict[str, RouteContext] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)

    def add(self, method: str, route: RouteContext) -> None:
        """Of two routes for the same method, the first counts."""
        if method not in self.by_method:
            self.by_method[method], self.targets[method] = route, Target.of(route)


class RouteTable:
    """Dispatches the requests it knows and leaves the others to the application's router."""

    def __init__(self, router: ASGIApp) -> None:
        self._router = router
        self._fixed: dict[str, Entry] = {}
        self._with_parameters: dict[tuple[int, str], list[Entry]] = {}
        self._open_ended: list[RouteContext] = []  # the router dispatches these

    def add(self, route: RouteContext) -> None:
        """Add one route. Of two for the same address and method, the first counts, as in FastAPI."""
        if _is_open_ended(route):
            self._open_ended.append(route)
            return
        entry = self._entry(route)
        for method in route.methods or ():
            entry.add(method, route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._find(scope["path"]) if scope["type"] == "http" and not scope.get("root_path") else None
        target = found[0].targets.get(scope["method"]) if found else None
        if found is None or target is None:
            await self._router(scope, receive, send)
            return
        scope["path_params"] = found[1]
        scope.update(target.said)
        await target.app(scope, receive, send)

    def template(self, scope: Scope) -> str | None:
        """The template of a request's path, with a trailing slash or without. Of several, one that takes its method."""
        path, method = scope["path"], scope["method"]
        found = self._find(path) or self._find(path.rstrip("/"))
        matching = list(found[0].by_method.values()) if found else []
        matching += [route for route in self._open_ended if route.path_regex.match(path)]
        matching.sort(key=lambda route: method not in (route.methods or ()))
        return str(matching[0].path) if matching else None

    def _find(self, path: str) -> tuple[Entry, dict[str, Any]] | None:
        """The entry of a path, and the path's parameters."""
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed, {}
        for entry in self._with_parameters.get(_key(path), ()):
            match = entry.pattern.match(path)
            if match is not None:
                return entry, {name: entry.convertors[name].convert(v) for name, v in match.groupdict().items()}
        return None

    def _entry(self, route: RouteContext) -> Entry:
        path = str(route.path)
        new = Entry(route.path_regex, route.param_convertors)
        if PARAMETER not in path:
            return self._fixed.setdefault(path, new)
        group = self._with_parameters.setdefault(_key(path), [])
        for entry in group:
            if entry.pattern == new.pattern:
                return entry
        group.append(new)
        return new


def _key(path: str) -> tuple[int, str]:
    """What all paths of a template share: the number of parts, and the first two."""
    parts = path.split("/", 3)
    return path.count("/"), "/".join(parts[:3])


def install(app: FastAPI) -> None:
    """Put a table of all routes in front of the application's router. Call it after adding all routes."""
    table = RouteTable(app.router.app)
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute):
            table.add(route)
    app.router.middleware_stack = table


def _is_open_ended(route: RouteContext) -> bool:
    """True if one of the first parts of the path is a parameter, or a parameter may span several parts."""
    path = str(route.path)
    return ":path}" in path or PARAMETER in "/".join(path.split("/", 3)[:3])
