"""Reads JSON strictly: what the client sent is what every reader sees."""

import json
from typing import Any

from fastapi import Request


class StrictlyParsed(Request):
    """A request whose JSON is read strictly: no NaN, and no nesting that Python cannot follow."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):  # whether it is too deep depends on the caller: it is parsed once
            try:
                self._json = json.loads(await self.body(), parse_constant=_refuse_constant)
            except (ValueError, RecursionError) as error:
                raise json.JSONDecodeError(str(error) or "nested too deeply", "", 0) from error
        return self._json


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
