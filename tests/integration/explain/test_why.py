"""Why somebody was paged about an incident, and why a page did not arrive: a reason for each thing that can happen."""

from collections.abc import Callable
from typing import Any

import pytest

from app.core.config import Settings
from app.db.session import Database
from app.utils.service_locator import Services
from app.worker import Jobs
from tests.support.answers import problem
from tests.support.explanations import DEAD, LATER, Story, codes, explained, why
from tests.support.preferences import put
from tests.support.scenario import Opener
from tests.support.world import Clock, Outbox, Person


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


def test_a_page_that_was_accepted(story: Story) -> None:
    story.begin(0)
    [reason] = story.reasons()
    assert (reason["code"], reason["channel"]) == ("accepted", "email")
    assert reason["at"] is not None
    assert reason["sentence"].startswith("Paged On Call by e-mail: accepted at 20")
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
    assert (reason["code"], reason["sentence"]) == ("waiting", "The page to On Call by e-mail is about to be sent.")


def test_a_page_that_is_tried_again_says_when_and_what_was_wrong(story: Story, outbox: Outbox, clock: Clock) -> None:
    outbox.answers = [LATER, LATER]
    story.begin(0)
    [reason] = story.reasons()
    assert (reason["code"], reason["detail"]) == ("retrying", "The server is busy.")
    assert "was tried once: The server is busy. Next try at 20" in reason["sentence"]
    clock.advance(seconds=2)
    story.tick()
    assert "was tried 2 times" in story.reasons()[0]["sentence"]


def test_a_page_that_failed_and_fell_back(story: Story, outbox: Outbox) -> None:
    outbox.answers = [DEAD]
    story.begin(0)
    story.tick()
    failed, paged, fell_back = story.reasons()
    assert (failed["code"], failed["channel"], failed["detail"]) == ("failed", "email", "no such number")
    assert failed["sentence"] == "The page to On Call by e-mail failed: no such number."
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
    assert reason["sentence"].startswith(
        "The page to On Call by e-mail was cancelled: the incident was acknowledged at 20"
    )
    assert reason["sentence"].endswith(" by admin.")


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


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"enabled": False}, "disabled_by_recipient"),
        ({"quiet_severities": ["high"]}, "quiet"),
        ({"quiet_severities": ["low"]}, None),
    ],
)
def test_a_channel_that_was_skipped(story: Story, change: dict[str, Any], reason: str | None) -> None:
    put(story.client, story.on_call, "sms", **change)
    story.begin(0, channels=["sms", "email"])
    found = {r["channel"]: r for r in story.reasons()}
    assert found["email"]["code"] == "accepted"
    assert (found["sms"]["code"], found["sms"]["detail"]) == (("skipped", reason) if reason else ("accepted", None))
    if reason:
        assert (found["sms"]["policy_id"], found["sms"]["step"]) == (story.policy["id"], 0)
        assert found["sms"]["sentence"].startswith("Step 1 of “Night” fired at 20")


def test_a_named_channel_without_an_address_says_so(story: Story, user: Person) -> None:
    story.begin(0, target=user.id, channels=["sms"])
    [reason] = story.reasons(user)
    assert (reason["code"], reason["detail"]) == ("skipped", "no_address")
    assert reason["sentence"].endswith(" and did not page user by SMS: the person has no address on this channel.")


def test_somebody_who_is_named_and_has_left(story: Story, clock: Clock) -> None:
    story.begin(1, target=[story.on_call.id, "creator"])
    story.client.put(f"/v1/users/{story.on_call.id}", json={"is_active": False}, headers=story.admin.headers)
    clock.advance(minutes=1)
    story.tick()
    [reason] = story.reasons()
    assert (reason["code"], reason["detail"], reason["channel"]) == ("skipped", "not_active", None)
    assert reason["sentence"].endswith(" and did not page On Call: the account is deactivated or deleted.")


class TestWhereAddressesMustBeVerified:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"require_verified_addresses": True})

    def test_an_address_that_is_not(self, story: Story) -> None:
        story.begin(0, channels=["sms"])
        [reason] = story.reasons()
        assert (reason["code"], reason["detail"]) == ("skipped", "not_verified")


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
    assert "one message by e-mail names them all" in told[1]["sentence"]


def test_a_page_by_hand_is_explained_like_any_other(story: Story) -> None:
    story.begin(30)
    story.act("escalate")
    story.tick()
    assert codes(story.reasons()) == ["accepted"]


def test_people_are_named_and_addresses_without_an_account_are_hidden(story: Story, user: Person) -> None:
    story.begin(0, target=[story.on_call.id, "stranger@example.com"])
    found = explained(story.client, story.incident, story.admin)
    named = {person["recipient"]: (person["user_id"], person["name"]) for person in found["people"]}
    assert named == {
        f"user:{story.on_call.id}": (story.on_call.id, "On Call"),
        "email:s***@example.com": (None, None),
        f"user:{story.admin.id}": (story.admin.id, "admin"),
        f"user:{user.id}": (user.id, "user"),
    }
    assert "stranger@" not in str(found)


def test_it_is_for_administrators_the_creator_assignees_and_whoever_was_paged(
    story: Story, user: Person, sign_up: Callable[..., Person]
) -> None:
    story.begin(0)
    path = f"/v1/incidents/{story.incident['id']}/why"
    for person in (story.admin, user, story.on_call):  # who opened it, and who was paged
        assert story.client.get(path, headers=person.headers).status_code == 200
    stranger = sign_up()
    problem(story.client.get(path, headers=stranger.headers), 403)
    assign = {"user_id": stranger.id}
    story.client.post(f"/v1/incidents/{story.incident['id']}/assign", json=assign, headers=story.admin.headers)
    assert story.client.get(path, headers=stranger.headers).status_code == 200
    problem(story.client.get(path, headers=sign_up().headers), 403)
    problem(story.client.get("/v1/incidents/2000000000/why", headers=story.admin.headers), 404)
    assert story.client.get(path).status_code == 401
