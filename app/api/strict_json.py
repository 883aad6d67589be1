"""Reads JSON strictly, so that every reader sees the value that the client sent."""

import json
from typing import Any

from fastapi import Request


class NotJson(ValueError):
    """Refuse a constant that Python accepts but JSON does not have."""


class StrictlyParsed(Request):
    """A request whose JSON is read strictly: no NaN, and no nesting too deep for Python."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):  # parsed once, because the depth limit depends on the caller's stack
            try:
                self._json = json.loads(await self.body(), parse_constant=_refuse_constant)
            except (ValueError, RecursionError) as error:
                raise json.JSONDecodeError(_reason(error), "", 0) from error
        return self._json


def _refuse_constant(name: str) -> Any:
    raise NotJson(f"{name} is not a JSON value")


def _reason(error: ValueError | RecursionError) -> str:
    match error:
        case RecursionError():
            return "it is nested too deeply"
        case UnicodeDecodeError():
            return "it is not UTF-8"
        case json.JSONDecodeError() | NotJson():
            return str(error)
        case _:  # https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
            return "a number has too many digits"
