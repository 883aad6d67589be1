"""What the service logs, as it logs it."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.core.config import Settings
from app.core.logging import configure_logging
from app.core.vocabulary import Environment, LogLevel


@contextmanager
def captured() -> Iterator[io.StringIO]:
    """The lines that the service logs within, in the form that was configured last, from warnings up at least."""
    root = logging.getLogger()
    [handler] = [handler for handler in root.handlers if type(handler) is logging.StreamHandler]
    level = root.level
    root.setLevel(min(level, logging.WARNING))  # another test may have configured less
    lines = io.StringIO()
    before = handler.setStream(lines)
    handler.addFilter(_is_the_services_own)
    try:
        yield lines
    finally:
        root.setLevel(level)
        handler.removeFilter(_is_the_services_own)
        if before is not None:
            handler.setStream(before)


def _is_the_services_own(record: logging.LogRecord) -> bool:
    return record.name != "httpx2"  # the test's client


@contextmanager
def configured(settings: Settings, level: LogLevel) -> Iterator[io.StringIO]:
    """The lines of a process in production that starts with this level. Afterwards all is as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure_logging(settings.model_copy(update={"environment": Environment.PRODUCTION, "log_level": level}))
    lines = io.StringIO()
    [handler] = [handler for handler in root.handlers if type(handler) is logging.StreamHandler]
    handler.setStream(lines)
    yield lines
    configure_logging(settings)
    root.handlers[:] = before[0]
    root.setLevel(before[1])


def events(lines: io.StringIO) -> list[dict[str, Any]]:
    """The lines of a production log."""
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def root_level() -> str:
    """The level that is in force in this process."""
    return logging.getLevelName(logging.getLogger().level)
