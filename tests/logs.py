"""What the service logs, as it logs it."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def captured() -> Iterator[io.StringIO]:
    """The lines that the service logs within, in the form that was configured last."""
    [handler] = [handler for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler]
    lines = io.StringIO()
    before = handler.setStream(lines)
    handler.addFilter(_is_the_services_own)
    try:
        yield lines
    finally:
        handler.removeFilter(_is_the_services_own)
        if before is not None:
            handler.setStream(before)


def _is_the_services_own(record: logging.LogRecord) -> bool:
    return record.name != "httpx2"  # the test's client
