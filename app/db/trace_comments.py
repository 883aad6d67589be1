"""Adds the trace to each statement, as a comment that the database's log and its view of activity show.

    SELECT ... /*traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'*/

The form is that of sqlcommenter (https://google.github.io/sqlcommenter/spec/). PostgreSQL ignores comments, and so do
the statistics of pg_stat_statements.
"""

from typing import Any

from sqlalchemy import Engine, event

from app.core import tracing

START = " /*traceparent='"


def install(engine: Engine) -> None:
    """Add the trace to this engine's statements."""
    event.listen(engine, "before_cursor_execute", _before, retval=True)


def _before(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
    traceparent = tracing.current()
    return (statement if traceparent is None else f"{statement}{START}{traceparent}'*/"), parameters
