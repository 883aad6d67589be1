"""Measures how long each statement takes, from sending it to its answer."""

from time import perf_counter
from typing import Any

from sqlalchemy import Engine, event

from app.core import metrics

observe = metrics.QUERY_SECONDS.of().observe


def install(engine: Engine) -> None:
    """Measure this engine's statements. One that fails is not counted."""
    event.listen(engine, "before_cursor_execute", _before)
    event.listen(engine, "after_cursor_execute", _after)


def _before(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    if context is not None:  # SQLAlchemy's own first statements have none
        context.began_at = perf_counter()


def _after(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    if context is not None:
        observe(perf_counter() - context.began_at)
