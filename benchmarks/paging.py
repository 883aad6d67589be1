"""The worker: steps that are due at once, each for another person, and one page to everybody."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import psycopg2

from benchmarks import postgres, wire
from benchmarks.load import Timing
from benchmarks.services import Service
from benchmarks.sink import running_mail_server, running_sink, taken
from benchmarks.workloads import ERRORS, Measures

LONGEST_SECONDS = 180.0
POLL_SECONDS = 0.05
PROVIDER_SECONDS = 0.05
CLEAR = "DROP TABLE IF EXISTS due; TRUNCATE incidents, users, escalation_policies, worker_heartbeats CASCADE"
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
TO_ALL = """
    INSERT INTO escalation_policies (name, conditions, steps)
    VALUES ('all', '{}', '[{"delay_minutes": 0, "actions": [{"type": "notify", "target": "all"}]}]')
"""
ONE_INCIDENT = "INSERT INTO incidents (title, severity, service) VALUES ('The site is down', 'critical', 'site')"
WORKERS = "SELECT count(*) FROM worker_heartbeats WHERE last_seen_at > now() - interval '10 seconds'"
WAKE = "NOTIFY incidents_work, 'plan'"
DONE = """
    SELECT (SELECT count(*) FROM escalation_events), (SELECT count(*) FROM notifications WHERE status = 'accepted')
"""
LATER = "UPDATE escalations SET next_run_at = now() + interval '1 day'"
SPREADING = """
    WITH policy AS (
        INSERT INTO escalation_policies (name, conditions, steps, spread_after)
        VALUES ('more', '{}', '[{"delay_minutes": 600, "actions": [{"type": "notify", "target": "assignees"}]}]', 0)
        RETURNING id, version, conditions, steps, repeat)
    INSERT INTO escalation_policy_versions (policy_id, version, conditions, steps, repeat)
    SELECT id, version, conditions, steps, repeat FROM policy
"""
NOTE_DUE = "CREATE TABLE IF NOT EXISTS due (incident_id int, at timestamptz)"
DUE = """
    WITH chosen AS (
        SELECT id, now() + row_number() OVER (ORDER BY id DESC) * interval '0.1 seconds' AS at
        FROM escalations ORDER BY id DESC LIMIT %(pages)s),
    changed AS (
        UPDATE escalations SET next_run_at = chosen.at FROM chosen WHERE escalations.id = chosen.id
        RETURNING escalations.incident_id, chosen.at)
    INSERT INTO due SELECT * FROM changed
"""
ACCEPTED = "SELECT count(*) FROM notifications WHERE status = 'accepted'"
LATENESS = """
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY late), max(late) FROM (
        SELECT extract(epoch FROM accepted_at - at) * 1000 AS late FROM notifications JOIN due USING (incident_id)) AS l
"""
IS_OVER = "SELECT count(*) = 0 FROM escalation_policies WHERE spread_after IS NOT NULL"
SEED = (CLEAR, PEOPLE, PREFERENCES, POLICY, VERSION, INCIDENTS, ESCALATIONS, "ANALYZE", "CHECKPOINT")


@dataclass(frozen=True)
class PagingWorkload:
    """How fast one worker plans steps and sends pages, by a channel whose provider takes everything at once."""

    due: int = 10_000
    name: str = "paging"
    by_mail: bool = False

    @property
    def says(self) -> str:
        return f"one worker, {self.due:,} steps due, each pages one person by {'mail' if self.by_mail else 'webhook'}"

    def run(self, service: Service, _timing: Timing) -> Measures | None:
        """None for a service that pages nobody."""
        if service.kind.checkout is None:
            return None
        database_url = _database(service)
        with running_sink() as provider, running_mail_server() as port:
            seed = [statement for statement in SEED if not (self.by_mail and statement == PREFERENCES)]
            postgres.run(database_url, *seed, values={"number": self.due, "url": provider})
            mail = {"SMTP_HOST": wire.HOST, "SMTP_PORT": str(port), "SMTP_TLS": "none"}
            with service.kind.started(database_url, 0, sys.executable, "-m", "app", "worker", **mail):
                return self._watch(database_url)

    def _watch(self, database_url: str) -> Measures:
        """Wait until every page is recorded. Rates are of the time in which there was something to do."""
        deadline = time.monotonic() + LONGEST_SECONDS
        steps, pages = Growth(), Growth()
        with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while time.monotonic() < deadline and pages.number < self.due:
                time.sleep(POLL_SECONDS)
                cursor.execute(DONE)
                planned, accepted = cursor.fetchone() or (0, 0)
                steps.note(planned)
                pages.note(accepted)
        return {"steps/s": steps.rate(), "pages/s": pages.rate(), ERRORS: self.due - pages.number}


@dataclass(frozen=True)
class FanOutWorkload:
    """How long a page to everybody takes, with two workers and a provider that takes 50 ms for each message."""

    people: int = 1_300
    name: str = "fan-out"

    @property
    def says(self) -> str:
        return f"two workers page {self.people:,} people by webhook; the provider takes 50 ms for each"

    def run(self, service: Service, _timing: Timing) -> Measures | None:
        """None for a service that pages nobody."""
        if service.kind.checkout is None:
            return None
        database_url = _database(service)
        with running_sink(PROVIDER_SECONDS) as provider, ExitStack() as workers:
            values = {"number": self.people, "url": provider}
            postgres.run(database_url, CLEAR, PEOPLE, PREFERENCES, TO_ALL, VERSION, values=values)
            for _ in range(2):
                workers.enter_context(service.kind.started(database_url, 0, sys.executable, "-m", "app", "worker"))
            _wait(lambda: postgres.run(database_url, WORKERS) == [(2,)])
            began = time.time()
            postgres.run(database_url, ONE_INCIDENT, ESCALATIONS, WAKE)
            _wait(lambda: taken(provider)["count"] >= self.people)
            return {"seconds": taken(provider)["last"] - began, ERRORS: self.people - taken(provider)["count"]}


@dataclass(frozen=True)
class RolloutWorkload:
    """How late pages are while a new policy for everything spreads over many open incidents."""

    is_open: int = 20_000
    pages: int = 100
    name: str = "rollout"

    @property
    def says(self) -> str:
        return f"one worker, a policy spreads over {self.is_open:,} open incidents; {self.pages} pages, ten a second"

    def run(self, service: Service, _timing: Timing) -> Measures | None:
        """None for a service that pages nobody."""
        if service.kind.checkout is None:
            return None
        database_url = _database(service)
        with running_sink() as provider:
            values = {"number": self.is_open, "url": provider}
            postgres.run(database_url, *SEED, LATER, values=values)
            with service.kind.started(database_url, 0, sys.executable, "-m", "app", "worker"):
                _wait(lambda: postgres.run(database_url, WORKERS) == [(1,)])
                postgres.run(database_url, SPREADING, NOTE_DUE, DUE, WAKE, values={"pages": self.pages})
                _wait(lambda: postgres.run(database_url, ACCEPTED) == [(self.pages,)])
                [late] = postgres.run(database_url, LATENESS)
                [[is_over]] = postgres.run(database_url, IS_OVER)
        return {"median ms": float(late[0]), "longest ms": float(late[1]), ERRORS: int(is_over)}


@dataclass
class Growth:
    """A number that grows: when it was first and last seen growing, and what it was then."""

    seen: list[tuple[float, int]] = field(default_factory=list)

    @property
    def number(self) -> int:
        return self.seen[-1][1] if self.seen else 0

    def note(self, number: int) -> None:
        if number > self.number:
            self.seen.append((time.monotonic(), number))

    def rate(self) -> float:
        """How much it grew each second."""
        if len(self.seen) < 2:
            return 0.0
        (began, first), (ended, last) = self.seen[0], self.seen[-1]
        return (last - first) / (ended - began)


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline and not holds():
        time.sleep(POLL_SECONDS)


def _database(service: Service) -> str:
    """Its own, so that nobody else's worker takes a step of it."""
    name = f"{service.name}_paging"
    exists = postgres.run(
        service.postgres.url("postgres"), "SELECT 1 FROM pg_database WHERE datname = %(name)s", values={"name": name}
    )
    if not exists:
        service.kind.run(service.postgres.create(name), "app", "migrate")
    return service.postgres.url(name)
