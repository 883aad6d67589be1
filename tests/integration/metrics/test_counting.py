"""What happens to incidents, steps and messages is counted once it is committed, and only then."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome
from app.crud.locks import limit_statements
from app.services.operations import webhook_token_service
from app.utils.service_locator import Services
from app.worker import Jobs
from tests.support.metrics import Samples, counting
from tests.support.scenario import Opener, Tick, act
from tests.support.world import LATER, Clock, Outbox, Person

ALERT = {"rule_name": "Disk full", "alert_id": "disk-1", "actionGroup": "threshold met"}
RECOVERED = {**ALERT, "actionGroup": "recovered"}


def received(outcome: str) -> str:
    return f'ims_alerts_received_total{{source="elastic",outcome="{outcome}"}}'


def attempts(outcome: str, channel: str = "email") -> str:
    return f'ims_deliveries_total{{channel="{channel}",outcome="{outcome}"}}'


def within(change: Samples, metric: str, bound: str) -> tuple[float, float]:
    """How many values a bucket and all smaller ones gained, and how many there are."""
    return change.get(f'{metric}_bucket{{le="{bound}"}}', 0), change[f"{metric}_count"]


def post(client: TestClient, body: Any) -> None:
    assert client.post("/v1/alerts/elastic", json=body).is_success


def test_an_incident_counts_by_its_source(client: TestClient, open_incident: Opener, add_policy: Opener) -> None:
    add_policy()
    with counting("ims_incidents_opened_total", "ims_unmatched") as change:
        open_incident()
        post(client, ALERT)
    opened = 'ims_incidents_opened_total{{source="{}"}}'
    assert change == {opened.format("api"): 1, opened.format("elastic"): 1}


def test_an_incident_that_no_policy_matches_counts_as_such(open_incident: Opener) -> None:
    with counting("ims_unmatched_incidents_total") as change:
        open_incident()
    assert change == {"ims_unmatched_incidents_total": 1}


def test_an_incident_whose_policy_goes_counts_as_unmatched(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener
) -> None:
    policy = add_policy()
    open_incident()
    with counting("ims_unmatched_incidents_total") as change:
        admin.on(client).call(f"PUT /escalation/policies/{policy['id']}", {"is_active": False})
    assert change == {"ims_unmatched_incidents_total": 1}


def test_a_refused_incident_is_not_counted(client: TestClient, user: Person) -> None:
    body = {"title": "x", "severity": "high", "service": "s", "assigned_to": 999_999}
    with counting("ims_incidents_opened_total") as change:
        assert user.on(client).send("POST /incidents", body).status_code == 422
    assert change == {}


def test_an_alert_counts_by_what_it_did(client: TestClient) -> None:
    with counting("ims_alerts_received_total") as change:
        post(client, ALERT)
        post(client, ALERT)
        post(client, RECOVERED)
        post(client, RECOVERED)
        client.post("/v1/alerts/elastic", content=b"{not JSON")
    assert change == {
        received("incident_created"): 1,
        received("incident_updated"): 1,
        received("incident_resolved"): 1,
        received("no_matching_active_incident"): 1,
        received("unreadable"): 1,
    }


def test_every_alert_of_a_body_counts(client: TestClient) -> None:
    with counting("ims_alerts_received_total") as change:
        post(client, [ALERT, {**ALERT, "alert_id": "disk-2"}])
    assert change == {received("incident_created"): 2}


def test_a_response_counts_after_how_long_it_came(
    client: TestClient, user: Person, open_incident: Opener, clock: Clock
) -> None:
    incident = open_incident()
    clock.advance(minutes=4)
    with counting("ims_incident_") as change:
        act(client, incident, "acknowledge", user)
        act(client, incident, "acknowledge", user)
        clock.advance(minutes=4)
        act(client, incident, "resolve", user)
    for metric, too_soon, in_time in [("acknowledge", "120.0", "300.0"), ("resolve", "300.0", "600.0")]:
        assert within(change, f"ims_incident_{metric}_seconds", too_soon) == (0, 1)
        assert within(change, f"ims_incident_{metric}_seconds", in_time) == (1, 1)


def test_a_change_of_the_status_counts_as_a_response(client: TestClient, user: Person, open_incident: Opener) -> None:
    incident = open_incident()
    with counting("ims_incident_acknowledge_seconds_count", "ims_incident_resolve_seconds_count") as change:
        user.on(client).call(f"PUT /incidents/{incident['id']}", {"status": "acknowledged"})
        user.on(client).call(f"PUT /incidents/{incident['id']}", {"status": "resolved"})
    assert change == {"ims_incident_acknowledge_seconds_count": 1, "ims_incident_resolve_seconds_count": 1}


def test_an_alert_that_recovers_counts_as_a_resolution(client: TestClient) -> None:
    post(client, ALERT)
    with counting("ims_incident_resolve_seconds_count") as change:
        post(client, RECOVERED)
    assert change == {"ims_incident_resolve_seconds_count": 1}


def test_a_later_cycle_has_no_time_to_its_acknowledgement(
    client: TestClient, user: Person, open_incident: Opener
) -> None:
    incident = open_incident()
    for action in ("acknowledge", "reopen"):
        act(client, incident, action, user)
    with counting("ims_incident_acknowledge_seconds_count") as change:
        act(client, incident, "acknowledge", user)
    assert change == {}


def test_a_step_counts_by_its_lateness(add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock) -> None:
    add_policy()
    open_incident()
    clock.advance(seconds=20)
    with counting("ims_step_lateness_seconds") as change:
        tick()
    assert within(change, "ims_step_lateness_seconds", "10.0") == (0, 1)
    assert within(change, "ims_step_lateness_seconds", "30.0") == (1, 1)


def test_a_step_that_fails_together_and_fires_alone_counts_once(
    add_policy: Opener, open_incident: Opener, tick: Tick, session: Session
) -> None:
    """Firing together is undone by a savepoint; what it had counted must go with it."""
    add_policy()
    open_incident()
    open_incident()
    session.execute(
        text("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN IF (SELECT count(*) FROM new) > 1 THEN RAISE ''one at a time''; END IF; RETURN NULL; END';
        CREATE TRIGGER refuse AFTER INSERT ON escalation_events REFERENCING NEW TABLE AS new
            FOR EACH STATEMENT EXECUTE FUNCTION refuse();
    """)
    )
    session.commit()
    with counting("ims_step_lateness_seconds_count") as change:
        tick()
    assert change == {"ims_step_lateness_seconds_count": 2}


def test_an_escalation_by_hand_is_neither_late_nor_on_time(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener
) -> None:
    add_policy()
    incident = open_incident()
    with counting("ims_step_lateness_seconds_count") as change:
        admin.on(client).call(f"POST /incidents/{incident['id']}/escalate")
    assert change == {}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Outcome(AttemptOutcome.ACCEPTED), "accepted"),
        (LATER, "retry"),
        (Outcome(AttemptOutcome.DEAD, error="unknown address"), "dead"),
    ],
)
def test_an_attempt_counts_by_its_outcome(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, answer: Outcome, outcome: str
) -> None:
    outbox.answers.append(answer)
    add_policy()
    open_incident()
    with counting("ims_deliveries_total", "ims_delivery_seconds_count") as change:
        tick()
    assert change == {attempts(outcome): 1, 'ims_delivery_seconds_count{channel="email"}': 1}


def test_an_attempt_whose_lease_was_lost_counts_as_such(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, session: Session
) -> None:
    def lose_lease() -> None:
        session.execute(text("UPDATE notifications SET lease_token = gen_random_uuid()"))
        session.commit()

    outbox.on_send = lose_lease
    add_policy()
    open_incident()
    with counting("ims_deliveries_total") as change:
        tick()
    assert change == {attempts("lease_lost"): 1}


def test_a_lease_that_is_taken_back_counts(
    add_policy: Opener, open_incident: Opener, jobs: Jobs, session: Session, clock: Clock
) -> None:
    add_policy()
    open_incident()
    jobs.plan()
    session.execute(text(
        "UPDATE notifications SET status = 'sending', lease_token = gen_random_uuid(), lease_until = now(), attempt = 1"
    ))  # fmt: skip
    session.commit()
    clock.advance(seconds=1)
    with counting("ims_leases_recovered_total") as change:
        jobs.plan()
    assert change == {"ims_leases_recovered_total": 1}


def test_a_tick_counts_once_it_is_complete(jobs: Jobs, session: Session) -> None:
    with counting("ims_worker_ticks_total") as change:
        jobs.plan()
    assert change == {"ims_worker_ticks_total": 1}
    session.execute(text("ALTER TABLE worker_heartbeats RENAME TO lost"))  # nothing that a tick needs
    session.execute(text("ALTER TABLE escalations RENAME TO gone"))
    session.commit()
    with counting("ims_worker_ticks_total") as failed, pytest.raises(Exception, match="escalations"):
        jobs.plan()
    assert failed == {}


def test_a_sender_whose_token_no_longer_works_counts_once(session: Session, services: Services) -> None:
    webhook_token_service.keep_working(session, "elastic", "seal")
    with counting("ims_senders_refused_total") as early:
        for _ in range(2):
            webhook_token_service.tell_refused(session, "elastic", "seal", services.paging)
    assert early == {}
    with counting("ims_senders_refused_total") as change:
        session.commit()
    assert change == {'ims_senders_refused_total{source="elastic"}': 1}


def test_a_statement_counts_with_its_time(services: Services) -> None:
    with counting("ims_db_query_seconds_count") as change, services.database.transaction() as session:
        session.execute(text("SELECT 1"))
    assert change["ims_db_query_seconds_count"] >= 1


@pytest.mark.parametrize("statement", ["SELECT pg_sleep(1)", "SELECT nobody_knows_this"])
def test_a_statement_that_fails_counts_too(services: Services, statement: str) -> None:
    with services.database.transaction() as session, session.begin_nested() as savepoint:
        limit_statements(session, 0.01)
        with counting("ims_db_query_seconds_count") as change, pytest.raises(DBAPIError):
            session.execute(text(statement))
        savepoint.rollback()
    assert change == {"ims_db_query_seconds_count": 1}


def test_a_preview_counts_nothing(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Callable[..., dict[str, Any]]
) -> None:
    add_policy()
    body = {"incident": {"severity": "high", "service": "x"}}
    with counting("ims_incidents", "ims_step", "ims_deliver", "ims_unmatched") as change:
        admin.on(client).call("POST /escalation/preview", body)
    assert change == {}
