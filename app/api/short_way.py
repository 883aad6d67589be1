"""Lets the usual requests of a marked route pass by the framework's dispatch.

FastAPI's dispatch (two exit stacks, dependencies, validation of the answer) takes longer than all of our middleware. A
marked handler has a second way that answers its usual requests alone, and leaves all others to the framework.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from fastapi import Request, Response
from fastapi.routing import RouteContext
from pydantic import TypeAdapter
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.key_scopes import scope_for
from app.api.permission import RESPONDERS, Permission, permission_of
from app.api.strict_json import StrictlyParsed
from app.core.vocabulary import ApiKeyScope

Handler = TypeVar("Handler", bound=Callable[..., Any])

SHORT_WAY = "_short_way"
PARSED = "strictly_parsed"


@dataclass(frozen=True, slots=True)
class Route:
    """What a short way must know of its route."""

    name: str
    answer: TypeAdapter[Any]
    status: int
    permission: Permission
    key_scope: ApiKeyScope | None  # that an API key needs


class ShortWay(Protocol):
    """The way that a usual request takes."""

    async def answer(self, request: Request) -> Response | None:
        """The answer, or None for a request that takes the ordinary way. Raises the DomainError that refuses it."""
        ...


def takes(short_way: Callable[[Route], ShortWay]) -> Callable[[Handler], Handler]:
    """Let the usual requests of a handler take another way, which is made from the route."""

    def mark(handler: Handler) -> Handler:
        setattr(handler, SHORT_WAY, short_way)
        return handler

    return mark


def short_way_first(route: RouteContext) -> ASGIApp:
    """What answers the requests of a route: its short way, if its handler is marked with one, then the framework."""
    ordinary: ASGIApp = route.app
    endpoint: Any = route.endpoint
    make: Callable[[Route], ShortWay] | None = getattr(endpoint, SHORT_WAY, None)
    if make is None:
        return ordinary
    permission = permission_of(endpoint) or RESPONDERS
    [method] = route.methods or {""}
    key_scope = scope_for(method, str(route.path))
    short = make(
        Route(str(route.name), TypeAdapter(route.response_model), route.status_code or 200, permission, key_scope)
    )

    async def first_short(scope: Scope, receive: Receive, send: Send) -> None:
        request = StrictlyParsed(scope, receive)
        answer = await short.answer(request)
        if answer is not None:
            await answer(scope, receive, send)
            return
        scope[PARSED] = request  # its body has been read
        await ordinary(scope, receive, send)

    return first_short


def strictly_parsed(request: Request) -> StrictlyParsed:
    """The request as its short way left it, if it has one."""
    parsed: StrictlyParsed | None = request.scope.pop(PARSED, None)
    return parsed or StrictlyParsed(request.scope, request.receive)
