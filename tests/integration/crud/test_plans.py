"""The statements that must not slow down as data grows: which rows they look at, in a database with years of it.

Each is run with the statistics of the empty database, as in a storm after the installation, and with those of the full
one. The bounds are far below what reading a table or a backlog takes: that is thousands.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.metrics import UNRESOLVED
from app.core.vocabulary import DeliveryStatus, IncidentStatus, Severity
from app.crud import (
    crud_escalation,
    crud_gauge,
    crud_incident,
    crud_lease,
    crud_notification,
    crud_outbox,
    crud_policy,
    crud_retention,
    crud_throttle,
    crud_timeline,
)
from app.crud.clock import now
from app.crud.crud_notification import NotificationFilter
from app.crud.crud_outbox import Lease
from app.crud.incident_list import IncidentFilter
from app.crud.pagination import Slice
from app.crud.time_slice import Place, TimeSlice
from app.db.session import Database, connect
from app.services.incidents import collaboration_service
from app.services.operations import healing_service
from app.services.operations.health_service import Pulse
from app.services.policies import rollout_service
from benchmarks import seed
from tests.support.plans import Plan, explained

SIZE = 24_000
PAGE = 10
MAX_ROWS, MAX_BUFFERS = 300, 400
GROWING = {"incidents", "timeline_events", "escalations", "escalation_events", "notifications", "notification_attempts"}
UNWATCHED = [f"ALTER TABLE {table} SET (autovacuum_enabled = off)" for table in sorted(GROWING)]
# A storm of pages by mail is due; a few of them are carried by others, and many wait for a token bucket.
STORM = """
    UPDATE notifications SET status = 'pending', next_attempt_at = now(), fallback_at = now() + interval '1 hour',
        is_held = mod(id, 3) = 0, bundle_id = CASE WHEN mod(id, 10) = 1 THEN 1 + mod(id, 400) END
    WHERE channel = 'email'
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the statements are asked about: a time, the middle of the incidents, a person, a policy."""

    at: datetime
    incident_id: int
    user_id: int
    policy_id: int

    def lease(self) -> Lease:
        return Lease(self.at, self.at + timedelta(minutes=1), UUID(int=1))

    def long_ago(self) -> datetime:
        return self.at - timedelta(days=600)


Ask = Callable[[Session, Facts], Any]


@pytest.fixture(scope="module")
def seeded(new_database: Callable[..., str], template: str) -> Iterator[Database]:
    """Years of data, with the statistics of the empty tables."""
    database = connect(new_database(template), pool_size=1)
    with database.transaction() as session:
        for statement in (*UNWATCHED, "ANALYZE"):
            session.execute(text(statement))
    seed.fill(database, SIZE, is_analysed=False)
    with database.transaction() as session:
        session.execute(text(STORM))
    yield database
    database.dispose()


@pytest.fixture(scope="module", params=["empty", "full"])
def database(seeded: Database, request: pytest.FixtureRequest) -> Database:
    """The same data with the statistics of the empty database, then with its own."""
    if request.param == "full":
        with seeded.transaction() as session:
            session.execute(text("ANALYZE"))
    return seeded


@pytest.fixture(scope="module")
def facts(seeded: Database) -> Facts:
    with seeded.transaction() as session:
        ids = [session.scalar(text(f"SELECT min(id) FROM {table}")) for table in ("users", "escalation_policies")]
        return Facts(now(session), SIZE // 2, ids[0] + 150, ids[1])


def plans_of(database: Database, ask: Ask, facts: Facts) -> list[Plan]:
    """The plans of all statements of a question. What they changed is rolled back."""
    with database.session() as session, explained(database) as plans:
        ask(session, facts)
        session.rollback()
    assert plans
    return plans


def listed(part: TimeSlice = TimeSlice(PAGE), **wanted: Any) -> Ask:  # noqa: B008 - it is frozen
    return lambda session, _: crud_incident.slice(session, IncidentFilter(**wanted), part)


def delivered(user_id: int | None = None, **wanted: Any) -> Ask:
    visible = {} if user_id is None else {"visible_to": user_id}
    return lambda session, _: crud_notification.slice(
        session, NotificationFilter(**wanted), Slice(PAGE), **({"visible_to": None} | visible)
    )


LISTS: dict[str, tuple[Ask, str]] = {
    "all": (listed(), "created_at_id"),
    "the page after a cursor": (
        listed(TimeSlice(PAGE, before=Place(datetime.fromisoformat("2026-01-01T00:00Z"), 7))),
        "",
    ),
    "the page after an id": (listed(TimeSlice(PAGE, before=SIZE // 2)), ""),
    "a rare status": (listed(status=[IncidentStatus.SNOOZED]), "status_created_at_id"),
    "two states": (listed(status=[IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED]), "status_created_at_id"),
    "a severity": (listed(severity=[Severity.CRITICAL]), "severity_status_created_at_id"),
    "a service behind a storm": (listed(service=["service-1"]), "service_status_created_at_id"),
    "the service of the storm": (listed(service=["service-storm"]), "service_status_created_at_id"),
    "two services": (listed(service=["service-150", "service-151"]), "service_status_created_at_id"),
    "no such service": (listed(service=["nothing"]), "service_status_created_at_id"),
    "open ones of a service": (listed(service=["service-9"], status=[IncidentStatus.OPEN]), "service_status_created"),
    "a source": (listed(source=["api"]), "source_status_created_at_id"),
    "no such source": (listed(source=["nothing"]), "source_status_created_at_id"),
    "creators": (listed(created_by=[5, 6, 7, 8, 9]), "created_by_status_created_at_id"),
    "owners": (listed(assigned_to=[5, 6, 7, 8, 9]), "assigned_to_status_created_at_id"),
    "unmatched ones": (listed(is_unmatched=True), "unmatched"),
    "matched ones": (listed(is_unmatched=False), "created_at_id"),
}
BY_TIME: dict[str, Ask] = {
    "before a time": lambda s, f: listed(created_before=f.long_ago())(s, f),
    "after a time": lambda s, f: listed(created_after=f.long_ago())(s, f),
    "open ones before a time": lambda s, f: listed(created_before=f.long_ago(), status=[IncidentStatus.OPEN])(s, f),
    "of a service before a time": lambda s, f: listed(created_before=f.long_ago(), service=["service-storm"])(s, f),
    "within a day": lambda s, f: listed(
        created_after=f.long_ago(), created_before=f.long_ago() + timedelta(days=1), severity=[Severity.LOW]
    )(s, f),
}
READS: dict[str, Ask] = {
    "an incident with its record": lambda s, f: collaboration_service.record_of(s, f.incident_id, Slice(500)),
    "a timeline": lambda s, f: crud_timeline.slice(s, f.incident_id, Slice(PAGE)),
    "messages": delivered(),
    "dead messages": delivered(status=[DeliveryStatus.DEAD]),
    "dead messages by a channel that has none": delivered(status=[DeliveryStatus.DEAD], channel=["email"]),
    "waiting messages": delivered(status=[DeliveryStatus.PENDING]),
    "cancelled messages": delivered(status=[DeliveryStatus.CANCELLED]),
    "messages by a channel that is never used": delivered(channel=["carrier-pigeon"]),
    "messages about an incident": delivered(incident_id=[SIZE // 2]),
    "messages to a person": delivered(user_id=7),
}
WORK: dict[str, tuple[Ask, str]] = {
    "claiming steps": (lambda s, f: crud_escalation.claim_due(s, at=f.at + timedelta(days=2), limit=PAGE), "due"),
    "the next step": (lambda s, _: crud_escalation.next_due(s), "ix_escalations_due"),
    "claiming mail": (lambda s, f: crud_outbox.claim_due(s, "email", lease=f.lease(), limit=PAGE), "due"),
    "claiming sms": (lambda s, f: crud_outbox.claim_due(s, "sms", lease=f.lease(), limit=PAGE), "due_by_channel"),
    "claiming from other channels": (
        lambda s, f: crud_outbox.claim_due(s, None, lease=f.lease(), limit=PAGE, excluding=["email", "sms", "push"]),
        "due_by_channel",
    ),
    "unsent pages of an incident": (lambda s, _: crud_outbox.unsent_of(s, [4]), "ix_notifications_unsent"),
    "the pages of a bundle": (lambda s, _: crud_outbox.bundled_in(s, 2), "ix_notifications_bundled"),
    "notices under way": (lambda s, _: crud_outbox.count_notices(s, "email", limit=100), "ix_notifications_notices"),
    "fallbacks": (
        lambda s, f: crud_outbox.claim_fallbacks(s, at=f.at + timedelta(days=3), limit=PAGE),
        "ix_notifications_fallback",
    ),
    "releasing pages of other channels": (
        lambda s, _: crud_throttle.release_excluding(s, ["email", "sms", "push"]),
        "ix_notifications_held",
    ),
    "expired leases": (lambda s, f: crud_lease.lock_expired(s, at=f.at), "ix_notifications_lease"),
    "snoozes": (lambda s, f: crud_incident.claim_snooze_ended(s, at=f.at, limit=PAGE), "ix_incidents_snooze_end"),
    "open incidents": (lambda s, f: crud_incident.open_after(s, f.incident_id, limit=PAGE), "ix_incidents_status"),
    "a policy that nobody matches": (
        lambda s, f: crud_incident.escalated_by_after(s, f.policy_id + 9, 0, limit=PAGE),
        "",
    ),
    "stuck messages": (lambda s, f: crud_notification.has_stuck(s, before=f.long_ago()), "ix_notifications_due"),
    "late steps": (lambda s, f: crud_escalation.overdue(s, before=f.long_ago()), "ix_escalations_due"),
    "the oldest message": (lambda s, _: crud_gauge.first_message_due(s), "ix_notifications_due"),
    "expired incidents": (
        lambda s, f: crud_retention.delete_incidents(s, before=f.long_ago(), limit=PAGE),
        "created_at_id",
    ),
    "expired messages": (
        lambda s, f: crud_retention.delete_messages(s, before=f.long_ago(), limit=PAGE),
        "ix_notifications_of_no_incident",
    ),
    "unreachable ones": (lambda s, _: crud_escalation.has_unreachable(s), "ix_escalations_unreachable"),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_incidents_reads_a_page_of_an_index(database: Database, facts: Facts, name: str) -> None:
    ask, index = LISTS[name]
    require_little(plans_of(database, ask, facts), index)


@pytest.mark.parametrize("name", BY_TIME)
def test_a_list_begins_at_its_time(database: Database, facts: Facts, name: str) -> None:
    require_little(plans_of(database, BY_TIME[name], facts))


@pytest.mark.parametrize("name", READS)
def test_a_read_looks_at_what_it_shows(database: Database, facts: Facts, name: str) -> None:
    require_little(plans_of(database, READS[name], facts))


@pytest.mark.parametrize("name", WORK)
def test_the_worker_looks_at_what_it_takes(database: Database, facts: Facts, name: str) -> None:
    ask, index = WORK[name]
    require_little(plans_of(database, ask, facts), index)


# The metrics count what is open and what waits: a tenth of the incidents, and the storm.
COUNTED: dict[str, tuple[Ask, str, int]] = {
    "open incidents": (
        lambda s, _: crud_gauge.open_incidents(s, UNRESOLVED),
        "ix_incidents_severity_status_created_at_id",
        20,
    ),
    "the outbox": (lambda s, _: crud_gauge.outbox(s), "ix_notifications_", 85),
}


@pytest.mark.parametrize("name", COUNTED)
def test_counting_looks_only_at_what_it_counts(database: Database, facts: Facts, name: str) -> None:
    ask, index, times = COUNTED[name]
    require_little(plans_of(database, ask, facts), index, times=times)


@pytest.mark.parametrize("after", [0, SIZE // 2, SIZE])
def test_switching_a_policy_off_looks_at_a_batch(database: Database, facts: Facts, after: int) -> None:
    [plan] = plans_of(database, lambda s, f: crud_incident.escalated_by_after(s, f.policy_id, after, limit=PAGE), facts)
    require_little([plan], "ix_escalations_unfinished")


def test_a_round_over_open_incidents_looks_at_its_window(database: Database, facts: Facts) -> None:
    require_little(plans_of(database, lambda s, _: healing_service.heal(s, Pulse()), facts), times=20)


def test_a_batch_of_a_rollout_costs_its_size(database: Database, facts: Facts) -> None:
    def switch_off(session: Session, facts: Facts) -> None:
        policy = crud_policy.get(session, facts.policy_id)
        assert policy is not None
        policy.is_active = False
        rollout_service.start(session, policy, at=facts.at, batch=PAGE)

    require_little(plans_of(database, switch_off, facts))


def require_little(plans: list[Plan], index: str = "", *, times: int = 1) -> None:
    """Each of the statements looks at few rows; one of them by an index whose name ends or begins so."""
    for plan in plans:
        assert not plan.scanned & GROWING, plan.statement
        assert plan.rows <= MAX_ROWS * times, plan.statement
        assert plan.buffers <= MAX_BUFFERS * times, plan.statement
    assert any(index in name for plan in plans for name in plan.indexes), [plan.indexes for plan in plans]
