"""Explaining an incident takes few statements, however many policies and people there are."""

from collections.abc import Callable
from itertools import count

import pytest
from fastapi.testclient import TestClient

from app.db.session import Database
from app.utils.service_locator import Services
from tests.support.explanations import codes, why
from tests.support.scenario import Opener, Tick, steps
from tests.support.statements import statements
from tests.support.world import Person

MANY = 12
AT_MOST = 20


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


@pytest.fixture
def add_policies(add_policy: Opener, sign_up: Callable[..., Person]) -> Callable[[], None]:
    """Adds one policy that matches and one that does not. Each names people of its own, by id and by address."""
    number = count()

    def run() -> None:
        for conditions in ({}, {"service": "elsewhere"}):
            n = next(number)
            by_id, by_address = sign_up(), sign_up(f"Named-{n}@example.com")
            target = [by_id.id, by_address.email.lower(), f"stranger-{n}@example.com", "assignees", "creator", "all"]
            add_policy(name=f"Policy {n}", conditions=conditions, steps=steps(0, 30, 60, target=target))

    return run


@pytest.mark.slow
def test_many_policies_and_people_need_few_statements(
    client: TestClient,
    database: Database,
    admin: Person,
    add_policies: Callable[[], None],
    open_incident: Opener,
    tick: Tick,
) -> None:
    for _ in range(MANY):
        add_policies()
    incident = open_incident()
    tick()
    with statements(database) as seen:
        found = why(client, incident, admin)
    assert len(found) > 2 * MANY
    assert {code for reasons in found.values() for code in codes(reasons)} >= {"not_due", "policy_mismatch"}
    assert len(seen) <= AT_MOST


def test_an_address_means_its_account_whatever_its_case(
    client: TestClient, admin: Person, sign_up: Callable[..., Person], add_policy: Opener, open_incident: Opener
) -> None:
    person, left = sign_up("Some.Body@example.com"), sign_up("gone@example.com")
    client.put(f"/v1/users/{left.id}", json={"is_active": False}, headers=admin.headers)
    targets = ["SOME.body@example.com", "gone@example.com", "stranger@example.com"]
    add_policy(steps=steps(30, target=targets))
    found = why(client, open_incident(), admin)
    assert codes(found[f"user:{person.id}"]) == ["not_due"]
    assert [(r["code"], r["detail"]) for r in found[f"user:{left.id}"]] == [("would_skip", "not_active")]
    assert codes(found["email:s***@example.com"]) == ["not_due", "no_account"]


def test_an_address_that_was_given_to_a_new_account_means_that(
    client: TestClient, admin: Person, sign_up: Callable[..., Person], add_policy: Opener, open_incident: Opener
) -> None:
    deleted = sign_up("taken-over@example.com")
    assert client.delete(f"/v1/users/{deleted.id}", headers=admin.headers).is_success
    heir = sign_up("taken-over@example.com")
    add_policy(steps=steps(30, target="Taken-Over@example.com"))
    found = why(client, open_incident(), admin)
    assert codes(found[f"user:{heir.id}"]) == ["not_due"]
    assert f"user:{deleted.id}" not in found
