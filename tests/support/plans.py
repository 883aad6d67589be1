"""Explains the statements that the service sends: which indexes they use, and how many pages they read."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event

from app.db.session import Database

EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "


@dataclass(frozen=True, slots=True)
class Plan:
    """How PostgreSQL ran one statement."""

    statement: str
    root: dict[str, Any]
    milliseconds: float

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """Every node of the plan."""
        found, waiting = [], [self.root]
        while waiting:
            node = waiting.pop()
            found.append(node)
            waiting.extend(node.get("Plans", ()))
        return found

    @property
    def buffers(self) -> int:
        """How many pages of 8 KiB the statement touched, in memory or on disk."""
        return int(self.root["Shared Hit Blocks"] + self.root["Shared Read Blocks"])

    @property
    def rows(self) -> int:
        """How many rows and index entries the statement looked at, also in vain."""
        return round(sum(_looked_at(node) for node in self.nodes if {"Relation Name", "Index Name"} & node.keys()))

    @property
    def indexes(self) -> set[str]:
        return {node["Index Name"] for node in self.nodes if "Index Name" in node}

    @property
    def scanned(self) -> set[str]:
        """The tables that were read from end to end."""
        return {node["Relation Name"] for node in self.nodes if node["Node Type"] == "Seq Scan"}


def _looked_at(node: dict[str, Any]) -> float:
    """PostgreSQL gives rows for each loop."""
    removed = sum(node.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
    found: float = (node["Actual Rows"] + removed) * node["Actual Loops"]
    return found


@contextmanager
def explained(database: Database) -> Iterator[list[Plan]]:
    """The plans of the statements that are executed within the block, in their order.

    Each statement runs twice: once for its plan, which is rolled back, and once for the caller.
    """
    plans: list[Plan] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, is_batch: bool) -> None:
        if not statement.lstrip().startswith(EXPLAINED):
            return
        with connection.connection.cursor() as cursor:
            cursor.execute("SAVEPOINT explained")
            cursor.execute(EXPLAIN + statement, parameters[0] if isinstance(parameters, list) else parameters)
            [[[plan]]] = cursor.fetchall()
            cursor.execute("ROLLBACK TO SAVEPOINT explained")
        plan = json.loads(plan) if isinstance(plan, str) else plan
        spent = plan["Planning Time"] + plan["Execution Time"]
        plans.append(Plan(statement, plan["Plan"], spent))

    event.listen(database.bind, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(database.bind, "before_cursor_execute", explain)
