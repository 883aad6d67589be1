"""Marks handlers whose answer never changes: it is rendered once, and sent to everybody."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from fastapi import Request, Response
from pydantic import BaseModel

from app.api.media_types import JSON
from app.api.short_way import Route, takes

Constantly = TypeVar("Constantly", bound=Callable[[], Awaitable[BaseModel]])


def constant(handler: Constantly) -> Constantly:
    """Mark a handler that takes nothing and needs nothing."""
    return takes(lambda route: Constant(route, handler))(handler)


@dataclass
class Constant:
    """The short way of a route with one answer."""

    route: Route
    handler: Callable[[], Awaitable[BaseModel]]
    _answer: Response | None = field(default=None, init=False)

    async def answer(self, _request: Request) -> Response:
        if self._answer is None:
            said = self.route.answer.validate_python(await self.handler())
            self._answer = Response(self.route.answer.dump_json(said), self.route.status, media_type=JSON)
        return self._answer
