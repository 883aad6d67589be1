"""What somebody holds of a person's pages keeps nobody else from being paged, and no channel waiting."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from app.core.config import Settings
from app.core.source import AlertSignal
from app.core.vocabulary import DeliveryStatus, NotificationKind, Severity
from app.crud import crud_throttle
from app.crud.clock import now
from app.crud.locks import wait_briefly
from app.db.session import Database, is_contended
from app.models import Notification, NotificationAttempt, NotificationThrottle
from app.schemas.escalation import PolicyCreate
from app.services.delivery import lease_service
from app.services.delivery.ports import Delivery
from app.services.delivery.retry import GIVE_UP_AFTER
from app.services.delivery.throttle import CAPACITY
from app.services.incidents import alert_service
from app.services.policies import policy_service
from app.utils.service_locator import Services, build_services
from app.worker import Jobs
from app.worker.lane import LOCKED_FOR_LONG_SECONDS, Lane
from tests.support.inline import inline_lane, send
from tests.support.scenario import race, steps
from tests.support.world import Outbox, add_admins

pytestmark = pytest.mark.slow

PEOPLE = [f"person{number}@example.com" for number in range(4)]
HELD, FREE = PEOPLE[0], PEOPLE[1:]
PAGE_OF_ONE = select(Notification).where(Notification.address == HELD).with_for_update()
NEW_PACE_OF_ONE = text("""
    INSERT INTO notification_paces (recipient, channel, tokens, refilled_at)
    SELECT recipient, channel, 3, now() FROM notifications WHERE address = :address
""").bindparams(address=HELD)
OVER = {"lease_until": text("now() - interval '1 second'")}


@pytest.fixture
def services(settings: Settings, own_database: Database, outbox: Outbox) -> Services:
    """A database of its own, where a policy pages four people at once."""
    services = build_services(settings, own_database, channels={"email": outbox})
    add_admins(own_database, *PEOPLE)
    with own_database.transaction() as session:
        policy_service.create(session, PolicyCreate(name="all", steps=steps(0)), services.paging)
    return services


@pytest.fixture
def alert(services: Services, jobs: Jobs) -> Callable[..., None]:
    """Opens incidents and plans their pages."""

    def run(*titles: str) -> None:
        signals = [AlertSignal("elastic", title, True, title, None, None, "api", {}) for title in titles]
        with services.database.transaction() as session:
            alert_service.ingest(session, signals, default_severity=Severity.HIGH)
        jobs.plan()

    return run


def threaded_lane(channel: str, delivery: Delivery, **options: Any) -> Lane:
    return Lane(channel, delivery, Event(), width=2, **options)


def addresses(outbox: Outbox) -> list[str]:
    return sorted(envelope.address for envelope in outbox.sent)


def found(database: Database, *which: object) -> Sequence[Notification]:
    with database.transaction() as session:
        return session.scalars(select(Notification).where(*which).order_by(Notification.id)).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("holding", [PAGE_OF_ONE, NEW_PACE_OF_ONE], ids=["page", "new pace"])
def test_the_others_are_paged_while_somebody_holds_one_persons(
    alert: Callable[..., None], jobs: Jobs, own_database: Database, outbox: Outbox, holding: object
) -> None:
    alert("disk full")
    with own_database.transaction() as other:
        other.execute(holding)  # type: ignore[call-overload]
        jobs.send()
        assert addresses(outbox) == FREE
    jobs.send()
    assert addresses(outbox) == PEOPLE


@pytest.mark.parametrize("titles", [["disk full"], ["disk full", "queue stuck"]], ids=["alone", "bundled"])
def test_pages_that_could_not_go_cost_no_token(
    alert: Callable[..., None], jobs: Jobs, own_database: Database, titles: list[str]
) -> None:
    alert(*titles)
    with own_database.transaction() as other:
        page = other.scalars(PAGE_OF_ONE).all()[0]
        jobs.send()
        with own_database.transaction() as session:
            tokens = {pace.recipient: pace.tokens for pace in session.scalars(select(NotificationThrottle))}
    assert tokens.pop(page.recipient) == CAPACITY
    assert set(tokens.values()) == {CAPACITY - 1}


def test_what_nobody_holds_of_a_persons_pages_goes_without_the_rest(
    alert: Callable[..., None], jobs: Jobs, own_database: Database, outbox: Outbox
) -> None:
    alert("disk full", "queue stuck")
    first = PAGE_OF_ONE.order_by(Notification.id).limit(1)
    with own_database.transaction() as other:
        other.scalars(first).one()
        jobs.send()
        kinds = {envelope.address: envelope.kind for envelope in outbox.sent}
        assert kinds == {HELD: NotificationKind.PAGE, **dict.fromkeys(FREE, NotificationKind.BUNDLE)}
    assert [page.is_throttled for page in found(own_database, Notification.address == HELD)] == [True, False]


def test_pages_that_are_looked_at_later_do_not_wait_for_one_that_is_held(
    alert: Callable[..., None], own_database: Database
) -> None:
    alert("disk full")
    pages = found(own_database)
    with own_database.transaction() as other, own_database.transaction() as session:
        other.scalars(PAGE_OF_ONE).one()
        until = now(session) + timedelta(hours=1)
        wait_briefly(session)
        crud_throttle.postpone(session, "email", [page.recipient for page in pages], until=until)
    later = found(own_database, Notification.next_attempt_at == until)
    assert sorted(page.address for page in later) == FREE


def test_pages_by_a_channel_that_is_gone_do_not_wait_for_one_that_is_held(
    alert: Callable[..., None], services: Services, own_database: Database
) -> None:
    alert("disk full")
    with own_database.transaction() as session:
        session.execute(update(Notification).values(channel="pigeon"))
    with own_database.transaction() as other:
        other.scalars(PAGE_OF_ONE).one()
        inline_lane(None, services.delivery).drain()
    assert [page.address for page in found(own_database, Notification.is_throttled)] == [HELD]


def test_workers_at_once_page_people_without_a_pace_once(
    alert: Callable[..., None], services: Services, outbox: Outbox
) -> None:
    alert("disk full")
    race(inline_lane("email", services.delivery).drain, times=4)
    inline_lane("email", services.delivery).drain()
    assert addresses(outbox) == PEOPLE


@pytest.mark.parametrize("lane_of", [inline_lane, threaded_lane])
def test_a_lane_that_can_let_no_pages_go_for_long_fails_and_sends_the_rest(
    alert: Callable[..., None], services: Services, own_database: Database, outbox: Outbox, lane_of: Callable[..., Lane]
) -> None:
    alert("disk full")
    seconds = [0.0]
    lane = lane_of("email", services.delivery, clock=lambda: seconds[0])
    with own_database.transaction() as other:
        other.execute(text("LOCK TABLE notification_paces IN EXCLUSIVE MODE"))
        assert lane.drain() == 0
        seconds[0] += LOCKED_FOR_LONG_SECONDS
        assert lane.drain() == 0
        seconds[0] += 1
        with own_database.transaction() as session:
            session.execute(update(Notification).where(Notification.address == FREE[0]).values(is_throttled=False))
        with pytest.raises(OperationalError) as raised:
            lane.drain()
        assert is_contended(raised.value)
        assert addresses(outbox) == FREE[:1]
    assert lane.drain() == len(PEOPLE) - 1
    alert("queue stuck")
    with own_database.transaction() as other:
        other.execute(text("LOCK TABLE notification_paces IN EXCLUSIVE MODE"))
        assert lane.drain() == 0
    lane.close()


@pytest.mark.parametrize("lane_of", [inline_lane, threaded_lane])
def test_an_outcome_that_cannot_be_recorded_delays_no_other_message(
    alert: Callable[..., None], services: Services, own_database: Database, outbox: Outbox, lane_of: Callable[..., Lane]
) -> None:
    alert("disk full")
    lane = lane_of("email", services.delivery)
    with own_database.transaction() as other, capture_logs() as lines:

        def hold() -> None:
            if outbox.sent[-1].address == HELD:
                other.scalars(PAGE_OF_ONE).one()

        outbox.on_send = hold
        lane.drain()
        unsent = found(own_database, Notification.status != DeliveryStatus.ACCEPTED)
        assert [(page.address, page.status) for page in unsent] == [(HELD, DeliveryStatus.SENDING)]
        assert [line["result"] for line in lines if line["event"] == "delivery_not_recorded"] == ["accepted"]
        assert "delivery_waits_for_database" not in {line["event"] for line in lines}
        other.execute(update(Notification).where(Notification.id == unsent[0].id).values(OVER))
        with own_database.transaction() as session:
            assert lease_service.expire_leases(session) == 0
    outbox.on_send = lambda: None
    with own_database.transaction() as session:
        assert lease_service.expire_leases(session) == 1
    lane.drain()
    lane.close()
    first, again = [envelope for envelope in outbox.sent if envelope.address == HELD]
    assert first.idempotency_key == again.idempotency_key
    assert {page.status for page in found(own_database)} == {DeliveryStatus.ACCEPTED}


def test_a_message_whose_lease_cannot_be_renewed_is_skipped(
    alert: Callable[..., None], services: Services, own_database: Database, jobs: Jobs, outbox: Outbox
) -> None:
    alert("disk full")
    jobs.lanes["email"]._release()
    claimed = lease_service.claim(services.delivery, "email", limit=10)
    with own_database.transaction() as session:
        session.execute(update(Notification).values(lease_until=text("now() + interval '5 seconds'")))
    with own_database.transaction() as other, capture_logs() as lines:
        other.scalars(PAGE_OF_ONE).one()
        for message in claimed:
            send(services.delivery, message)
    assert addresses(outbox) == FREE
    assert "delivery_waits_for_database" not in {line["event"] for line in lines}


def test_a_bundle_that_cannot_be_given_up_keeps_no_other_lease_from_ending(
    alert: Callable[..., None], services: Services, own_database: Database, jobs: Jobs
) -> None:
    alert("disk full", "queue stuck")
    jobs.lanes["email"]._release()
    claimed = lease_service.claim(services.delivery, "email", limit=10)
    assert {message.kind for message in claimed} == {NotificationKind.BUNDLE}
    tried = {**OVER, "first_attempt_at": text("now() - interval '1 minute'")}
    dying = {"first_attempt_at": text(f"now() - interval '{GIVE_UP_AFTER.total_seconds() + 60} seconds'")}
    with own_database.transaction() as session:
        session.execute(update(Notification).where(Notification.kind == NotificationKind.BUNDLE).values(tried))
        ends = Notification.kind == NotificationKind.BUNDLE, Notification.address.in_(PEOPLE[:2])
        session.execute(update(Notification).where(*ends).values(dying))
    with own_database.transaction() as other:
        other.scalars(PAGE_OF_ONE.where(Notification.bundle_id.is_not(None))).all()
        with own_database.transaction() as session:
            assert lease_service.expire_leases(session) == len(PEOPLE) - 1
        assert statuses(own_database) == ["sending", "dead", "retry", "retry"]
        with own_database.transaction() as session:
            assert lease_service.expire_leases(session) == 0
            assert len(session.scalars(select(NotificationAttempt)).all()) == len(PEOPLE) - 1
    with own_database.transaction() as session:
        assert lease_service.expire_leases(session) == 1
    assert statuses(own_database) == ["dead", "dead", "retry", "retry"]


def statuses(database: Database) -> list[str]:
    """Of the bundles, by their person."""
    bundles = found(database, Notification.kind == NotificationKind.BUNDLE)
    return [bundle.status.value for bundle in sorted(bundles, key=lambda bundle: bundle.address)]


def test_a_locked_message_holds_up_no_other_of_its_channel(
    alert: Callable[..., None], services: Services, own_database: Database, jobs: Jobs
) -> None:
    alert("disk full")
    jobs.lanes["email"]._release()
    with own_database.transaction() as other:
        other.scalars(PAGE_OF_ONE).one()
        claimed = lease_service.claim(services.delivery, "email", limit=10)
    assert sorted(message.address for message in claimed) == FREE
