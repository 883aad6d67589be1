"""Tells somebody outside that all is well, so that they alarm when this falls silent."""

from collections.abc import Callable
from functools import partial

import requests
import structlog

log = structlog.get_logger()

TIMEOUT_SECONDS = 10


def ping_of(url: str | None) -> Callable[[], None] | None:
    """What asks for the operator's URL, if there is one."""
    return partial(ping, url) if url else None


def ping(url: str) -> None:
    """Ask for a URL. That it does not answer is logged; it is not ours to mend."""
    try:
        answer = requests.get(url, timeout=TIMEOUT_SECONDS)
        log.info("dead_man_pinged", status_code=answer.status_code)
    except requests.RequestException as error:
        log.warning("dead_man_not_pinged", reason=type(error).__name__)
