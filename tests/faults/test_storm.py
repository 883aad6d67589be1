"""Rows 14 and 15: a storm of alerts, a page to everybody, and how late a page comes on an ordinary busy day."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.core.source import AlertSignal
from app.core.vocabulary import Severity
from app.services.incidents import alert_service
from tests.faults import oracle
from tests.faults.figures import Figures, quantile
from tests.faults.provider import Answer
from tests.faults.rig import Rig
from tests.faults.seeding import add_admin, add_incidents, add_people, add_policy, steps

pytestmark = pytest.mark.faults

SENDERS = 8
MOST_IN_FIRST_MINUTE = 3
NAMED_WITHIN_SECONDS = 30.0
FAN_OUT_SECONDS = 10.0
LATE_SECONDS = 1.0
# Every incident with the messages that name it: its page, or the bundle that its page went with.
NAMED_BY = """
    SELECT i.id, extract(epoch FROM i.created_at) AS opened_at,
        coalesce(b.idempotency_key, n.idempotency_key)::text AS key
    FROM incidents i LEFT JOIN notifications n ON n.incident_id = i.id LEFT JOIN notifications b ON b.id = n.bundle_id
"""
DUE_TIMES = (
    "SELECT incident_id, extract(epoch FROM next_run_at) AS due_at FROM escalations WHERE incident_id = ANY(:ids)"
)
KEYS = "SELECT incident_id, idempotency_key::text AS key FROM notifications"


def test_row_14_a_storm_of_alerts_is_named_in_a_few_messages(
    rig: Rig, scaled: Callable[..., int], figures: Figures
) -> None:
    number, seconds = scaled(5_000, 200), scaled(60, 10)
    add_admin(rig.store, rig.provider)
    people = add_people(rig.store, rig.provider, 2)
    add_policy(rig.store, steps(0, target=people), service="payments")
    rig.start_ready(2)
    _post_alerts(rig, number, seconds)
    rig.wait_for("SELECT count(DISTINCT incident_id) FROM notifications", number, seconds=120)
    rig.wait_for(oracle.UNFINISHED, 0, seconds=120)
    arrived_at: dict[str, float] = {}
    for arrival in rig.provider.arrivals:
        arrived_at.setdefault(arrival.key, arrival.at)
    waited: dict[int, float] = {}
    for row in rig.store.rows(NAMED_BY):
        after = arrived_at.get(row.key, float("inf")) - float(row.opened_at)
        waited[row.id] = min(after, waited.get(row.id, float("inf")))
    first_minute = [_in_first_minute(rig, f"/{person}") for person in people]
    figures.add(
        "14 storm", alerts=number, seconds=seconds, messages=max(first_minute), longest_wait_s=max(waited.values())
    )
    assert len(waited) == number
    assert max(waited.values()) <= rig.allowed(NAMED_WITHIN_SECONDS)
    assert max(first_minute) <= MOST_IN_FIRST_MINUTE
    assert min(first_minute) >= 1
    assert oracle.lost(rig.store) == 0


def test_row_15_a_page_to_everybody_reaches_them_within_seconds(
    rig: Rig, scaled: Callable[..., int], figures: Figures
) -> None:
    number = scaled(1_300, 130)
    rig.provider.always(Answer(delay=0.05))
    add_admin(rig.store, rig.provider)
    people = add_people(rig.store, rig.provider, number - 1)
    policy = add_policy(rig.store, steps(0, target="all"))
    rig.start_ready(2)
    began = time.time()
    add_incidents(rig.store, policy, 1, people[:1])
    rig.wait(lambda: len(rig.provider.keys()) == number, seconds=120 + number / 10)
    took = max(arrival.at for arrival in rig.provider.arrivals) - began
    rig.wait_for(oracle.UNFINISHED, 0, seconds=120)
    figures.add("15 fan-out", people=number, seconds=took, pages_per_s=number / took)
    assert oracle.lost(rig.store) == 0
    assert oracle.duplicates(rig.provider) == {}
    assert took <= rig.allowed(FAN_OUT_SECONDS)


def test_pages_come_when_they_are_due_though_much_is_open(
    rig: Rig, scaled: Callable[..., int], figures: Figures
) -> None:
    is_open, number, seconds = scaled(200_000, 2_000), scaled(1_000, 100), scaled(60, 10)
    add_admin(rig.store, rig.provider)
    people = add_people(rig.store, rig.provider, number)
    policy = add_policy(rig.store, steps(0))
    add_incidents(rig.store, policy, is_open - number, people, due_in=86_400)
    rig.store.tidy()
    rig.start_ready(2)
    ids = add_incidents(rig.store, policy, number, people, due_in=2, apart=seconds / number)
    due_at = {row.incident_id: float(row.due_at) for row in rig.store.rows(DUE_TIMES, ids=ids)}
    rig.wait(lambda: len(rig.provider.keys()) == number, seconds=120 + 2 * seconds)
    incident_of = {row.key: row.incident_id for row in rig.store.rows(KEYS)}
    late = [arrival.at - due_at[incident_of[arrival.key]] for arrival in rig.provider.arrivals]
    p50, p99 = quantile(late, 0.5), quantile(late, 0.99)
    figures.add("latency due to accepted", open=is_open, due=number, p50_s=p50, p99_s=p99, most_s=max(late))
    assert min(late) >= 0
    assert p99 <= rig.allowed(LATE_SECONDS)


def _post_alerts(rig: Rig, number: int, seconds: float) -> None:
    """Post alerts evenly over a while, each from its sender in a transaction of its own. One that is refused raises."""
    began = time.monotonic()

    def post(place: int) -> None:
        time.sleep(max(began + seconds * place / number - time.monotonic(), 0))  # the rate of the storm
        signal = AlertSignal("elastic", f"alert {place}", True, f"alert {place}", None, "high", "payments", {})
        with rig.store.database.transaction() as session:
            alert_service.ingest(session, [signal], default_severity=Severity.HIGH)

    with ThreadPoolExecutor(SENDERS) as threads:
        list(threads.map(post, range(number)))


def _in_first_minute(rig: Rig, path: str) -> int:
    times: Sequence[float] = [arrival.at for arrival in rig.provider.arrivals if arrival.path == path]
    return sum(1 for at in times if at < min(times) + 60)
