"""A step that fails among those that fire together: it alone is quarantined, and the others lose nothing."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.db.session import WAKE_CHANNEL, Database, connect_alone
from app.services.policies import step_service
from app.utils.service_locator import Services
from tests.support.scenario import Opener, events, steps, timeline
from tests.support.waiting import wait_until
from tests.support.world import Person, real_connections

REFUSES_ONE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.incident_id = {} AND to_jsonb(NEW) ->> 'quarantined_at' IS NULL
    AND to_jsonb(NEW) ->> 'event_type' IS DISTINCT FROM 'escalation_quarantined'
    THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW;
END $$;
CREATE TRIGGER refusing BEFORE INSERT OR UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION refuse();
"""  # the quarantine itself passes


@pytest.mark.parametrize("table", ["escalation_events", "notifications", "timeline_events", "escalations"])
def test_a_step_that_fails_is_quarantined_and_the_others_fire_in_the_same_run(
    client: TestClient, admin: Person, session: Session, services: Services, add_policy: Opener,
    open_incident: Opener, table: str,
) -> None:  # fmt: skip
    add_policy()
    incidents = [open_incident() for _ in range(5)]
    session.execute(text(REFUSES_ONE.format(incidents[2]["id"], table)))
    assert step_service.run_due(session, services.paging, limit=100) == 5
    session.commit()
    fired = [len(events(client, incident, admin)) for incident in incidents]
    assert fired == [1, 1, 0, 1, 1]
    assert "escalation_quarantined" in timeline(client, incidents[2], admin)
    assert session.scalar(text("SELECT count(*) FROM notifications")) == 4


def test_a_malformed_step_stops_none_that_fire_together(
    client: TestClient, admin: Person, session: Session, services: Services, add_policy: Opener,
    open_incident: Opener,
) -> None:  # fmt: skip
    add_policy(conditions={"severity": "high"})
    broken = add_policy(conditions={"severity": "low"})
    bogus = '[{"delay_minutes": 0, "actions": [{"type": "bogus"}]}]'
    for table, key in (("escalation_policies", "id"), ("escalation_policy_versions", "policy_id")):
        spoiling = f"UPDATE {table} SET steps = CAST(:steps AS jsonb) WHERE {key} = :id"
        session.execute(text(spoiling), {"id": broken["id"], "steps": bogus})
    session.commit()
    incidents = [open_incident(severity=severity) for severity in ("high", "low", "high")]
    assert step_service.run_due(session, services.paging, limit=100) == 3
    session.commit()
    assert [len(events(client, incident, admin)) for incident in incidents] == [1, 0, 1]
    assert "escalation_quarantined" in timeline(client, incidents[1], admin)


def test_workers_are_woken_although_the_steps_did_not_fire_together(
    settings: Any, own_database: Database, services: Services
) -> None:
    with real_connections(settings, own_database) as api:
        api.call("POST /escalation/policies", {"name": "all", "conditions": {}, "steps": steps(0)}, wants=201)
        body = {"title": "t", "severity": "high", "service": "s"}
        incidents = [api.call("POST /incidents", body, wants=201) for _ in range(3)]
    connection = connect_alone(own_database.bind)
    with connection.cursor() as cursor:
        cursor.execute(f"LISTEN {WAKE_CHANNEL}")
    with own_database.transaction() as session:
        session.execute(text(REFUSES_ONE.format(incidents[1]["id"], "timeline_events")))
        assert step_service.run_due(session, services.paging, limit=100) == 3

    def is_woken() -> bool:
        connection.poll()
        return any(notice.payload == "send" for notice in connection.notifies)

    wait_until(is_woken, seconds=10)
    connection.close()
