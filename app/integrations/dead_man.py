"""Pings a URL while paging is healthy, so that an outside service can alert when the pings stop."""

from collections.abc import Callable
from functools import partial

import requests
import structlog

from app.core import metrics

log = structlog.get_logger()

TIMEOUT_SECONDS = 10


def ping_of(url: str | None) -> Callable[[], None] | None:
    """The function that pings the operator's URL, if one is set."""
    return partial(ping, url) if url else None


def ping(url: str) -> None:
    """Ping a URL. A failure is only logged and counted: missing pings are the alarm.

    An answer that is an error, such as 404 for a check that was deleted, is a failure.
    """
    try:
        answer = requests.get(url, timeout=TIMEOUT_SECONDS)
    except requests.RequestException as error:
        log.warning("dead_man_not_pinged", reason=type(error).__name__)
        metrics.DEAD_MAN_PINGS.of(metrics.FAILED).add()
        return
    if answer.ok:
        log.info("dead_man_pinged", status_code=answer.status_code)
    else:
        log.warning("dead_man_not_pinged", status_code=answer.status_code)
    metrics.DEAD_MAN_PINGS.of(metrics.ANSWERED if answer.ok else metrics.FAILED).add()
