"""The seeding script."""

from typing import Any

import pytest
from sqlalchemy import text

from app.db.session import Database
from benchmarks import seed

SIZE = 1000


@pytest.fixture
def seeded(own_database: Database) -> Database:
    seed.fill(own_database, SIZE)
    return own_database


def test_seeding_writes_each_incident_with_its_record(seeded: Database) -> None:
    assert _count(seeded, "incidents") == SIZE
    assert _count(seeded, "timeline_events") == 5 * SIZE
    assert _count(seeded, "escalations") == _count(seeded, "notifications") == SIZE
    assert _count(seeded, "incidents WHERE status = 'open'") == pytest.approx(SIZE / 10, abs=5)


def test_seeding_builds_the_indexes_again_that_it_dropped(seeded: Database) -> None:
    assert _count(seeded, "pg_indexes WHERE indexname = 'ix_incidents_search'") == 1


def test_a_database_with_incidents_is_not_seeded(seeded: Database) -> None:
    with pytest.raises(SystemExit, match="Seed an empty one"):
        seed.fill(seeded, SIZE)


def _count(database: Database, rows: str) -> Any:
    with database.reading() as session:
        return session.scalar(text(f"SELECT count(*) FROM {rows}"))
