"""Four processes change things at once: the chain is whole, and has no gap."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from app.db.session import Database
from tests.support.audit_writer import ROWS
from tests.support.audited import whole

ROOT = Path(__file__).parents[3]
PROCESSES = 4
CHANGES = 10_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_chain_is_whole_after_concurrent_changes(own_url: str, own_database: Database) -> None:
    with own_database.transaction() as session:
        for source in range(ROWS):
            session.execute(
                text("INSERT INTO webhook_tokens (source, seal, worked_at) VALUES (:source, '', now())"),
                {"source": str(source)},
            )
    command = [sys.executable, "-m", "tests.support.audit_writer", own_url]
    started = [
        subprocess.Popen([*command, str(number), str(CHANGES // PROCESSES)], cwd=ROOT)
        for number in range(1, PROCESSES + 1)
    ]
    try:
        assert [process.wait(200 * PROCESSES) for process in started] == [0] * PROCESSES
    finally:
        for process in started:
            process.kill()
            process.wait()
    found = whole(own_database)
    with own_database.transaction() as session:
        [entries, objects, first, last] = session.execute(
            text(
                "SELECT count(*), count(DISTINCT (actor_id, object_id)), min(seq), max(seq) "
                "FROM audit_links l JOIN audit_entries e ON e.id = l.entry_id"
            )
        ).one()
    assert objects == CHANGES
    assert (first, last, found.head.seq, found.entries) == (1, entries, entries, entries)
