"""Rows 11 and 12: a policy that cannot be followed, and policies that change while they are."""

import json
from collections.abc import Callable

import pytest

from app.core.config import Settings
from app.schemas.escalation import PolicyUpdate
from app.services.policies import policy_service
from tests.faults import oracle
from tests.faults.conformance import paging_of
from tests.faults.figures import Figures
from tests.faults.rig import Rig
from tests.faults.seeding import add_admin, add_incidents, add_people, add_policy, steps

pytestmark = pytest.mark.faults

MALFORMED = [{"delay_minutes": 0, "actions": [{"type": "no such action"}]}]
LATEST = """
    SELECT max(extract(epoch FROM e.triggered_at - d.due_at)) FROM escalation_events e JOIN due d USING (incident_id)
"""
QUARANTINED = "SELECT count(*) FROM escalations WHERE quarantined_at IS NOT NULL AND attempts > 0"
TOLD = "SELECT count(*) FROM timeline_events WHERE event_type = :kind"
# Who was paged by the second step of the policies.
SECOND_STEP = """
    SELECT count(*) FROM escalation_events e JOIN notifications n ON n.event_id = e.id
    WHERE e.step = 1 AND n.user_id = :user AND e.policy_id = :policy
"""
UNSENT = "SELECT count(*) FROM notifications WHERE status = 'pending' AND bundle_id IS NULL"
STUCK = """
    SELECT count(*) FROM escalations e JOIN escalation_policies p ON p.id = e.policy_id
    WHERE e.state = 'running' AND (p.deleted_at IS NOT NULL OR e.next_run_at IS NULL)
"""
STATES = "SELECT count(*) FROM escalations WHERE policy_id = :policy AND state = :state"


def test_row_11_one_malformed_policy_holds_up_no_other(rig: Rig, scaled: Callable[..., int], figures: Figures) -> None:
    number = scaled(1_000, 100)
    add_admin(rig.store, rig.provider)
    people = add_people(rig.store, rig.provider, number)
    for place, person in enumerate(people):
        stages = MALFORMED if place == number // 2 else steps(0)
        policy = add_policy(rig.store, stages, name=f"policy {place}")
        add_incidents(rig.store, policy, 1, [person], due_in=5 + 10 * place / number)
    rig.store.run("CREATE TABLE due AS SELECT incident_id, next_run_at AS due_at FROM escalations")
    [worker] = rig.start_ready()
    rig.wait_for(oracle.EVENTS, number - 1, seconds=120)
    rig.wait_for(QUARANTINED, 1, seconds=120)
    rig.wait_for(oracle.UNFINISHED, 0, seconds=120)
    latest = float(rig.store.one(LATEST))
    figures.add("11 malformed policy", policies=number, latest_s=latest, quarantined=1)
    assert rig.store.one(TOLD, kind="escalation_quarantined") == 1
    assert worker.said("escalation_quarantined")
    assert oracle.lost(rig.store) == 0
    assert len(rig.provider.keys()) == number - 1


def test_row_12_a_policy_edited_in_mid_run_is_followed_as_it_was(
    rig: Rig, scaled: Callable[..., int], figures: Figures, settings: Settings
) -> None:
    paging = paging_of(settings, rig.store.database)
    number = scaled(500, 20)
    add_admin(rig.store, rig.provider)
    before, after = add_people(rig.store, rig.provider, 2)
    change = PolicyUpdate(steps=json.loads(json.dumps(steps(0, 5, target=after))))
    edited = add_policy(rig.store, steps(0, 5, target=before), name="edited")
    deleted = add_policy(rig.store, steps(0, 5, target=before), name="deleted")
    for policy in (edited, deleted):
        add_incidents(rig.store, policy, number, [before])
    rig.start_ready(2)
    rig.wait_for(oracle.EVENTS, 2 * number, seconds=120 + number / 10)
    with rig.store.database.transaction() as session:
        policy_service.update(session, edited, change, paging)
    with rig.store.database.transaction() as session:
        policy_service.delete(session, deleted)
    rig.wait_for(
        f"SELECT count(*) FROM escalations WHERE state = 'ended' AND policy_id = {deleted}", number, seconds=30
    )
    rig.wait_for(UNSENT, 0, seconds=120)  # a page joins one to the same person that waits to be sent
    rig.advance(5 * 60)
    rig.wait_for(oracle.EVENTS, 3 * number, seconds=120 + number / 10)
    rig.wait_for(oracle.UNFINISHED, 0, seconds=120)
    figures.add("12 changed policies", escalations=2 * number, stuck=rig.store.one(STUCK))
    assert rig.store.one(SECOND_STEP, user=after, policy=edited) == 0
    assert rig.store.one(SECOND_STEP, user=before, policy=edited) == number
    assert rig.store.one(STATES, policy=edited, state="finished") == number
    assert rig.store.one(TOLD, kind="escalation_ended") == number
    assert rig.store.one(STUCK) == 0
    assert oracle.lost(rig.store) == 0
