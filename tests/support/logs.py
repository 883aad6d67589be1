"""What the service logs, as it logs it."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager


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
