"""Fills a database with people, policies and incidents: many rows with one statement each."""

import json
from collections.abc import Sequence
from typing import Any

from tests.faults.provider import Provider
from tests.faults.server import Store

ADMIN_EMAIL = "admin@example.com"
UNUSABLE = "!"  # nobody logs in here

PEOPLE = """
    INSERT INTO users (email, hashed_password)
    SELECT 'person-' || gen_random_uuid() || '@example.com', :unusable FROM generate_series(1, :number)
    RETURNING id
"""
ADDRESSES = """
    INSERT INTO notification_preferences (user_id, channel, is_enabled, address, verified_address, position)
    SELECT id, 'webhook', true, address, address, 1
    FROM (SELECT id, :url || '/' || id AS address FROM unnest(CAST(:ids AS int[])) AS id) AS one
"""
MAIL = """
    INSERT INTO notification_preferences (user_id, channel, is_enabled, position)
    SELECT id, 'email', :is_enabled, 2 FROM unnest(CAST(:ids AS int[])) AS id
"""
POLICY = """
    INSERT INTO escalation_policies (name, conditions, steps, repeat)
    VALUES (:name, CAST(:conditions AS jsonb), CAST(:steps AS jsonb), :repeat) RETURNING id
"""
VERSION = """
    INSERT INTO escalation_policy_versions (policy_id, version, conditions, steps, repeat)
    SELECT id, version, conditions, steps, repeat FROM escalation_policies WHERE id = :id
"""
INCIDENTS = """
    INSERT INTO incidents (title, severity, service, assigned_to)
    SELECT 'incident ' || number, 'high', :service, (CAST(:ids AS int[]))[1 + (number - 1) % cardinality(:ids)]
    FROM generate_series(1, :number) AS number
    RETURNING id
"""
ESCALATIONS = """
    INSERT INTO escalations (incident_id, policy_id, version_id, state, cycle, loop, repeats_left, step, next_run_at)
    SELECT incident, version.policy_id, version.id, 'running', 1, 0, version.repeat, 0,
        now() + coalesce(nullif(current_setting('incidents.clock_offset', true), ''), '0')::interval
            + make_interval(secs => :due_in + :apart * (position - 1))
    FROM unnest(CAST(:incidents AS int[])) WITH ORDINALITY AS due(incident, position)
    JOIN escalation_policy_versions AS version ON version.policy_id = :policy
"""


def notify(target: Any = "assignees", **fields: Any) -> dict[str, Any]:
    return {"type": "notify", "target": target, **fields}


def steps(*delays: float, target: Any = "assignees", **fields: Any) -> list[dict[str, Any]]:
    """Steps that page somebody after so many minutes."""
    return [{"delay_minutes": delay, "actions": [notify(target, **fields)]} for delay in delays]


def add_people(store: Store, provider: Provider, number: int, *, mail: bool = False) -> list[int]:
    """People who are reached at the provider, and then, with `mail`, by e-mail. Returns their ids."""
    ids = [row.id for row in store.rows(PEOPLE, number=number, unusable=UNUSABLE)]
    store.run(ADDRESSES, ids=ids, url=provider.url)
    store.run(MAIL, ids=ids, is_enabled=mail)
    return ids


def add_mail_people(store: Store, number: int) -> list[int]:
    """People who are reached by e-mail alone."""
    ids = [row.id for row in store.rows(PEOPLE, number=number, unusable=UNUSABLE)]
    store.run(MAIL, ids=ids, is_enabled=True)
    return ids


def add_admin(store: Store, provider: Provider) -> int:
    """The administrator, who is reached at the provider as well."""
    store.run(
        "INSERT INTO users (email, hashed_password, is_superuser) VALUES (:email, :unusable, true)",
        email=ADMIN_EMAIL,
        unusable=UNUSABLE,
    )
    id_: int = store.one("SELECT id FROM users WHERE email = :email", email=ADMIN_EMAIL)
    store.run(ADDRESSES, ids=[id_], url=provider.url)
    store.run(MAIL, ids=[id_], is_enabled=False)
    return id_


def add_policy(
    store: Store, stages: list[dict[str, Any]], *, name: str = "policy", service: str | None = None, repeat: int = 0
) -> int:
    """A policy with its first version; for every incident, or those of one service."""
    conditions = json.dumps({"service": service} if service else {})
    [row] = store.rows(POLICY, name=name, conditions=conditions, steps=json.dumps(stages), repeat=repeat)
    policy_id: int = row.id
    store.run(VERSION, id=policy_id)
    return policy_id


def add_incidents(
    store: Store,
    policy_id: int,
    number: int,
    people: Sequence[int],
    *,
    due_in: float = 0.0,
    apart: float = 0.0,
    service: str = "api",
) -> list[int]:
    """Open incidents of the people in turn. Their first step is due in so many seconds, each `apart` later."""
    ids = [row.id for row in store.rows(INCIDENTS, number=number, ids=list(people), service=service)]
    store.run(ESCALATIONS, incidents=ids, policy=policy_id, due_in=due_in, apart=apart)
    return ids
