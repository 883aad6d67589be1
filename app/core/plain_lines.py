"""Writes events that are as frequent as requests, in the same place and form as every other event.

structlog's processors would take longer than the framework takes for the whole request.
"""

import json
import logging
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

from structlog.contextvars import get_contextvars

UNPLAIN = frozenset(" \t=\r\n\"'")  # structlog quotes a text with one of them
_form = {"is_json": False}
_NO_LOCK = nullcontext()


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
        if not happened or not self._logger.isEnabledFor(logging.INFO):
            return
        context = get_contextvars()
        shown = self._as_json if _form["is_json"] else self._as_text
        lines = "".join([shown(event, context | fields) for fields in happened])
        for handler in logging.getLogger().handlers:
            if type(handler) is logging.StreamHandler:  # ours; other handlers want records
                with handler.lock or _NO_LOCK:
                    handler.stream.write(lines)
                    handler.flush()

    def _as_json(self, event: str, fields: dict[str, Any]) -> str:
        head = {"event": event, "logger": self._logger.name, "level": "info", "timestamp": _timestamp()}
        return json.dumps(fields | head) + "\n"

    def _as_text(self, event: str, fields: dict[str, Any]) -> str:
        said = " ".join([f"{name}={_shown(value)}" for name, value in sorted(fields.items())])
        return f"{_timestamp()} [info     ] {event:<30} [{self._logger.name}] {said}\n"


def _timestamp() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _shown(value: Any) -> str:
    if isinstance(value, str) and value.isprintable() and UNPLAIN.isdisjoint(value):
        return str(value)
    return repr(value)
