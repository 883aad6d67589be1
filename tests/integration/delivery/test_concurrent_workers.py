"""Several workers on one database."""

import pytest
from sqlalchemy import select, text

from app.core.source import AlertSignal
from app.core.vocabulary import Severity
from app.db.session import Database
from app.models import Escalation, EscalationEvent, Incident, Notification
from app.schemas.escalation import PolicyCreate
from app.services.incidents import alert_service
from app.services.policies import policy_service, step_service
from app.services.ports import Paging
from app.utils.service_locator import Services
from tests.support.scenario import race, steps
from tests.support.world import add_admins

DUE = 60
SLOW_NOTIFICATIONS = """
CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END';
CREATE TRIGGER slow BEFORE INSERT ON notifications FOR EACH ROW EXECUTE FUNCTION linger();
"""


@pytest.fixture
def due(own_database: Database, services: Services) -> Database:
    """A database of its own in which many steps are due."""
    add_admins(own_database)
    with own_database.transaction() as session:
        policy_service.create(session, PolicyCreate(name="all", steps=steps(0)), services.paging)
        signals = [AlertSignal("elastic", None, True, f"alert {i}", None, None, "api", {}) for i in range(DUE)]
        alert_service.ingest(session, signals, default_severity=Severity.HIGH)
    return own_database


def test_workers_at_once_fire_every_step_exactly_once(due: Database, services: Services) -> None:
    taken = race(lambda: fire_everything(due, services.paging), times=4)
    assert sum(taken) == DUE
    with due.transaction() as session:
        assert len(session.scalars(select(EscalationEvent)).all()) == DUE
        assert len(session.scalars(select(Notification)).all()) == DUE


def fire_everything(database: Database, paging: Paging) -> int:
    total = 0
    while True:
        with database.transaction() as session:
            taken = step_service.run_due(session, paging, limit=7)
        total += taken
        if taken == 0:
            return total


def test_what_somebody_holds_takes_no_place_among_what_is_due(due: Database, services: Services) -> None:
    with due.session() as holding:
        held = select(Escalation.incident_id).order_by(Escalation.next_run_at, Escalation.id).limit(DUE - 1)
        holding.execute(select(Incident.id).where(Incident.id.in_(held)).with_for_update())
        assert fire_everything(due, services.paging) == 1
    assert fire_everything(due, services.paging) == DUE - 1


def test_a_slow_batch_ends_early_and_leaves_the_rest_for_the_next(due: Database, services: Services) -> None:
    with due.transaction() as session:
        session.execute(text(SLOW_NOTIFICATIONS))
    with due.transaction() as session:
        taken = step_service.run_due(session, services.paging, limit=7)
    assert 1 <= taken < 5
    with due.transaction() as session:
        session.execute(text("DROP TRIGGER slow ON notifications"))
    assert taken + fire_everything(due, services.paging) == DUE
