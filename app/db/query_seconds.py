"""Measures how long each statement takes, from sending it to its answer, for the metrics and for traces."""

from time import perf_counter
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from app.core import metrics, spans, tracing
from app.core.spans import Attributes, Kind
from app.db import budget, trace_comments

SHOWN = 2_000  # characters of a statement
UNKNOWN = "unknown"
observe = metrics.QUERY_SECONDS.of().observe


def install(engine: Engine) -> None:
    """Measure this engine's statements, also those that fail or time out."""
    event.listen(engine, "before_cursor_execute", _before)
    event.listen(engine, "after_cursor_execute", _after)
    event.listen(engine, "handle_error", _failed)


def _before(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    if context is not None:  # SQLAlchemy's own first statements have none
        context.began_at = perf_counter()


def _after(_connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    if context is not None:
        seconds = perf_counter() - context.began_at
        context.began_at = None
        observe(seconds)
        if spans.are_recorded():
            _record(statement, seconds, {})


def _failed(error: ExceptionContext) -> None:
    began_at = getattr(error.execution_context, "began_at", None)
    if began_at is not None:  # it was sent, and has not been measured
        seconds = perf_counter() - began_at
        observe(seconds)
        if spans.are_recorded():
            _record(error.statement or "", seconds, {"error.type": type(error.original_exception).__name__})


def _record(statement: str, seconds: float, outcome: Attributes) -> None:
    """A span for the statement, if it belongs to a trace. Its text has no values: those are sent beside it."""
    parent = tracing.current()
    if parent is not None:
        text = budget.without_limit(statement).partition(trace_comments.START)[0]
        operation = (text.split(maxsplit=1) or [UNKNOWN])[0].upper()
        about = {"db.system.name": "postgresql", "db.operation.name": operation, "db.query.text": text[:SHOWN]}
        spans.done(operation, Kind.CLIENT, {**about, **outcome}, parent=parent, seconds=seconds)
