"""Explanations and previews take few statements, however many policies, steps and people there are."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from app.db.session import Database
from app.utils.service_locator import Services
from tests.support.explanations import codes, why
from tests.support.previews import announced, assign, preview, skipped
from tests.support.scenario import Opener, Tick, steps
from tests.support.statements import statements
from tests.support.world import Person

FEW, MANY = 6, 50
AT_MOST = 15


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


@pytest.fixture
def add_policies(
    add_policy: Opener, admin: Person, client: TestClient, sign_up: Callable[..., Person]
) -> Callable[[int], None]:
    """Adds policies, every other one matching. Each names three people of its own; one of them has left."""

    def run(times: int) -> None:
        for n in range(times):
            by_id, by_address, left = sign_up(), sign_up(f"Named-{times}-{n}@example.com"), sign_up()
            named = [by_id.id, by_address.email.lower(), f"stranger-{n}@example.com", left.id, left.email.upper()]
            planned = steps(0, 30, 60, target=[*named, "assignees", "creator", "all"])
            planned[1]["actions"].insert(0, assign(by_id))
            add_policy(conditions={"service": "elsewhere"} if n % 2 else {}, steps=planned)
            admin.on(client).call(f"DELETE /users/{left.id}")

    return run


@pytest.mark.slow
def test_explaining_many_policies_takes_as_many_statements_as_few(
    client: TestClient,
    database: Database,
    user: Person,
    add_policies: Callable[[int], None],
    open_incident: Opener,
    tick: Tick,
) -> None:
    counted = []
    for more in (FEW, MANY - FEW):
        add_policies(more)
        incident = open_incident()
        tick()
        with statements(database) as seen:
            found = why(client, incident, user)
        counted.append(len(seen))
        told = {code for reasons in found.values() for code in codes(reasons)}
        assert told >= {"not_due", "policy_mismatch", "no_account", "would_skip", "accepted"}
    assert len(found) > 2 * MANY
    few, many = counted
    assert few <= many <= few + 1 <= AT_MOST  # one more if pages wait together in one message


@pytest.mark.slow
def test_previewing_many_policies_takes_as_many_statements_as_few(
    client: TestClient, database: Database, admin: Person, add_policies: Callable[[int], None], open_incident: Opener
) -> None:
    counted, incident = [], open_incident()
    for more in (FEW, MANY - FEW):
        add_policies(more)
        with statements(database) as seen:
            found = preview(client, admin, incident_id=incident["id"])
        counted.append(len(seen))
    assert len(announced(found)) > 2 * MANY
    assert {reason for _, _, reason in skipped(found)} >= {"not_active"}
    assert counted[0] == counted[1] <= AT_MOST


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
