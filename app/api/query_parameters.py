"""Refuses query parameters that a route does not declare: a misspelled filter must not return everything."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError

Handler = TypeVar("Handler", bound=Callable[..., Any])

ANY_QUERY = "x-takes-any-query"
API = "/v1/"
MAX_SHOWN, MAX_NAMED = 60, 10


def any_query(handler: Handler) -> Handler:
    """Mark a handler whose callers may add their own query parameters, such as a webhook."""
    setattr(handler, ANY_QUERY, True)
    return handler


def takes_any_query(handler: Callable[..., Any]) -> bool:
    """True if a handler is marked with `any_query`."""
    return getattr(handler, ANY_QUERY, False)


def declared_by(dependant: Dependant) -> tuple[str, ...]:
    """The query parameters of a route and of everything it depends on, in alphabetical order."""
    return tuple(sorted(set(_declared(dependant))))


def refusal_of(request: Request, declared: tuple[str, ...]) -> RequestValidationError | None:
    """The error for query parameters below /v1 that the route does not declare; None if there are none."""
    query = request.scope["query_string"]
    if not query or not request.scope["path"].startswith(API):
        return None
    given = dict.fromkeys(name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    unknown = [name for name in given if name not in declared]
    return RequestValidationError([_error(name, declared) for name in unknown[:MAX_NAMED]]) if unknown else None


def _declared(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for dependency in dependant.dependencies:
        yield from _declared(dependency)


def unknown_parameter(name: str, declared: Sequence[str]) -> str:
    """What is said of a parameter that is none of the declared ones."""
    *others, last = declared or ("",)
    use = f"Use {', '.join(others)} or {last}." if others else f"Use {last}." if last else "This route takes none."
    return f"The query parameter {_short(name)} is unknown. {use}"


def _error(name: str, declared: tuple[str, ...]) -> dict[str, Any]:
    said = unknown_parameter(name, declared)
    return {"type": "value_error", "loc": ("query", _short(name)), "msg": said, "input": None}


def _short(name: str) -> str:
    return name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…"
