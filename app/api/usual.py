"""Reads from usual requests what their handlers are given beside the user. All others take the ordinary way.

Nothing here says what is wrong with a request: the ordinary way does.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from app.api.media_types import JSON
from app.core.security import MAX_ID

Model = TypeVar("Model", bound=BaseModel)
Reader = Callable[[Request], Awaitable[Any]]


class Unusual(Exception):
    """The request takes the ordinary way."""


async def nothing(request: Request) -> None:
    """For a handler that is given its user only."""
    _require_usual(request)


def path_id(name: str) -> Reader:
    """For a handler that is given an id from its path."""

    async def read(request: Request) -> int:
        _require_usual(request)
        text = request.path_params[name]
        if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_ID)) and 0 < int(text) <= MAX_ID):
            raise Unusual
        return int(text)

    return read


def json_body(model: type[BaseModel]) -> Reader:
    """For a handler that is given a JSON body."""

    async def read(request: Request) -> BaseModel:
        _require_usual(request)
        if request.headers.get("content-type") != JSON:
            raise Unusual
        try:
            return model.model_validate(await request.json())
        except (json.JSONDecodeError, ValidationError) as error:
            raise Unusual from error

    return read


def path_id_and_body(name: str, model: type[BaseModel]) -> Callable[[Request], Awaitable[tuple[int, Any]]]:
    """For a handler that is given an id from its path, and a JSON body or none."""
    id_of, body_of = path_id(name), json_body(model)

    async def read(request: Request) -> tuple[int, Any]:
        id_ = await id_of(request)
        return id_, (await body_of(request) if await request.body() else None)

    return read


def query(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """For a handler that is given a query. Each parameter occurs once at most."""

    async def read(request: Request) -> Model:
        given = request.query_params.multi_items()
        values = dict(given)
        if len(values) < len(given):
            raise Unusual
        try:
            return model.model_validate(values)
        except ValidationError as error:
            raise Unusual from error

    return read


def _require_usual(request: Request) -> None:
    if request.scope["query_string"] or "idempotency-key" in request.headers:
        raise Unusual
