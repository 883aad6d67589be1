"""Row 19: workers are replaced one by one while pages are due and the schema grows."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from app.db.session import driver_url
from tests.faults import oracle
from tests.faults.figures import Figures
from tests.faults.rig import TICK_SECONDS, Rig
from tests.faults.seeding import add_admin, add_incidents, add_people, add_policy, steps

pytestmark = pytest.mark.faults

WORKERS = 3
GROWTH = [
    "ALTER TABLE notifications ADD COLUMN rehearsal integer NOT NULL DEFAULT 0",
    "ALTER TABLE incidents ADD COLUMN rehearsal text",
    "CREATE INDEX CONCURRENTLY ix_notifications_rehearsal ON notifications (rehearsal)",
    "CREATE INDEX CONCURRENTLY ix_incidents_rehearsal ON incidents (rehearsal)",
]
LOCK_TRIES = 100
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
INVALID = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
LATEST = """
    SELECT max(extract(epoch FROM e.triggered_at - d.due_at)) FROM escalation_events e JOIN due d USING (incident_id)
"""


def test_row_19_a_rolling_restart_under_load_is_not_noticed(
    rig: Rig, scaled: Callable[..., int], figures: Figures
) -> None:
    rounds, per_second = scaled(5, 1), 10
    seconds = 20 * rounds
    number = seconds * per_second
    add_admin(rig.store, rig.provider)
    people = add_people(rig.store, rig.provider, number)
    policy = add_policy(rig.store, steps(0))
    rig.start_ready(WORKERS)
    add_incidents(rig.store, policy, number, people, due_in=2, apart=1 / per_second)
    rig.store.run("CREATE TABLE due AS SELECT incident_id, next_run_at AS due_at FROM escalations")
    began = time.monotonic()
    with ThreadPoolExecutor(1) as beside:
        growing = beside.submit(_grow_schema, rig.store.url)
        codes = [_replace_one(rig) for _ in range(WORKERS * rounds)]
        growing.result(120)
    replaced_in = time.monotonic() - began
    rig.wait_for(oracle.EVENTS, number, seconds=120 + seconds)
    rig.wait_for(oracle.UNFINISHED, 0, seconds=120)
    latest = float(rig.store.one(LATEST))
    figures.add("19 rolling restart", restarts=len(codes), seconds=replaced_in, pages=number, latest_s=latest)
    assert codes == [0] * len(codes)
    assert rig.store.one(DEADLOCKS) == 0
    assert rig.store.one(INVALID) == 0
    assert oracle.lost(rig.store) == oracle.repeated(rig.store) == 0
    assert oracle.duplicates(rig.provider) == {}
    assert latest <= rig.allowed(2 * TICK_SECONDS)


def _replace_one(rig: Rig) -> int:
    """Start a worker, and end the oldest when the new one works. Returns the old one's exit code."""
    rig.start_ready()
    oldest = next(worker for worker in rig.workers if worker.is_alive())
    return oldest.stop()


def _grow_schema(url: str) -> None:
    """What a migration of the next version does, with the lock timeout that it must have."""
    engine = create_engine(driver_url(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("SET lock_timeout = '1s'"))
        for statement in GROWTH:
            _insist(lambda statement=statement: connection.execute(text(statement)))  # type: ignore[misc]  # bound now
    engine.dispose()


def _insist(statement: Callable[[], object]) -> None:
    """Run a statement again as long as it does not get its lock in time."""
    for _ in range(LOCK_TRIES):
        try:
            statement()
        except OperationalError as error:
            if "lock timeout" not in str(error):
                raise
        else:
            return
    raise AssertionError("the lock was never free")
