"""Pings a URL while paging is healthy, so that an outside service can alert when the pings stop."""

from collections.abc import Callable
from functools import partial

import requests
import structlog

log = structlog.get_logger()

TIMEOUT_SECONDS = 10


def ping_of(url: str | None) -> Callable[[], None] | None:
    """The function that pings the operator's URL, if one is set."""
    return partial(ping, url) if url else None


def ping(url: str) -> None:
    """Ping a URL. A failure is only logged."""
    try:
        answer = requests.get(url, timeout=TIMEOUT_SECONDS)
        log.info("dead_man_pinged", status_code=answer.status_code)
    except requests.RequestException as error:
        log.warning("dead_man_not_pinged", reason=type(error).__name__)
