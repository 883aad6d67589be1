"""Steps that name the same people or channels again and again: each page is written once."""

from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.crud.clock import now
from app.models import Escalation, Incident
from app.services.policies import action_service
from app.services.policies.situation import Context, Situation
from app.utils.service_locator import Services
from tests.support.previews import preview, step
from tests.support.scenario import Opener, Tick, events, notify
from tests.support.world import ADMIN, Outbox, Person

EVERYBODY = notify(target=["all"] * 100, channels=["email"] * 100)


def test_a_policy_is_kept_without_its_repeats(client: TestClient, admin: Person, add_policy: Opener) -> None:
    kept = {"type": "notify", "target": ["all"], "channels": ["email"]}
    policy = add_policy(steps=[step(0, EVERYBODY)])
    assert policy["steps"][0]["actions"] == [kept]
    body = {"steps": [step(5, EVERYBODY, EVERYBODY)]}
    changed = admin.on(client).send(f"PUT /escalation/policies/{policy['id']}", body)
    assert changed.json()["steps"][0]["actions"] == [kept, kept]


def test_actions_naming_the_same_people_page_each_once_in_the_first_words(
    client: TestClient, user: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    outbox: Outbox,
) -> None:  # fmt: skip
    first, others = notify(target="creator", message="first"), [notify(target="all", message="again")] * 19
    add_policy(steps=[step(0, first, *others)])
    incident = open_incident()
    tick()
    assert {sent.address: sent.pages[0].note for sent in outbox.sent} == {user.email: "first", ADMIN: "again"}
    assert len(outbox.sent) == 2
    [event] = events(client, incident, admin)
    assert [action["pages"] for action in event["metadata"]["actions"]] == [1, *[2] * 19]


def test_a_page_is_written_once_in_a_step(
    services: Services, session: Session, user: Person, admin: Person, open_incident: Opener
) -> None:
    open_incident()
    incident = session.scalars(select(Incident)).one()
    situation = Situation(session=session, incident=incident, paging=services.paging, at=now(session))
    context = Context.of(situation, Escalation(policy_id=1))
    once, again = (action_service.perform(context, [notify(target="all")]).planned.pages for _ in range(2))
    assert [page.page.person.user_id for page in once] == [user.id, admin.id]
    assert all(page is before for page, before in zip(again, once, strict=True))


def test_a_policy_that_was_kept_with_its_repeats_pages_each_once(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, session: Session, user: Person
) -> None:
    add_policy()
    repeated: dict[str, Any] = {"target": '["all", "all"]', "channels": '["email", "email"]'}
    for name, value in repeated.items():
        change = "UPDATE escalation_policy_versions SET steps = jsonb_set(steps, :path, CAST(:value AS jsonb))"
        session.execute(text(change), {"path": f"{{0,actions,0,{name}}}", "value": value})
    session.commit()
    open_incident()
    tick()
    assert sorted(sent.address for sent in outbox.sent) == sorted([ADMIN, user.email])


def test_a_preview_announces_each_once(client: TestClient, admin: Person, user: Person) -> None:
    body = {"name": "Draft", "actions": [EVERYBODY]}
    found = preview(client, admin, incident={"severity": "high", "service": "database"}, policy=body)
    [action] = found["policies"][0]["steps"][0]["actions"]
    assert [person["user_id"] for person in action["people"]] == sorted([admin.id, user.id])
