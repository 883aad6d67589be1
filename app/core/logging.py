"""Structured logs: one constant event name with fields, a request id on every line, JSON in production."""

import json
import logging
import logging.config
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from app.core.config import Settings

QUIET_LOGGERS = (
    "apscheduler",
    "alembic.runtime.plugins",
    "alembic.runtime.migration",
    "alembic.ddl.postgresql",
    "mail.log",
)

# They write URLs, and the path of a URL of Slack, Teams or ntfy is a secret; urllib3 does so up to WARNING.
HTTP_LOGGERS = ("urllib3", "requests", "httpx", "httpx2", "httpcore", "httpcore2", "hpack", "twilio")

SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]
# One list for all configurations: cached loggers keep the first one they got.
PROCESSORS = [*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter]


def configure_logging(settings: Settings) -> None:
    """Send structlog and the standard library's loggers through one formatter to standard error."""
    structlog.configure(
        processors=PROCESSORS,
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(_dict_config(settings))
    request_lines.configure(is_json=settings.is_production)


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
        "root": {"handlers": ["stderr"], "level": settings.log_level},
        "loggers": {
            **{name: {"level": "WARNING"} for name in QUIET_LOGGERS},
            **{name: {"level": "ERROR"} for name in HTTP_LOGGERS},
            "apprise": {"level": "CRITICAL"},  # what it says of a failure names the address
            # Skipping a tick while the last one is still running is normal.
            "apscheduler.scheduler": {"level": "ERROR"},
            # Uvicorn's access log would repeat every request, without its id.
            "uvicorn": {"handlers": [], "level": "WARNING", "propagate": True},
            "uvicorn.access": {"handlers": [], "level": "CRITICAL", "propagate": False},
        },
    }


class RequestLines:
    """Writes one line for each request, in the same place and form as every other event.

    structlog's processors would take longer than the framework takes for the whole request.
    """

    def __init__(self) -> None:
        self._is_json = False
        self._logger = logging.getLogger("app.requests")

    def configure(self, *, is_json: bool) -> None:
        """Write JSON, or lines for people."""
        self._is_json = is_json

    def write(self, event: str, fields: dict[str, Any]) -> None:
        """Write an event at level INFO if that is enabled. The fields are plain JSON values."""
        if not self._logger.isEnabledFor(logging.INFO):
            return
        line = self._as_json(event, fields) if self._is_json else self._as_text(event, fields)
        for handler in logging.getLogger().handlers:
            if type(handler) is logging.StreamHandler:  # ours; other handlers want records
                with handler.lock or _NO_LOCK:
                    handler.stream.write(line)
                    handler.flush()

    def _as_json(self, event: str, fields: dict[str, Any]) -> str:
        head = {"event": event, "logger": self._logger.name, "level": "info", "timestamp": _timestamp()}
        return json.dumps(fields | head) + "\n"

    def _as_text(self, event: str, fields: dict[str, Any]) -> str:
        said = " ".join(f"{name}={_shown(value)}" for name, value in sorted(fields.items()))
        return f"{_timestamp()} [info     ] {event:<30} [{self._logger.name}] {said}\n"


def _timestamp() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value.isidentifier() else repr(value)


_NO_LOCK = nullcontext()
request_lines = RequestLines()
