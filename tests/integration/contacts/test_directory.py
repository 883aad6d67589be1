"""A directory answers as `recipient_service.resolve`, for many targets and incidents with few statements."""

from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.core.target import Group, MailAddress, OnChannel, Target, UserId
from app.db.session import Database
from app.models import Incident
from app.services.contacts import directory_service, recipient_service
from app.services.contacts.quiet import Occasion
from app.services.ports import Paging
from app.utils.service_locator import Services
from tests.support.preferences import put
from tests.support.scenario import Opener
from tests.support.statements import statements
from tests.support.world import NUMBER, Person

SignUp = Callable[..., Person]
AT_NIGHT = Occasion("low", datetime(2026, 3, 1, 3, tzinfo=UTC))
OCCASIONS = [None, AT_NIGHT, replace(AT_NIGHT, severity="high")]
GROUPS = ("assignees", "creator", "admins", "all", "unknown")
NOBODY = 2_000_000_000


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


def delete(client: TestClient, admin: Person, person: Person) -> None:
    admin.on(client).call(f"DELETE /users/{person.id}")


def sign_up_unproved(client: TestClient, email: str) -> None:
    body = {"email": email, "password": "correct horse battery", "full_name": "Claims it"}
    answer = client.post("/v1/auth/signup", json=body)
    assert answer.is_success, answer.text


@pytest.fixture
def people(client: TestClient, admin: Person, sign_up: SignUp) -> list[Person]:
    """Somebody in every state that counts: active, without a name, deactivated, deleted, and deleted twice."""
    ada = sign_up("Ada@Example.com", full_name="Ada", phone_number=NUMBER)
    put(client, ada, "email", quiet_severities=["low"])
    put(client, ada, "sms", position=1)
    off = sign_up("off@example.com", full_name="Off")
    admin.on(client).call(f"PUT /users/{off.id}", {"is_active": False})
    claimed = sign_up("claimed@example.com", full_name="Gave it up")
    delete(client, admin, claimed)
    sign_up_unproved(client, "claimed@example.com")
    twice = []
    for name in ("First", "Second", "Third"):
        twice.append(sign_up("twice@example.com", full_name=name))
        delete(client, admin, twice[-1])
    inherited = sign_up("inherited@example.com", full_name="Before")
    delete(client, admin, inherited)
    heir = sign_up("inherited@example.com", full_name="Heir", is_superuser=True)
    sign_up_unproved(client, "only-claimed@example.com")
    return [ada, sign_up("unnamed@example.com"), off, claimed, *twice, inherited, heir]


def targets_of(people: Sequence[Person]) -> list[Target]:
    addresses = {person.email for person in people} | {"only-claimed@example.com", "Stranger@example.com"}
    spelled = sorted(addresses | {address.upper() for address in addresses})
    by_id = [UserId(person.id) for person in people]
    return [*by_id, UserId(NOBODY), *map(MailAddress, spelled), *map(Group, GROUPS), OnChannel("sms")]


@pytest.fixture
def incidents(
    client: TestClient, session: Session, admin: Person, people: list[Person], open_incident: Opener
) -> list[Incident]:
    """One with assignees and one without, by different creators."""
    ada, unnamed, heir = people[0], people[1], people[-1]
    opened = [open_incident(), open_incident(by=heir), open_incident(by=unnamed)]
    for person in (heir, ada, unnamed):
        admin.on(client).call(f"POST /incidents/{opened[0]['id']}/assign", {"user_id": person.id})
    delete(client, admin, unnamed)
    return [session.get_one(Incident, incident["id"]) for incident in opened]


@pytest.mark.parametrize("must_be_verified", [False, True])
def test_it_knows_the_same_people_as_resolving_each_target(
    session: Session, services: Services, people: list[Person], incidents: list[Incident], must_be_verified: bool
) -> None:
    paging = replace(services.paging, must_be_verified=must_be_verified)
    targets = targets_of(people)
    directories = directory_service.load_each(session, incidents, targets, paging)
    for incident in incidents:
        for occasion in OCCASIONS:
            for target in targets:
                found = directories[incident.id].people(target, occasion)
                resolved = recipient_service.resolve(session, incident, target, paging, occasion)
                assert [*map(astuple, found)] == [*map(astuple, resolved)], target


def test_it_knows_the_administrators_as_a_last_resort(
    session: Session, services: Services, people: list[Person], incidents: list[Incident]
) -> None:
    directory = directory_service.load(session, incidents[0], [], services.paging)
    assert len(directory.admins()) == 2
    assert [*map(astuple, directory.admins())] == [*map(astuple, recipient_service.admins(session, services.paging))]
    assert people[-1].id in [person.user_id for person in directory.admins()]


def test_who_was_not_loaded_is_unknown_and_not_gone(
    session: Session, services: Services, people: list[Person], incidents: list[Incident]
) -> None:
    directory = directory_service.load(session, incidents[1], [Group("assignees")], services.paging)
    for target in (UserId(people[0].id), MailAddress(people[0].email), Group("all")):
        with pytest.raises(KeyError):
            directory.people(target, None)


def test_whom_an_action_assigns_is_on_the_directory_of_the_new_assignees(
    client: TestClient,
    session: Session,
    services: Services,
    admin: Person,
    people: list[Person],
    incidents: list[Incident],
) -> None:
    incident, ada, off = incidents[1], people[0], people[2]
    directory = directory_service.load(session, incident, [UserId(ada.id), UserId(off.id)], services.paging)
    assert directory.people(OnChannel("sms"), None) == []
    admin.on(client).call(f"POST /incidents/{incident.id}/assign", {"user_id": ada.id})
    found = directory.on(incident, [ada.id, off.id]).people(OnChannel("sms"), AT_NIGHT)
    assert found == recipient_service.resolve(session, incident, OnChannel("sms"), services.paging, AT_NIGHT)
    assert found == directory.active([off.id, ada.id], AT_NIGHT)
    assert [person.user_id for person in found] == [ada.id]


def count_of_loading(
    database: Database, session: Session, incidents: list[Incident], targets: list[Target], paging: Paging
) -> int:
    with statements(database) as seen:
        directory_service.load_each(session, incidents, targets, paging)
    return len(seen)


def test_many_targets_and_incidents_take_as_many_statements_as_few(
    database: Database,
    session: Session,
    services: Services,
    sign_up: SignUp,
    people: list[Person],
    incidents: list[Incident],
    open_incident: Opener,
) -> None:
    few = count_of_loading(database, session, incidents[:1], targets_of(people), services.paging)
    more = [sign_up() for _ in range(20)]
    also = [session.get_one(Incident, open_incident()["id"]) for _ in range(5)]
    many = count_of_loading(database, session, [*incidents, *also], targets_of([*people, *more]), services.paging)
    assert many == few == 5
