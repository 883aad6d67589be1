"""A snoozed incident that another transaction has locked delays no other one."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from app.core.source import AlertSignal
from app.core.vocabulary import IncidentStatus, Severity
from app.crud.clock import now
from app.db.session import Database
from app.models import Incident
from app.services.incidents import alert_service, incident_service, lifecycle_service
from app.services.incidents.incident import Move, MoveRequest

OPEN, SNOOZED = IncidentStatus.OPEN, IncidentStatus.SNOOZED
KEYS = ["first", "second", "third"]


@pytest.fixture
def ids(own_database: Database) -> list[int]:
    """Three incidents whose snooze is over, the first one first."""
    signals = [AlertSignal("elastic", key, True, key, None, None, "db", {}) for key in KEYS]
    with own_database.transaction() as session:
        found = alert_service.ingest(session, signals, default_severity=Severity.HIGH)
        ids = [result.incident_id for result in found if result.incident_id is not None]
        at = now(session)
        for position, id_ in enumerate(ids):
            request = MoveRequest(Move.SNOOZE, at, snoozed_until=at + timedelta(seconds=position - 10))
            lifecycle_service.move(session, incident_service.locked(session, id_), request)
    return ids


def end_snoozes(database: Database, *, limit: int) -> int:
    """Fails at once if it has to wait for a lock."""
    with database.transaction() as session:
        session.execute(text("SET LOCAL lock_timeout = '1s'"))
        return lifecycle_service.end_snoozes(session, limit=limit)


def statuses(database: Database) -> list[IncidentStatus]:
    with database.transaction() as session:
        return list(session.scalars(select(Incident.status).order_by(Incident.id)))


@pytest.mark.parametrize("limit", [1, 100])
def test_a_locked_incident_delays_no_other_snoozes_end(own_database: Database, ids: list[int], limit: int) -> None:
    with own_database.transaction() as other:
        incident_service.locked(other, ids[0])
        ended = [end_snoozes(own_database, limit=limit) for _ in range(3)]
        assert sum(ended) == 2
        assert statuses(own_database) == [SNOOZED, OPEN, OPEN]
    assert end_snoozes(own_database, limit=limit) == 1
    assert statuses(own_database) == [OPEN, OPEN, OPEN]
