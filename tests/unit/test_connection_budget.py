"""The documented bound of a process's connections is the one it has."""

from pathlib import Path

from app.utils.service_locator import CONNECTIONS_BESIDE_THREADS, GATHERING_CONNECTIONS

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_operators_read_how_many_connections_a_process_may_have() -> None:
    [row] = [line for line in OPERATIONS.read_text().splitlines() if line.startswith("| connections to the database")]
    assert f"{GATHERING_CONNECTIONS} for gathered requests, {CONNECTIONS_BESIDE_THREADS} for passwords" in row
