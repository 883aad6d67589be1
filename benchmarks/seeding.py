"""Fills databases: people, policies and incidents. The naive service names its tables and columns as ours does."""

import json
import os
from collections.abc import Mapping
from typing import Any

import psycopg2.errors

from benchmarks import postgres, wire
from benchmarks.services import ADMIN, PASSWORD, PEOPLE, SECRETS, Service, token_of

POLICIES = 100
MATCHED = "service-7"  # one policy of the hundred matches
UNMATCHED = "nobody-watches-this"
DELAY_MINUTES = 1440  # nothing falls due while it is measured
RECORD_OF = 500  # incidents that have comments, assignments and a long timeline
CLEARING_ATTEMPTS = 5
CLEAR = ("SET lock_timeout = '5s'", "TRUNCATE incidents CASCADE")
INCIDENTS = """
    INSERT INTO incidents (title, description, severity, service, created_by)
    SELECT 'Disk ' || number || ' is full', repeat('x', 200), 'high', 'service-' || mod(number, 100),
        (SELECT min(id) FROM users) FROM generate_series(1, %(number)s) AS number
"""
TIMELINE = """
    INSERT INTO timeline_events (incident_id, event_type, description, metadata)
    SELECT id, 'created', 'Incident opened with severity high.', '{"source": "api"}' FROM incidents
"""
RECORD = (
    """
    INSERT INTO incident_assignments (incident_id, user_id, role)
    SELECT incident.id, who.id, 'responder'
    FROM (SELECT id FROM incidents ORDER BY id LIMIT %(recorded)s) AS incident,
        (SELECT id FROM users ORDER BY id LIMIT 2) AS who
    """,
    """
    INSERT INTO incident_comments (incident_id, user_id, content)
    SELECT incident.id, (SELECT min(id) FROM users), repeat('Failover is running. ', number)
    FROM (SELECT id FROM incidents ORDER BY id LIMIT %(recorded)s) AS incident, generate_series(1, 3) AS number
    """,
    """
    INSERT INTO timeline_events (incident_id, event_type, description, user_id, metadata)
    SELECT incident.id, 'updated', 'Changed severity.', (SELECT min(id) FROM users),
        '{"changes": {"severity": {"from": "low", "to": "high"}}}'
    FROM (SELECT id FROM incidents ORDER BY id LIMIT %(recorded)s) AS incident, generate_series(1, 9) AS number
    """,
)
OUR_ESCALATIONS = """
    INSERT INTO escalations (incident_id, policy_id, version_id, state, cycle, loop, repeats_left, step, next_run_at)
    SELECT incidents.id, version.policy_id, version.id, 'running', 1, 0, 0, 0, now() + interval '1 day'
    FROM incidents, (SELECT * FROM escalation_policy_versions ORDER BY id LIMIT 1) AS version
"""
NAIVE_ESCALATIONS = """
    INSERT INTO escalations (incident_id, policy_id, state, next_run_at)
    SELECT incidents.id, (SELECT min(id) FROM escalation_policies), 'running', now() + interval '1 day' FROM incidents
"""
NAIVE_POLICY = """
    INSERT INTO escalation_policies (name, conditions, steps) VALUES (%(name)s, %(conditions)s, %(steps)s)
"""


def policies() -> list[dict[str, Any]]:
    """A hundred policies, each for one service and two severities."""
    step = {"delay_minutes": DELAY_MINUTES, "actions": [{"type": "notify", "target": "creator"}]}
    return [
        {
            "name": f"policy {number}",
            "conditions": {"service": [f"service-{number}"], "severity": ["critical", "high"]},
            "steps": [step],
        }
        for number in range(POLICIES)
    ]


def furnish_ours(service: Service) -> None:
    """People and policies, by the API."""
    admin = token_of(service.url, ADMIN)
    for email in PEOPLE:
        wire.call(f"{service.url}/v1/users", {"email": email, "password": PASSWORD}, admin)
    for policy in policies():
        wire.call(f"{service.url}/v1/escalation/policies", policy, admin)


def furnish_naive(database_url: str) -> None:
    """Tables, people and policies."""
    os.environ.update(SECRETS | {"DATABASE_URL": database_url})
    from benchmarks.naive.auth import passwords
    from benchmarks.naive.database import Base, engine

    Base.metadata.create_all(engine)
    engine.dispose()
    for email in PEOPLE:
        values = {"email": email, "hashed": passwords.hash(PASSWORD)}
        insert = "INSERT INTO users (email, hashed_password) VALUES (%(email)s, %(hashed)s)"
        postgres.run(database_url, insert, values=values)
    for policy in policies():
        values = {name: value if name == "name" else json.dumps(value) for name, value in policy.items()}
        postgres.run(database_url, NAIVE_POLICY, values=values)


def furnish_bare(database_url: str) -> None:
    """A user, for pgbench's incidents to be of somebody."""
    for email in PEOPLE:
        insert = "INSERT INTO users (email, hashed_password) VALUES (%(email)s, '!')"
        postgres.run(database_url, insert, values={"email": email})


def reset(database_url: str, number: int, *, escalations: str | None = None) -> range:
    """Leave so many incidents and nothing of what came before, so that each measurement begins alike. Their ids."""
    _clear(database_url)
    values: Mapping[str, Any] = {"number": number, "recorded": RECORD_OF}
    statements = [INCIDENTS, TIMELINE, *RECORD, *([escalations] if escalations else [])]
    settle = ("ANALYZE incidents", "ANALYZE timeline_events", "CHECKPOINT")
    postgres.run(database_url, *statements, *settle, values=dict(values))
    [(first, last)] = postgres.run(database_url, "SELECT min(id), max(id) FROM incidents")
    return range(first or 0, (last or -1) + 1)


def _clear(database_url: str) -> None:
    """Raises psycopg2.errors.LockNotAvailable where somebody holds the incidents for long."""
    for _ in range(CLEARING_ATTEMPTS):
        try:
            postgres.run(database_url, *CLEAR)
        except psycopg2.errors.DeadlockDetected:  # with a worker that looks at what is due
            continue
        return
    raise RuntimeError("the worker holds the incidents: they cannot be deleted")
