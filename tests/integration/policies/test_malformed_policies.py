"""A stored policy that could not be saved like this: it harms nothing else, is seen, and can be mended."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.models import Escalation
from app.utils.service_locator import Services
from app.worker.batches import PlanLimits, StillLocked
from tests.support.explanations import explained
from tests.support.inline import inline_jobs
from tests.support.scenario import Opener, Tick, act, steps, timeline
from tests.support.world import ADMIN, Clock, Outbox, Person

POLICIES = "/escalation/policies"
Spoiler = Callable[[dict[str, Any], str], None]
MALFORMED = [
    '[{"delay_minutes": 0, "actions": [{"type": "notify", "target": {"x": 1}}]}]',
    '[{"delay_minutes": 0, "actions": [{"type": "bogus"}]}]',
    '[{"delay_minutes": 0}]',
    '[{"delay_minutes": "soon", "actions": []}]',
    "[{}]",
    "[]",
    "{}",
    "null",
    "7",
]
FAILS = MALFORMED[1]


@pytest.fixture
def spoil(session: Session) -> Spoiler:
    """Write other steps into a policy, past every check."""

    def run(policy: dict[str, Any], stored: str, column: str = "steps") -> None:
        for table, key in (("escalation_policies", "id"), ("escalation_policy_versions", "policy_id")):
            change = f"UPDATE {table} SET {column} = CAST(:stored AS jsonb) WHERE {key} = :id"
            session.execute(text(change), {"stored": stored, "id": policy["id"]})
        session.commit()

    return run


@pytest.mark.parametrize("stored", MALFORMED)
def test_a_malformed_policy_is_explained_and_can_be_disabled_and_deleted(
    client: TestClient,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    spoil: Spoiler,
    stored: str,
) -> None:
    policy, good = add_policy(), add_policy()
    spoil(policy, stored)
    incident = open_incident()
    tick()
    tick()
    read = admin.on(client).call(f"GET {POLICIES}/{policy['id']}")
    assert read["steps"] == json.loads(stored)
    assert read["warnings"][0].startswith("This policy is malformed")
    assert len(admin.on(client).call(f"GET {POLICIES}")) == 2
    assert good["id"] in {found["policy_id"] for found in explained(client, incident, admin)["policies"]}
    preview = admin.on(client).send("POST /escalation/preview", {"incident_id": incident["id"]})
    assert [found["policy_id"] for found in preview.json()["policies"]] == [good["id"]]
    off = admin.on(client).send(f"PUT {POLICIES}/{policy['id']}", {"is_active": False})
    assert (off.status_code, off.json()["is_active"]) == (200, False)
    assert admin.on(client).send(f"DELETE {POLICIES}/{policy['id']}").status_code == 200


@pytest.mark.parametrize("stored", ['["high"]', "null", '{"severity": {"a": 1}}', '{"moon": "full"}'])
def test_so_is_one_whose_conditions_are_malformed(
    client: TestClient,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    session: Session,
    stored: str,
) -> None:
    policy = add_policy()
    session.execute(text("UPDATE escalation_policies SET conditions = CAST(:stored AS jsonb)"), {"stored": stored})
    session.execute(
        text("UPDATE escalation_policy_versions SET conditions = CAST(:stored AS jsonb)"), {"stored": stored}
    )
    session.commit()
    incident = open_incident()
    tick()
    [read] = admin.on(client).call(f"GET {POLICIES}")
    assert read["warnings"][0].startswith("This policy is malformed")
    explained(client, incident, admin)
    assert admin.on(client).send(f"DELETE {POLICIES}/{policy['id']}").status_code == 200


def test_a_mended_policy_begins_anew_where_its_step_had_failed(
    client: TestClient, admin: Person, on_call: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    clock: Clock, outbox: Outbox, spoil: Spoiler,
) -> None:  # fmt: skip
    policy = add_policy()
    spoil(policy, FAILS)
    incident = open_incident()
    tick()
    assert "escalation_quarantined" in timeline(client, incident, admin)
    mended = {"steps": steps(0, target=on_call.id)}
    assert admin.on(client).send(f"PUT {POLICIES}/{policy['id']}", mended).status_code == 200
    clock.advance(seconds=30)
    tick()
    assert [envelope.address for envelope in outbox.sent] == [on_call.email]


def test_a_policy_that_was_mended_for_other_incidents_does_not_begin_there(
    client: TestClient, admin: Person, on_call: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    clock: Clock, outbox: Outbox, spoil: Spoiler,
) -> None:  # fmt: skip
    policy = add_policy()
    spoil(policy, FAILS)
    open_incident(service="database")
    tick()
    mended = {"steps": steps(0, target=on_call.id), "conditions": {"service": "elsewhere"}}
    assert admin.on(client).send(f"PUT {POLICIES}/{policy['id']}", mended).status_code == 200
    clock.advance(seconds=30)
    tick()
    assert [envelope.address for envelope in outbox.sent] == [ADMIN]  # it has failed twice


def test_the_administrators_are_paged_once_when_a_step_fails_again(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock,
    outbox: Outbox, spoil: Spoiler,
) -> None:  # fmt: skip
    spoil(add_policy(), FAILS)
    open_incident()
    tick()
    assert outbox.sent == []
    for _ in range(4):
        clock.advance(minutes=10)
        tick()
    assert [envelope.address for envelope in outbox.sent] == [ADMIN]
    assert "a policy for this incident fails" in outbox.sent[0].body


def test_nobody_is_paged_for_a_failing_step_of_what_is_acknowledged(
    user: Person, client: TestClient, add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock,
    outbox: Outbox, spoil: Spoiler,
) -> None:  # fmt: skip
    spoil(add_policy(), FAILS)
    incident = open_incident()
    tick()
    act(client, incident, "acknowledge", user)
    clock.advance(minutes=10)
    tick()
    assert outbox.sent == []


def test_a_malformed_policy_keeps_no_other_from_being_healed(
    services: Services, add_policy: Opener, open_incident: Opener, session: Session, spoil: Spoiler
) -> None:
    jobs = inline_jobs(services, limits=PlanLimits(locked_for_long_seconds=0.0))
    bad, good = add_policy(), add_policy()
    open_incident()
    open_incident()
    jobs.plan()
    session.execute(text("UPDATE escalations SET state = 'stopped', next_run_at = NULL"))
    spoil(bad, "[]")
    jobs.plan()
    session.expire_all()
    states = {(row.policy_id == good["id"], row.state) for row in session.scalars(select(Escalation))}
    assert states == {(True, "running"), (False, "stopped")}
    with pytest.raises(StillLocked, match="cannot be healed"):
        jobs.plan()
