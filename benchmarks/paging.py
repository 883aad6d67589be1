"""One worker, 5,000 incidents whose first step is due at once, each of another person at a provider that takes all."""

import sys
import time
from contextlib import closing
from dataclasses import dataclass

import psycopg2

from benchmarks import postgres
from benchmarks.load import Timing
from benchmarks.services import Service
from benchmarks.sink import running_sink, taken
from benchmarks.workloads import ERRORS, Measures

LONGEST_SECONDS = 180.0
POLL_SECONDS = 0.05
CLEAR = "TRUNCATE incidents, users, escalation_policies CASCADE"
PEOPLE = """
    INSERT INTO users (email, hashed_password)
    SELECT 'person-' || number || '@example.com', '!' FROM generate_series(1, %(number)s) AS number
"""
PREFERENCES = """
    INSERT INTO notification_preferences (user_id, channel, is_enabled, address, verified_address, position)
    SELECT id, 'webhook', true, %(url)s || '/' || id, %(url)s || '/' || id, 1 FROM users
    UNION ALL SELECT id, 'email', false, NULL, NULL, 2 FROM users
"""
POLICY = """
    INSERT INTO escalation_policies (name, conditions, steps)
    VALUES ('all', '{}', '[{"delay_minutes": 0, "actions": [{"type": "notify", "target": "assignees"}]}]')
"""
VERSION = """
    INSERT INTO escalation_policy_versions (policy_id, version, conditions, steps, repeat)
    SELECT id, version, conditions, steps, repeat FROM escalation_policies
"""
INCIDENTS = """
    INSERT INTO incidents (title, description, severity, service, assigned_to)
    SELECT 'Disk of ' || email || ' is full', repeat('x', 200), 'high', 'database', id FROM users
"""
ESCALATIONS = """
    INSERT INTO escalations (incident_id, policy_id, version_id, state, cycle, loop, repeats_left, step, next_run_at)
    SELECT incidents.id, version.policy_id, version.id, 'running', 1, 0, 0, 0, now()
    FROM incidents, escalation_policy_versions AS version
"""
SEED = (CLEAR, PEOPLE, PREFERENCES, POLICY, VERSION, INCIDENTS, ESCALATIONS, "ANALYZE", "CHECKPOINT")


@dataclass(frozen=True)
class PagingWorkload:
    """How fast steps are planned and pages sent."""

    due: int = 5_000
    name: str = "paging"

    @property
    def says(self) -> str:
        return f"one worker, {self.due:,} steps due, each pages one person by webhook"

    def run(self, service: Service, _timing: Timing) -> Measures | None:
        """None for a service that pages nobody."""
        if service.kind.checkout is None:
            return None
        database_url = _database(service)
        with running_sink() as provider:
            postgres.run(database_url, *SEED, values={"number": self.due, "url": provider})
            with service.kind.started(database_url, 0, sys.executable, "-m", "app", "worker"):
                planned = self._watch(database_url, provider)
            sent = taken(provider)
        return {
            "steps/s": planned,
            "pages/s": sent["count"] / max(sent["last"] - sent["first"], 1e-9),
            ERRORS: self.due - sent["count"],
        }

    def _watch(self, database_url: str, provider: str) -> float:
        """Wait until every page was taken. Returns the steps planned each second while there were any to plan."""
        deadline = time.monotonic() + LONGEST_SECONDS
        seen: list[tuple[float, int]] = []  # when there were how many, as long as that grows
        with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while time.monotonic() < deadline and taken(provider)["count"] < self.due:
                cursor.execute("SELECT count(*) FROM escalation_events")
                [count] = cursor.fetchone() or (0,)
                if count and (not seen or count > seen[-1][1]):
                    seen.append((time.monotonic(), count))
                time.sleep(POLL_SECONDS)
        if len(seen) < 2:
            return 0.0
        return (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])


def _database(service: Service) -> str:
    """Its own, so that nobody else's worker takes a step of it."""
    name = f"{service.name}_paging"
    exists = postgres.run(
        service.postgres.url("postgres"), "SELECT 1 FROM pg_database WHERE datname = %(name)s", values={"name": name}
    )
    if not exists:
        service.kind.run(service.postgres.create(name), "app", "migrate")
    return service.postgres.url(name)
