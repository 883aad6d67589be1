"""Writes events that are as frequent as requests, in the same place and form as every other event.

structlog's processors would take longer than the framework takes for the whole request.
"""

import json
import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

from pydantic_core import PydanticSerializationError, to_json
from structlog.contextvars import get_contextvars

UNPLAIN = frozenset(" \t=\r\n\"'")  # structlog quotes a text with one of them
_form = {"is_json": False}
_NO_LOCK = nullcontext()
_newest_second = [(0, "")]  # in unix seconds, and its text


def configure(*, is_json: bool) -> None:
    """Write JSON from now on, or lines for people."""
    _form["is_json"] = is_json


class PlainLines:
    """Writes the lines of one logger."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, *happened: dict[str, Any]) -> None:
        """Write an event, with its fields, for each time it happened, if INFO is enabled.

        Fields are plain JSON values. Those that are bound to the context are added.
        """
        if happened and self._logger.isEnabledFor(logging.INFO):
            context = get_contextvars()
            self._write(event, [dict(sorted((context | fields).items())) for fields in happened])

    def info_whole(self, event: str, fields: dict[str, Any]) -> None:
        """As `info`, for fields by name that have all that is bound to the context: looking and sorting take time."""
        if self._logger.isEnabledFor(logging.INFO):
            self._write(event, [fields])

    def _write(self, event: str, happened: Sequence[dict[str, Any]]) -> None:
        shown = self._as_json if _form["is_json"] else self._as_text
        lines = "".join([shown(event, fields) for fields in happened])
        for handler in logging.getLogger().handlers:
            if type(handler) is logging.StreamHandler:  # ours; other handlers want records
                with handler.lock or _NO_LOCK:
                    handler.stream.write(lines)
                    handler.flush()

    def _as_json(self, event: str, fields: dict[str, Any]) -> str:
        head = {"event": event, "logger": self._logger.name, "level": "info", "timestamp": _timestamp()}
        return _json(fields | head) + "\n"

    def _as_text(self, event: str, fields: dict[str, Any]) -> str:
        said = " ".join([f"{name}={_shown(value)}" for name, value in fields.items()])
        return f"{_timestamp()} [info     ] {event:<30} [{self._logger.name}] {said}\n"


def _json(fields: dict[str, Any]) -> str:
    """In ASCII, as structlog writes it. The quick way takes no lone surrogates."""
    try:
        return to_json(fields, ensure_ascii=True).decode()
    except PydanticSerializationError:
        return json.dumps(fields)


def _timestamp() -> str:
    """The time as structlog writes it. The lines of one second share most of it."""
    second, microseconds = divmod(time.time_ns() // 1_000, 1_000_000)
    [(formed, text)] = _newest_second
    if formed != second:
        text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        _newest_second[0] = second, text
    return f"{text}.{microseconds:06d}Z"


def _shown(value: Any) -> str:
    if isinstance(value, str) and (value.isalnum() or (value.isprintable() and UNPLAIN.isdisjoint(value))):
        return str(value)
    return repr(value)
