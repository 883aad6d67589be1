"""Why a step or a policy pages nobody, and why administrators were paged: one reason for each."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.utils.service_locator import Services
from tests.support.explanations import DEAD, Story, codes, explained
from tests.support.preferences import put
from tests.support.previews import preview
from tests.support.scenario import Opener, Tick, steps
from tests.support.world import Clock, Outbox, Person


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


def test_a_step_that_is_not_due_says_when_and_by_what(story: Story) -> None:
    story.begin(0, 30)
    paged, to_come = story.reasons()
    assert (paged["code"], to_come["code"], to_come["channel"], to_come["step"]) == ("accepted", "not_due", "email", 1)
    assert to_come["policy_id"] == story.policy["id"]
    assert to_come["sentence"].startswith("Step 2 of “Night” is not due until 20")
    assert to_come["sentence"].endswith("; it will page by e-mail.")


def test_a_coming_step_that_would_not_page_says_why(story: Story) -> None:
    put(story.client, story.on_call, "sms", enabled=False)
    put(story.client, story.on_call, "email", quiet_severities=["high"])
    story.begin(30)
    assert [(r["code"], r["channel"], r["detail"]) for r in story.reasons()] == [
        ("would_skip", "email", "quiet"),
        ("would_skip", "sms", "disabled_by_recipient"),
    ]


@pytest.mark.parametrize(("what", "query"), [("acknowledge", {}), ("resolve", {}), ("snooze", {"hours": 1})])
def test_a_stopped_step_says_who_stopped_it(story: Story, user: Person, what: str, query: dict[str, Any]) -> None:
    story.begin(30, 60)
    story.act(what, user, **query)
    past = {"acknowledge": "acknowledged", "resolve": "resolved", "snooze": "snoozed"}[what]
    for number, reason in enumerate(story.reasons(), start=1):
        assert (reason["code"], reason["step"]) == ("stopped", number - 1)
        assert reason["sentence"].startswith(f"Step {number} of “Night” did not fire: the incident was {past} at 20")
        assert reason["sentence"].endswith(" by user.")
    assert len(story.reasons()) == 2


@pytest.mark.parametrize(("what", "query"), [("acknowledge", {}), ("snooze", {"hours": 1})])
def test_a_policy_that_matches_after_the_stop_says_so_too(
    story: Story, user: Person, add_policy: Opener, what: str, query: dict[str, Any]
) -> None:
    story.begin(30, conditions={"service": "elsewhere"})
    story.act(what, user, **query)
    add_policy(name="Day", steps=steps(0, 15, target=story.on_call.id))
    mismatch, *stopped = story.reasons()
    assert mismatch["code"] == "policy_mismatch"
    assert [(reason["code"], reason["step"]) for reason in stopped] == [("stopped", 0), ("stopped", 1)]
    assert stopped[0]["sentence"].startswith("Step 1 of “Day” did not fire: ")


def test_a_deleted_policy_explains_no_step_that_fired(story: Story, tick: Tick) -> None:
    story.begin(0)
    address = f"/v1/escalation/policies/{story.policy['id']}"
    assert story.client.delete(address, headers=story.admin.headers).status_code == 200
    tick()
    assert [reason["code"] for reason in story.reasons()] == ["accepted"]


def test_what_came_first_is_what_stopped_it(story: Story, user: Person, clock: Clock) -> None:
    story.begin(30)
    story.act("acknowledge", user)
    clock.advance(minutes=60)
    story.act("resolve")
    [reason] = story.reasons()
    assert "did not fire: the incident was acknowledged at" in reason["sentence"]
    assert reason["sentence"].endswith(" by user.")


def test_of_a_reopened_incident_only_the_new_cycle_is_explained(story: Story, user: Person, clock: Clock) -> None:
    story.begin(0, 30)
    story.act("acknowledge", user)
    story.act("reopen")
    assert codes(story.reasons()) == ["not_due", "not_due"]
    assert explained(story.client, story.incident, story.admin)["cycle"] == 2
    clock.advance(minutes=5)
    story.act("resolve")
    assert "did not fire: the incident was resolved at" in story.reasons()[0]["sentence"]


def test_a_policy_that_does_not_match(story: Story) -> None:
    story.begin(0, conditions={"severity": ["critical", "low"], "assigned": True})
    [reason] = story.reasons()
    assert (reason["code"], reason["policy_id"]) == ("policy_mismatch", story.policy["id"])
    assert reason["sentence"] == (
        "“Night” does not match: assigned is false, not true; severity is high, not critical or low."
    )
    [policy] = explained(story.client, story.incident, story.admin)["policies"]
    assert (policy["matches"], policy["state"], policy["sentence"]) == (False, None, reason["sentence"])


def test_a_policy_that_matches_no_longer(story: Story) -> None:
    story.begin(30, conditions={"severity": "high"})
    path = f"/v1/incidents/{story.incident['id']}"
    story.client.put(path, json={"severity": "low"}, headers=story.admin.headers)
    assert codes(story.reasons()) == ["policy_mismatch"]
    [policy] = explained(story.client, story.incident, story.admin)["policies"]
    assert (policy["state"], policy["next_run_at"]) == ("ended", None)


def test_a_running_policy_that_no_longer_matches_goes_on(story: Story, user: Person) -> None:
    story.begin(30, conditions={"assigned": False})
    path = f"/v1/incidents/{story.incident['id']}/assign"
    story.client.post(path, json={"user_id": user.id}, headers=story.admin.headers)
    assert codes(story.reasons()) == ["not_due"]
    [policy] = explained(story.client, story.incident, story.admin)["policies"]
    assert (policy["matches"], policy["state"]) == (False, "running")
    assert policy["sentence"] == (
        "“Night” does not match: assigned is true, not false. "
        "It matched when its escalation started, so the escalation continues."
    )


def test_a_policys_state_in_an_earlier_cycle_is_not_shown(story: Story) -> None:
    story.begin(30, conditions={"severity": "high"})
    story.act("acknowledge")
    path = f"/v1/incidents/{story.incident['id']}"
    story.client.put(path, json={"severity": "low"}, headers=story.admin.headers)
    story.act("reopen")
    assert codes(story.reasons()) == ["policy_mismatch"]
    [policy] = explained(story.client, story.incident, story.admin)["policies"]
    assert (policy["matches"], policy["state"]) == (False, None)


def test_a_policy_that_was_switched_off(story: Story) -> None:
    story.begin(0, 30)
    path = f"/v1/escalation/policies/{story.policy['id']}"
    story.client.put(path, json={"is_active": False}, headers=story.admin.headers)
    paged, ended = story.reasons()
    assert (paged["code"], ended["code"], ended["step"]) == ("accepted", "stopped", 1)
    assert ended["sentence"] == "Step 2 of “Night” does not fire: the policy was switched off or deleted."


def test_a_policy_that_matches_says_where_it_stands(story: Story) -> None:
    story.begin(0, 30)
    [policy] = explained(story.client, story.incident, story.admin)["policies"]
    assert (policy["matches"], policy["state"], policy["sentence"]) == (True, "running", "“Night” matches.")
    assert policy["next_run_at"] is not None


def test_a_policy_whose_step_failed_says_when_it_is_tried_again(story: Story, session: Session, clock: Clock) -> None:
    story.begin(1)
    corrupt = text("UPDATE escalation_policy_versions SET steps = '[{\"delay_minutes\": 1}]'")
    session.execute(corrupt)
    session.commit()
    clock.advance(minutes=1)
    story.tick()
    [policy] = explained(story.client, story.incident, story.admin)["policies"]
    assert policy["sentence"].startswith("“Night” matches. Its step failed and is retried at 20")
    body = {"incident": {"severity": "high", "service": "database"}}
    answer = story.client.post("/v1/escalation/preview", json=body, headers=story.admin.headers)
    assert (answer.json()["policies"], answer.json()["is_anybody_paged"]) == ([], False)


def test_a_failed_step_explains_itself_to_those_it_would_page(story: Story, session: Session) -> None:
    story.begin(1, 2)
    session.execute(text("UPDATE incidents SET metadata = '0'"))
    session.execute(text("UPDATE escalations SET next_run_at = next_run_at - interval '1 minute'"))
    session.commit()
    story.tick()
    session.execute(text("UPDATE incidents SET metadata = '{}'"))
    session.commit()
    failed, to_come = story.reasons()
    assert (failed["code"], failed["step"], to_come["code"]) == ("quarantined", 0, "not_due")
    assert failed["sentence"].startswith("Step 1 of “Night” failed. It is retried at 20")


def test_an_administrator_who_was_not_needed_is_the_last_resort(story: Story) -> None:
    story.begin(0)
    [reason] = story.reasons(story.admin)
    assert (reason["code"], reason["notification_id"]) == ("last_resort", None)


def test_who_asks_or_works_on_it_but_is_named_by_no_policy_reads_so(
    story: Story, user: Person, sign_up: Callable[..., Person]
) -> None:
    story.begin(0)
    colleague, stranger = sign_up("colleague@example.com"), sign_up("stranger@example.com")
    body = {"user_id": colleague.id}
    story.client.post(f"/v1/incidents/{story.incident['id']}/assign", json=body, headers=user.headers)
    sentence = "No active policy pages this person about this incident."
    for person in (user, colleague):
        [reason] = story.reasons(person)
        assert (reason["code"], reason["sentence"]) == ("not_named", sentence)
    assert story.reasons(stranger) == []


def test_an_administrator_who_was_paged_because_a_policy_reached_nobody(story: Story) -> None:
    story.begin(0, target="assignees")
    paged, because = story.reasons(story.admin)
    assert (paged["code"], because["code"]) == ("accepted", "nobody_else")
    assert because["sentence"] == "Paged admin as an administrator: nobody else was reached."
    assert because["notification_id"] == paged["notification_id"]


def test_an_administrator_who_was_paged_because_no_page_arrived(story: Story, outbox: Outbox, sms: Outbox) -> None:
    outbox.answers, sms.answers = [DEAD], [DEAD]
    story.begin(0)
    for _ in range(3):
        story.tick()
    assert codes(story.reasons()) == ["failed", "failed", "fell_back"]
    assert codes(story.reasons(story.admin)) == ["accepted", "nobody_else"]


def test_an_administrator_whom_a_policy_names_is_no_last_resort(story: Story) -> None:
    story.begin(0, target="admins")
    assert codes(story.reasons(story.admin)) == ["accepted"]


def test_an_administrator_who_was_paged_by_hand_without_a_policy(story: Story, open_incident: Opener) -> None:
    story.incident = open_incident()
    story.act("escalate")
    story.tick()
    assert codes(story.reasons(story.admin)) == ["accepted", "nobody_else"]


def test_when_nobody_can_be_reached_it_says_why_for_each_administrator(story: Story) -> None:
    put(story.client, story.admin, "email", enabled=False)
    story.begin(0, target="assignees")
    found = story.reasons(story.admin)
    assert [(r["code"], r["channel"], r["detail"]) for r in found] == [
        ("skipped", "email", "disabled_by_recipient"),
        ("skipped", "sms", "no_address"),
    ]
    assert found[0]["sentence"].startswith("Nobody was reached, so the administrators were due at 20")


def test_without_policies_only_the_creator_and_admins_are_concerned(
    story: Story, user: Person, open_incident: Opener
) -> None:
    story.incident = open_incident()
    found = explained(story.client, story.incident, story.admin)
    assert (found["incident_id"], found["cycle"], found["policies"]) == (story.incident["id"], 1, [])
    told = [(person["recipient"], codes(person["reasons"])) for person in found["people"]]
    assert told == [(f"user:{story.admin.id}", ["last_resort"]), (f"user:{user.id}", ["not_named"])]


def test_an_assignee_counts_for_the_conditions_though_nobody_owns_the_incident(
    client: TestClient, admin: Person, on_call: Person, add_policy: Opener, open_incident: Opener
) -> None:
    add_policy(conditions={"assigned": False})
    incident, api = open_incident(), admin.on(client)
    for person, matches in ((None, True), (on_call, False)):
        if person is not None:
            api.call(f"POST /incidents/{incident['id']}/assign", {"user_id": person.id})
            api.call(f"PUT /incidents/{incident['id']}", {"assigned_to": None})
            assert api.incident(incident["id"])["assigned_to"] is None
        [explained_policy] = explained(client, incident, admin)["policies"]
        [previewed] = preview(client, admin, incident_id=incident["id"])["policies"]
        assert (explained_policy["matches"], previewed["matches"]) == (matches, matches)
