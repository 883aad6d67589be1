"""From the outbox to a person: leases, retries, fences."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.core.channel import Envelope, Outcome
from app.core.vocabulary import AttemptOutcome, DeliveryStatus
from app.crud import crud_outbox
from app.crud.clock import now
from app.crud.crud_outbox import Lease
from app.db.session import Database
from app.models import Notification, NotificationAttempt, NotificationThrottle
from app.services.delivery import lease_service, throttle_service
from app.services.delivery.breaker import OPENS_AFTER
from app.services.delivery.ports import Delivery
from app.services.delivery.retry import GIVE_UP_AFTER
from app.services.delivery.transition import Event, EventType
from app.services.delivery.transition_service import apply_leased
from app.utils.service_locator import Services
from app.worker import Jobs
from tests.support.inline import inline_jobs, inline_lane
from tests.support.inline import send as send_one
from tests.support.scenario import Opener, Tick, act, timeline
from tests.support.statements import statements
from tests.support.world import Clock, Outbox, Person

RETRY = Outcome(AttemptOutcome.RETRY, status_code=451, error="try later")
DEAD = Outcome(AttemptOutcome.DEAD, status_code=550, error="no such user")


@pytest.fixture
def page(add_policy: Opener, open_incident: Opener) -> dict[str, object]:
    """An incident whose first step pages the admin at once."""
    add_policy()
    return open_incident()


def only(session: Session) -> Notification:
    session.expire_all()
    return session.scalars(select(Notification)).one()


def test_a_temporary_failure_is_tried_again_under_the_same_key(
    page: dict[str, object], session: Session, tick: Tick, clock: Clock, outbox: Outbox
) -> None:
    outbox.answers = [RETRY, RETRY]
    tick()
    clock.advance(seconds=1)
    tick()
    assert len(outbox.sent) == 1
    clock.advance(seconds=1)
    tick()
    clock.advance(seconds=5)
    tick()
    assert len({envelope.idempotency_key for envelope in outbox.sent}) == 1
    assert len(outbox.sent) == 3
    assert only(session).status is DeliveryStatus.ACCEPTED
    outcomes = session.scalars(select(NotificationAttempt.outcome).order_by(NotificationAttempt.id)).all()
    assert outcomes == [AttemptOutcome.RETRY, AttemptOutcome.RETRY, AttemptOutcome.ACCEPTED]


def test_a_final_refusal_ends_it_and_is_on_the_record(
    page: dict[str, object], client: TestClient, admin: Person, tick: Tick, clock: Clock, outbox: Outbox
) -> None:
    outbox.answers = [DEAD]
    tick()
    clock.advance(hours=1)
    tick()
    [delivery] = admin.on(client).call("GET /notifications")
    assert (delivery["status"], delivery["last_error"], delivery["attempt"]) == ("dead", "no such user", 1)
    assert delivery["attempts"][0]["status_code"] == 550
    assert "notification_failed" in timeline(client, page, admin)


def test_after_a_quarter_of_an_hour_of_failures_a_message_is_dead(
    page: dict[str, object], session: Session, tick: Tick, clock: Clock, outbox: Outbox
) -> None:
    outbox.answers = [RETRY] * 100
    for _ in range(18):
        tick()
        clock.advance(minutes=1)
    assert only(session).status is DeliveryStatus.DEAD
    assert 10 < len(outbox.sent) < 20


def test_a_channel_that_is_not_set_up_is_tried_again(
    page: dict[str, object], session: Session, services: Services, outbox: Outbox
) -> None:
    without = Delivery(services.database, {}, services.paging, timedelta(seconds=60))
    assert send(without) == 0
    plan(services)
    assert send(without) == 1
    assert only(session).status is DeliveryStatus.RETRY
    assert outbox.sent == []


def plan(services: Services) -> None:
    from app.services.policies import step_service

    with services.database.transaction() as session:
        step_service.run_due(session, services.paging, limit=10)


def send(delivery: Delivery) -> int:
    lanes = [*delivery.channels, None]
    with delivery.database.transaction() as session:
        for name in delivery.channels:
            throttle_service.release(session, name, throttle_service.due(session, name, limit=10))
        throttle_service.release_excluding(session, list(delivery.channels))
    return sum(inline_lane(name, delivery).drain() for name in lanes)


def claim(services: Services) -> Notification:
    """What a worker does just before it dies."""
    with services.database.transaction() as session:
        throttle_service.release(session, "email", throttle_service.due(session, "email", limit=10))
        at = now(session)
        [message] = crud_outbox.claim_due(
            session, "email", lease=Lease(at, at + timedelta(seconds=60), uuid4()), limit=1
        )
    return message


def test_what_a_dead_worker_had_claimed_is_sent_after_its_lease(
    page: dict[str, object], services: Services, tick: Tick, clock: Clock, outbox: Outbox
) -> None:
    plan(services)
    claim(services)
    clock.advance(seconds=59)
    tick()
    assert outbox.sent == []
    clock.advance(seconds=1)
    tick()
    assert len(outbox.sent) == 1


def test_what_a_dead_worker_had_claimed_is_kept_as_an_attempt(
    page: dict[str, object], services: Services, tick: Tick, clock: Clock, session: Session
) -> None:
    plan(services)
    claim(services)
    clock.advance(seconds=60)
    tick()
    first, second = session.scalars(select(NotificationAttempt).order_by(NotificationAttempt.id)).all()
    assert (first.outcome, first.error) == (AttemptOutcome.RETRY, lease_service.CUT_OFF)
    assert second.outcome is AttemptOutcome.ACCEPTED


def test_a_worker_that_lost_its_lease_writes_nothing(
    page: dict[str, object], services: Services, session: Session, tick: Tick, clock: Clock
) -> None:
    plan(services)
    stale = claim(services)
    clock.advance(seconds=60)
    tick()
    with services.database.transaction() as late:
        assert apply_leased(late, stale, Event(EventType.REFUSED), at=now(late)) is None
    assert only(session).status is DeliveryStatus.ACCEPTED


@pytest.mark.parametrize("is_taken_over", [True, False])
def test_what_waited_here_for_longer_than_its_lease_is_sent_once(
    page: dict[str, object], services: Services, tick: Tick, clock: Clock, outbox: Outbox, is_taken_over: bool
) -> None:
    plan(services)
    waiting = claim(services)
    clock.advance(seconds=60)
    if is_taken_over:
        tick()
    send_one(services.delivery, waiting)
    tick()
    assert len(outbox.sent) == 1


@pytest.mark.parametrize(("waited_seconds", "lease_seconds"), [(5, 60), (7, 67), (70, 130)])
def test_what_waited_for_its_turn_is_held_for_a_whole_call(
    page: dict[str, object], services: Services, session: Session, clock: Clock, outbox: Outbox,
    waited_seconds: int, lease_seconds: int,
) -> None:  # fmt: skip
    """Else another worker would send it while it is being sent."""
    plan(services)
    waiting = claim(services)
    claimed_at = now(session)
    clock.advance(seconds=waited_seconds)
    until: list[datetime | None] = []
    outbox.on_send = lambda: until.append(only(session).lease_until)
    send_one(services.delivery, waiting)
    assert until == [claimed_at + timedelta(seconds=lease_seconds)]


class Breaking:
    """A channel that breaks its promise not to raise."""

    name = "email"

    def send(self, envelope: Envelope) -> Outcome:
        raise RuntimeError("out of memory")

    def provider(self, address: str) -> str:
        return "breaking"


def test_a_channel_that_breaks_keeps_the_message_for_another_try(
    page: dict[str, object], services: Services, session: Session, tick: Tick, clock: Clock, outbox: Outbox
) -> None:
    plan(services)
    assert send(Delivery(services.database, {"email": Breaking()}, services.paging, timedelta(seconds=60))) == 1
    assert only(session).status is DeliveryStatus.RETRY
    clock.advance(seconds=2)
    tick()
    assert len(outbox.sent) == 1


def test_a_channel_that_breaks_says_nothing_of_its_provider(
    services: Services, add_policy: Opener, open_incident: Opener
) -> None:
    add_policy()
    delivery = Delivery(services.database, {"email": Breaking()}, services.paging, timedelta(seconds=60))
    for number in range(OPENS_AFTER + 1):
        open_incident(title=f"incident {number}")
        plan(services)
    with services.database.transaction() as session:
        session.execute(update(Notification).values(is_throttled=False))
    assert send(delivery) == OPENS_AFTER + 1
    assert delivery.breakers.report() == {}


def test_a_failing_providers_words_can_be_stored_with_the_heartbeat(
    page: dict[str, object], services: Services, outbox: Outbox
) -> None:
    delivery = services.delivery
    jobs = inline_jobs(services, delivery)
    outbox.answers = [Outcome(AttemptOutcome.RETRY, error="out of \0 \ud83d")]
    jobs.plan()
    jobs.send()
    jobs.beat()
    assert delivery.breakers.report()["email"]["outbox"]["last_error"] == "out of \ufffd \ufffd"


def test_a_page_of_an_older_cycle_is_void(
    page: dict[str, object], client: TestClient, user: Person, services: Services, tick: Tick, outbox: Outbox
) -> None:
    plan(services)
    act(client, page, "acknowledge", user)
    act(client, page, "reopen", user)
    tick()
    assert len(outbox.sent) == 1


def test_two_senders_at_once_send_a_message_once(own_database: Database, race_to_send: Callable[[], int]) -> None:
    assert race_to_send() == 1


@pytest.fixture
def race_to_send(own_database: Database, services: Services, outbox: Outbox) -> Callable[[], int]:
    """Lets four workers send what one message is due; says how many were sent."""
    from tests.support.scenario import race

    with own_database.transaction() as session:
        at = now(session)
        fields = {"recipient": "email:a@example.com", "channel": "email", "address": "a@example.com"}
        session.add(
            Notification(kind="manual_page", is_exempt=True, subject="s", body="b", next_attempt_at=at, **fields)
        )
    delivery = Delivery(own_database, {"email": outbox}, services.paging, timedelta(seconds=60))

    def run() -> int:
        race(lambda: send(delivery), times=4)
        return len(outbox.sent)

    return run


def test_a_message_that_was_never_tried_is_dead_after_a_quarter_of_an_hour(
    page: dict[str, object], services: Services, session: Session, clock: Clock, outbox: Outbox
) -> None:
    delivery = services.delivery
    for number in range(OPENS_AFTER):
        delivery.breakers.record("email", "outbox", number, error="503", at=time.monotonic() + 55)
    outbox.answers = [RETRY]
    plan(services)
    for _ in range(15):
        send(delivery)
        assert (only(session).status, only(session).attempt, outbox.sent) == (DeliveryStatus.PENDING, 0, [])
        clock.advance(seconds=61)
    send(delivery)
    assert (only(session).status, len(outbox.sent)) == (DeliveryStatus.DEAD, 1)


def test_a_deferred_message_is_tried_as_soon_as_its_time_is_up(
    page: dict[str, object], services: Services, session: Session, clock: Clock, outbox: Outbox
) -> None:
    delivery = services.delivery
    for number in range(OPENS_AFTER):
        delivery.breakers.record("email", "outbox", number, error="503", at=time.monotonic() + 55)
    outbox.answers = [RETRY]
    plan(services)
    send(delivery)
    clock.advance(minutes=14, seconds=30)
    send(delivery)
    assert (only(session).status, outbox.sent) == (DeliveryStatus.PENDING, [])
    clock.advance(seconds=31)
    send(delivery)
    assert (only(session).status, len(outbox.sent)) == (DeliveryStatus.DEAD, 1)


@pytest.fixture
def five_pages(services: Services, add_policy: Opener, open_incident: Opener, session: Session) -> None:
    """Five pages that are due, and that no token bucket holds back."""
    add_policy()
    for _ in range(5):
        open_incident()
    plan(services)
    session.execute(text("UPDATE notifications SET is_held = false, next_attempt_at = now()"))
    session.commit()


def test_messages_whose_provider_is_not_called_are_given_back_together(
    five_pages: None, services: Services, session: Session, outbox: Outbox
) -> None:
    delivery = services.delivery
    for number in range(OPENS_AFTER):
        delivery.breakers.record("email", "outbox", number, error="503", at=time.monotonic() + 55)
    with statements(delivery.database) as seen:
        send(delivery)
    writes = [statement for statement in seen if statement.startswith("UPDATE notifications")]
    assert sum("lease_token" in statement for statement in writes) == 2  # claimed, and given back
    rows = session.scalars(select(Notification).execution_options(populate_existing=True)).all()
    assert [(row.status, row.attempt) for row in rows] == [(DeliveryStatus.PENDING, 0)] * 5
    assert outbox.sent == []


def test_of_the_messages_of_a_provider_that_is_probed_one_goes_out(
    five_pages: None, services: Services, session: Session, outbox: Outbox
) -> None:
    delivery = services.delivery
    outbox.answers = [RETRY]
    for number in range(OPENS_AFTER):
        delivery.breakers.record("email", "outbox", number, error="503", at=time.monotonic() - 55)
    send(delivery)
    rows = session.scalars(select(Notification).execution_options(populate_existing=True)).all()
    assert sorted(row.attempt for row in rows) == [0, 0, 0, 0, 1]
    assert len(outbox.sent) == 1


def test_what_waits_for_its_provider_is_due_at_the_end_of_its_time(
    page: dict[str, object], services: Services, session: Session, clock: Clock, outbox: Outbox
) -> None:
    delivery = services.delivery
    plan(services)
    for number in range(OPENS_AFTER):
        delivery.breakers.record("email", "outbox", number, error="503", at=time.monotonic() + 55)
    send(delivery)
    ends_at = (only(session).first_attempt_at or now(session)) + GIVE_UP_AFTER
    clock.advance(seconds=GIVE_UP_AFTER.total_seconds() - 10)
    send(delivery)
    assert (only(session).status, only(session).next_attempt_at) == (DeliveryStatus.PENDING, ends_at)


def test_a_stale_worker_gives_back_nothing_that_another_holds(
    page: dict[str, object], services: Services, session: Session, jobs: Jobs, clock: Clock
) -> None:
    plan(services)
    stale = claim(services)
    clock.advance(seconds=60)
    jobs.plan()  # the lease has expired
    held = claim(services)
    lease_service.give_back(services.delivery, stale)
    message = only(session)
    assert (message.status, message.lease_token) == (DeliveryStatus.SENDING, held.lease_token)


def test_a_token_bucket_is_forgotten_only_once_it_is_full(
    page: dict[str, object], session: Session, tick: Tick, jobs: Jobs, clock: Clock
) -> None:
    tick()
    clock.advance(minutes=59)
    jobs.clean_up()
    assert len(session.scalars(select(NotificationThrottle)).all()) == 1
    clock.advance(minutes=2)
    jobs.clean_up()
    assert session.scalars(select(NotificationThrottle)).all() == []
