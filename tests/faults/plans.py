"""What statements cost in the database, by EXPLAIN (ANALYZE, BUFFERS) of the very statements that are run."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from app.crud import crud_escalation
from app.crud.clock import now
from app.db.session import Database

EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "


@dataclass(frozen=True, slots=True)
class Cost:
    """Of several statements together: time in the database, pages of 8 kB touched, rows of the one that gave most."""

    milliseconds: float
    buffers: int
    rows: int


def cost_of_claim(database: Database, *, limit: int) -> Cost:
    """What the planner's claim of due escalations costs. Nothing stays changed."""
    assert isinstance(database.bind, Engine)
    with database.session() as session:
        statements = _statements_of_claim(database.bind, session, limit)
        costs = [_cost(session, statement, values) for statement, values in statements]
        session.rollback()
    return Cost(
        sum(cost.milliseconds for cost in costs), sum(cost.buffers for cost in costs), max(cost.rows for cost in costs)
    )


def _statements_of_claim(engine: Engine, session: Session, limit: int) -> list[tuple[str, Any]]:
    """Run the claim, and give its statements as the driver got them."""
    seen: list[tuple[str, Any]] = []

    def keep(_connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> None:
        seen.append((statement, values))

    at = now(session)
    event.listen(engine, "before_cursor_execute", keep)
    try:
        crud_escalation.claim_due(session, at=at, limit=limit)
    finally:
        event.remove(engine, "before_cursor_execute", keep)
    return seen


def _cost(session: Session, statement: str, values: Any) -> Cost:
    answer = session.connection().exec_driver_sql(EXPLAIN + statement, values).scalar_one()
    plan = answer[0]["Plan"]
    buffers = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return Cost(answer[0]["Execution Time"], buffers, int(plan["Actual Rows"]))
