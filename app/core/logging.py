"""Structured logs: one constant event name with fields, a request id on every line, JSON in production."""

import logging
import logging.config
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from app.core import plain_lines
from app.core.config import Settings
from app.core.vocabulary import LogLevel

QUIET_LOGGERS = (
    "apscheduler",
    "alembic.runtime.plugins",
    "alembic.runtime.migration",
    "alembic.ddl.postgresql",
    "mail.log",
)

# They write URLs, and the path of a URL of Slack, Teams or ntfy is a secret; urllib3 does so up to WARNING. OAuth's
# write headers and tokens.
HTTP_LOGGERS = (
    *("urllib3", "requests", "httpx", "httpx2", "httpcore", "httpcore2", "hpack", "twilio"),
    *("oauthlib", "requests_oauthlib"),
)

# What a library may log at most, whatever the level is.
LEAST_LEVELS = {
    **dict.fromkeys(QUIET_LOGGERS, logging.WARNING),
    **dict.fromkeys(HTTP_LOGGERS, logging.ERROR),
    "sqlalchemy": logging.WARNING,  # it writes statements, and at DEBUG the rows that they return
    "opentelemetry": logging.CRITICAL,  # what it says of a failure has the path of the collector's URL
    "apprise": logging.CRITICAL,  # what it says of a failure names the address
    "apscheduler.scheduler": logging.ERROR,  # skipping a tick while the last one is still running is normal
    "uvicorn": logging.WARNING,
    "uvicorn.access": logging.CRITICAL,  # it would repeat every request, without its id, and with its query
}

SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]
# One list for all configurations: cached loggers keep the first one they got.
PROCESSORS = [structlog.stdlib.filter_by_level, *SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter]


def configure_logging(settings: Settings) -> None:
    """Send structlog and the standard library's loggers through one formatter to standard error."""
    structlog.configure(
        processors=PROCESSORS,
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(_dict_config(settings))
    set_level(settings.log_level)
    plain_lines.configure(is_json=settings.is_production)


def set_level(level: LogLevel) -> None:
    """Log from this level up, from now on, in this process. Libraries never log more than they may."""
    logging.getLogger().setLevel(level)
    least = logging.getLevelNamesMapping()[level]
    for name, own in LEAST_LEVELS.items():
        logging.getLogger(name).setLevel(max(own, least))


def _dict_config(settings: Settings) -> dict[str, Any]:
    # Tracebacks without local variables: those hold passwords, and a whole body takes minutes to print.
    tracebacks = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    renderer: list[Any] = (
        [tracebacks, structlog.processors.JSONRenderer()]
        if settings.is_production
        else [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    )
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        "foreign_pre_chain": SHARED,
    }
    handler = {"class": "logging.StreamHandler", "formatter": "structured"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"structured": formatter},
        "handlers": {"stderr": handler},
        "root": {"handlers": ["stderr"]},
        "loggers": {
            "uvicorn": {"handlers": [], "propagate": True},
            "uvicorn.access": {"handlers": [], "propagate": False},
        },
    }
