"""Why somebody was paged about an incident, and why somebody was not: one reason for each thing that can happen."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.channel import Outcome
from app.core.config import Settings
from app.core.vocabulary import AttemptOutcome
from app.db.session import Database
from app.utils.service_locator import Services, build_services
from app.worker import Jobs
from tests.answers import problem
from tests.conftest import Clock, Outbox, Person
from tests.scenario import Opener, Tick, act, steps

LATER = Outcome(AttemptOutcome.RETRY, error="The server is busy.")
DEAD = Outcome(AttemptOutcome.DEAD, error="no such number")
Reasons = dict[str, list[dict[str, Any]]]


@pytest.fixture
def sms() -> Outbox:
    return Outbox("sms")


@pytest.fixture
def services(settings: Settings, database: Database, outbox: Outbox, sms: Outbox) -> Services:
    """An installation with two channels."""
    return build_services(settings, database, channels={"email": outbox, "sms": sms})


@pytest.fixture
def on_call(sign_up: Callable[..., Person]) -> Person:
    return sign_up("oncall@example.com", phone_number="+15550100", full_name="On Call")


def explained(client: TestClient, incident: dict[str, Any], by: Person) -> dict[str, Any]:
    answer = client.get(f"/v1/incidents/{incident['id']}/why", headers=by.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def why(client: TestClient, incident: dict[str, Any], by: Person) -> Reasons:
    """The reasons for each recipient."""
    return {person["recipient"]: person["reasons"] for person in explained(client, incident, by)["people"]}


def codes(reasons: list[dict[str, Any]]) -> list[str]:
    return [reason["code"] for reason in reasons]


def prefer(client: TestClient, by: Person, channel: str, **change: Any) -> None:
    answer = client.put(f"/v1/notification-preferences/me/{channel}", json=change, headers=by.headers)
    assert answer.status_code == 200, answer.text


class Story:
    """The person on call is paged about an incident by one policy, and asks why."""

    def __init__(
        self, client: TestClient, on_call: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick
    ) -> None:
        self.client, self.on_call, self.admin, self.tick = client, on_call, admin, tick
        self._add_policy, self._open = add_policy, open_incident
        self.incident: dict[str, Any] = {}
        self.policy: dict[str, Any] = {}

    def begin(self, *delays: float, conditions: dict[str, Any] | None = None, **action: Any) -> None:
        action = {"target": self.on_call.id, **action}
        self.policy = self._add_policy(name="Night", conditions=conditions or {}, steps=steps(*delays, **action))
        self.incident = self._open()
        self.tick()

    def reasons(self, person: Person | None = None) -> list[dict[str, Any]]:
        found = why(self.client, self.incident, self.admin)
        return found.get(f"user:{(person or self.on_call).id}", [])

    def act(self, what: str, by: Person | None = None, **query: Any) -> None:
        act(self.client, self.incident, what, by or self.admin, **query)


@pytest.fixture
def story(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick
) -> Story:
    return Story(client, on_call, admin, add_policy, open_incident, tick)


def test_a_page_that_was_accepted(story: Story) -> None:
    story.begin(0)
    [reason] = story.reasons()
    assert (reason["code"], reason["channel"]) == ("accepted", "email")
    assert reason["at"] is not None
    assert reason["sentence"].startswith("Paged by email: accepted at 20")
    [sent] = story.client.get("/v1/notifications", headers=story.on_call.headers).json()
    assert reason["notification_id"] == sent["id"]


def test_a_page_that_was_delivered(story: Story, database: Database) -> None:
    story.begin(0)
    with database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE notifications SET status = 'delivered', delivered_at = now()")
    assert codes(story.reasons()) == ["delivered"]


def test_a_page_that_is_about_to_be_sent(story: Story, jobs: Jobs) -> None:
    story.tick = jobs.plan
    story.begin(0)
    [reason] = story.reasons()
    assert (reason["code"], reason["sentence"]) == ("waiting", "The page by email is about to be sent.")


def test_a_page_that_is_tried_again_says_when_and_what_was_wrong(story: Story, outbox: Outbox, clock: Clock) -> None:
    outbox.answers = [LATER, LATER]
    story.begin(0)
    [reason] = story.reasons()
    assert (reason["code"], reason["detail"]) == ("retrying", "The server is busy.")
    assert "was tried once, again at 20" in reason["sentence"]
    assert reason["sentence"].endswith(": The server is busy.")
    clock.advance(seconds=2)
    story.tick()
    assert "was tried 2 times" in story.reasons()[0]["sentence"]


def test_a_page_that_failed_and_fell_back(story: Story, outbox: Outbox) -> None:
    outbox.answers = [DEAD]
    story.begin(0)
    story.tick()
    failed, paged, fell_back = story.reasons()
    assert (failed["code"], failed["channel"], failed["detail"]) == ("failed", "email", "no such number")
    assert failed["sentence"] == "The page by email failed: no such number."
    assert (paged["code"], paged["channel"]) == ("accepted", "sms")
    assert (fell_back["code"], fell_back["channel"], fell_back["detail"]) == ("fell_back", "sms", "email")
    assert fell_back["notification_id"] == paged["notification_id"]
    assert codes(story.reasons(story.admin)) == ["last_resort"]  # not needed


def test_a_page_that_an_acknowledgement_cancelled_says_by_whom(story: Story, outbox: Outbox, clock: Clock) -> None:
    outbox.answers = [LATER]
    story.begin(0)
    story.act("acknowledge")
    clock.advance(seconds=2)
    story.tick()
    [reason] = story.reasons()
    assert (reason["code"], reason["detail"]) == ("cancelled", None)
    assert reason["sentence"].startswith("The page by email was cancelled: acknowledged at 20")
    assert reason["sentence"].endswith(" by a***@example.com.")


def test_a_page_to_somebody_who_has_left_meanwhile(story: Story, outbox: Outbox, clock: Clock) -> None:
    outbox.answers = [LATER]
    story.begin(0)
    leave = {"is_active": False}
    story.client.put(f"/v1/users/{story.on_call.id}", json=leave, headers=story.admin.headers)
    clock.advance(seconds=2)
    story.tick()
    story.tick()
    [reason] = story.reasons()
    assert "account was deactivated." in reason["sentence"]
    assert "nobody_else" in codes(story.reasons(story.admin))


def test_a_step_that_is_not_due_says_when_and_by_what(story: Story) -> None:
    story.begin(0, 30)
    paged, to_come = story.reasons()
    assert (paged["code"], to_come["code"], to_come["channel"], to_come["step"]) == ("accepted", "not_due", "email", 1)
    assert to_come["policy_id"] == story.policy["id"]
    assert to_come["sentence"].startswith("Step 2 of “Night” is not due until 20")
    assert to_come["sentence"].endswith("; then it pages by email.")


def test_a_step_to_come_that_would_not_page_says_why(story: Story) -> None:
    prefer(story.client, story.on_call, "sms", enabled=False)
    prefer(story.client, story.on_call, "email", quiet_severities=["high"])
    story.begin(30)
    assert [(r["code"], r["channel"], r["detail"]) for r in story.reasons()] == [
        ("would_skip", "email", "quiet"),
        ("would_skip", "sms", "disabled_by_recipient"),
    ]


@pytest.mark.parametrize(("what", "query"), [("acknowledge", {}), ("resolve", {}), ("snooze", {"hours": 1})])
def test_a_step_that_does_not_fire_any_more_says_who_stopped_it(
    story: Story, user: Person, what: str, query: dict[str, Any]
) -> None:
    story.begin(30, 60)
    story.act(what, user, **query)
    past = {"acknowledge": "acknowledged", "resolve": "resolved", "snooze": "snoozed"}[what]
    for number, reason in enumerate(story.reasons(), start=1):
        assert (reason["code"], reason["step"]) == ("stopped", number - 1)
        assert reason["sentence"].startswith(f"Step {number} of “Night” did not fire: {past} at 20")
        assert reason["sentence"].endswith(" by u***@example.com.")
    assert len(story.reasons()) == 2


def test_what_came_first_is_what_stopped_it(story: Story, user: Person, clock: Clock) -> None:
    story.begin(30)
    story.act("acknowledge", user)
    clock.advance(minutes=60)
    story.act("resolve")
    [reason] = story.reasons()
    assert "did not fire: acknowledged at" in reason["sentence"]
    assert reason["sentence"].endswith(" by u***@example.com.")


def test_of_a_reopened_incident_only_the_new_cycle_is_explained(story: Story, user: Person, clock: Clock) -> None:
    story.begin(0, 30)
    story.act("acknowledge", user)
    story.act("reopen")
    assert codes(story.reasons()) == ["not_due", "not_due"]
    assert explained(story.client, story.incident, story.admin)["cycle"] == 2
    clock.advance(minutes=5)
    story.act("resolve")
    assert "did not fire: resolved at" in story.reasons()[0]["sentence"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"enabled": False}, "disabled_by_recipient"),
        ({"quiet_severities": ["high"]}, "quiet"),
        ({"quiet_severities": ["low"]}, None),
    ],
)
def test_a_channel_that_was_skipped(story: Story, change: dict[str, Any], reason: str | None) -> None:
    prefer(story.client, story.on_call, "sms", **change)
    story.begin(0, channels=["sms", "email"])
    found = {r["channel"]: r for r in story.reasons()}
    assert found["email"]["code"] == "accepted"
    assert (found["sms"]["code"], found["sms"]["detail"]) == (("skipped", reason) if reason else ("accepted", None))
    if reason:
        assert (found["sms"]["policy_id"], found["sms"]["step"]) == (story.policy["id"], 0)
        assert found["sms"]["sentence"].startswith("Step 1 of “Night” fired at 20")


def test_an_address_that_there_is_not(story: Story, user: Person) -> None:
    story.begin(0, target=user.id, channels=["sms"])
    [reason] = story.reasons(user)
    assert (reason["code"], reason["detail"]) == ("skipped", "no_address")
    assert reason["sentence"].endswith(", but not by sms: the channel leads nowhere for this person.")


class TestWhereAddressesMustBeVerified:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"require_verified_addresses": True})

    def test_an_address_that_is_not(self, story: Story) -> None:
        story.begin(0, channels=["sms"])
        [reason] = story.reasons()
        assert (reason["code"], reason["detail"]) == ("skipped", "not_verified")


def test_a_policy_that_does_not_match(story: Story) -> None:
    story.begin(0, conditions={"severity": ["critical", "low"], "assigned": True})
    [reason] = story.reasons()
    assert (reason["code"], reason["policy_id"]) == ("policy_mismatch", story.policy["id"])
    assert "“Night” does not match: " in reason["sentence"]
    assert "severity is high and it wants critical or low" in reason["sentence"]
    assert "assigned is false and it wants true" in reason["sentence"]
    [policy] = explained(story.client, story.incident, story.admin)["policies"]
    assert (policy["matches"], policy["state"], policy["sentence"]) == (False, None, reason["sentence"])


def test_a_policy_that_matches_no_longer(story: Story) -> None:
    story.begin(30, conditions={"severity": "high"})
    path = f"/v1/incidents/{story.incident['id']}"
    story.client.put(path, json={"severity": "low"}, headers=story.admin.headers)
    assert codes(story.reasons()) == ["policy_mismatch"]
    [policy] = explained(story.client, story.incident, story.admin)["policies"]
    assert (policy["state"], policy["next_run_at"]) == ("ended", None)


def test_a_policy_that_goes_on_though_it_would_not_match_now(story: Story, user: Person) -> None:
    story.begin(30, conditions={"assigned": False})
    path = f"/v1/incidents/{story.incident['id']}/assign"
    story.client.post(path, json={"user_id": user.id}, headers=story.admin.headers)
    assert codes(story.reasons()) == ["not_due"]
    [policy] = explained(story.client, story.incident, story.admin)["policies"]
    assert (policy["matches"], policy["state"]) == (False, "running")
    assert policy["sentence"] == (
        "“Night” does not match: assigned is true and it wants false. It did when its escalation began, which goes on."
    )


def test_where_a_policy_stood_in_an_earlier_cycle_is_not_told(story: Story) -> None:
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
    assert policy["sentence"].startswith("“Night” matches. Its step failed, and is tried again at 20")
    body = {"incident": {"severity": "high", "service": "database"}}
    answer = story.client.post("/v1/escalation/preview", json=body, headers=story.admin.headers)
    assert answer.json()["policies"][0]["reaches_nobody"] is True


def test_pages_that_came_in_one_message(story: Story, open_incident: Opener, outbox: Outbox, clock: Clock) -> None:
    story.begin(0)
    others = [open_incident(title=f"Disk {number}") for number in range(8)]
    story.tick()
    held = why(story.client, others[-1], story.admin)[f"user:{story.on_call.id}"]
    assert codes(held) == ["held"]
    outbox.answers = []
    clock.advance(seconds=25)
    outbox.answers = [LATER] * 8
    story.tick()
    clock.advance(seconds=60)
    waiting = why(story.client, others[-1], story.admin)[f"user:{story.on_call.id}"]
    assert codes(waiting) == ["retrying", "bundled"]
    outbox.answers = []
    story.tick()
    told = why(story.client, others[-1], story.admin)[f"user:{story.on_call.id}"]
    assert codes(told)[:2] == ["accepted", "bundled"]
    assert "one message by email names this incident with others" in told[1]["sentence"]


def test_an_administrator_whom_nothing_concerns(story: Story) -> None:
    story.begin(0)
    [reason] = story.reasons(story.admin)
    assert (reason["code"], reason["notification_id"]) == ("last_resort", None)


def test_an_administrator_who_was_paged_because_a_policy_reached_nobody(story: Story) -> None:
    story.begin(0, target="assignees")
    paged, because = story.reasons(story.admin)
    assert (paged["code"], because["code"]) == ("accepted", "nobody_else")
    assert because["sentence"] == "Paged as an administrator: nobody else was reached."
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


def test_a_page_by_hand_is_explained_like_any_other(story: Story) -> None:
    story.begin(30)
    story.act("escalate")
    story.tick()
    assert codes(story.reasons()) == ["accepted"]


def test_when_nobody_can_be_reached_it_says_why_for_each_administrator(story: Story) -> None:
    prefer(story.client, story.admin, "email", enabled=False)
    story.begin(0, target="assignees")
    found = story.reasons(story.admin)
    assert [(r["code"], r["channel"], r["detail"]) for r in found] == [
        ("skipped", "email", "disabled_by_recipient"),
        ("skipped", "sms", "no_address"),
    ]
    assert found[0]["sentence"].startswith("Nobody was reached, so the administrators were to be paged at 20")


def test_an_incident_without_policies_concerns_the_administrators_at_most(story: Story, open_incident: Opener) -> None:
    story.incident = open_incident()
    found = explained(story.client, story.incident, story.admin)
    assert (found["incident_id"], found["cycle"], found["policies"]) == (story.incident["id"], 1, [])
    assert [person["recipient"] for person in found["people"]] == [f"user:{story.admin.id}"]


def test_people_are_named_and_addresses_without_an_account_are_hidden(story: Story) -> None:
    story.begin(0, target=[story.on_call.id, "stranger@example.com"])
    found = explained(story.client, story.incident, story.admin)
    named = {person["recipient"]: (person["user_id"], person["name"]) for person in found["people"]}
    assert named == {
        f"user:{story.on_call.id}": (story.on_call.id, "On Call"),
        "email:s***@example.com": (None, None),
        f"user:{story.admin.id}": (story.admin.id, "a***@example.com"),
    }
    assert "stranger@" not in str(found)


def test_it_is_for_administrators_the_creator_and_assignees(
    story: Story, user: Person, sign_up: Callable[..., Person]
) -> None:
    story.begin(0)
    path = f"/v1/incidents/{story.incident['id']}/why"
    for person in (story.admin, user):  # who has opened it
        assert story.client.get(path, headers=person.headers).status_code == 200
    problem(story.client.get(path, headers=story.on_call.headers), 403)
    assign = {"user_id": story.on_call.id}
    story.client.post(f"/v1/incidents/{story.incident['id']}/assign", json=assign, headers=story.admin.headers)
    assert story.client.get(path, headers=story.on_call.headers).status_code == 200
    problem(story.client.get(path, headers=sign_up().headers), 403)
    problem(story.client.get("/v1/incidents/2000000000/why", headers=story.admin.headers), 404)
    assert story.client.get(path).status_code == 401
