"""Rows 10 and 18: providers that fail in every way, and what they report afterwards, in any order."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink

from app.core.config import Settings
from app.services.delivery import callback_service
from app.services.delivery.callback_service import DeliveryReport
from app.utils.service_locator import build_services
from tests.faults import oracle
from tests.faults.figures import Figures, quantile
from tests.faults.provider import Answer, Script
from tests.faults.rig import TICK_SECONDS, Rig
from tests.faults.seeding import add_admin, add_incidents, add_mail_people, add_people, add_policy, steps

pytestmark = pytest.mark.faults

RETRY_AFTER_SECONDS = 6
FIRST_RETRY_SECONDS = 2.0
STATUS_CODES = [400, 404, 410]
RETRY_LATER = Answer(429, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
MAILED = """
    SELECT extract(epoch FROM n.accepted_at - d.due_at) AS seconds
    FROM notifications n JOIN due d USING (incident_id) WHERE n.channel = 'email' AND n.status = 'accepted'
"""
DUE_TIMES = "CREATE TABLE IF NOT EXISTS due (incident_id int, due_at timestamptz)"
NOTE_DUE = "INSERT INTO due SELECT incident_id, next_run_at FROM escalations WHERE incident_id = ANY(:ids)"
OUTBOX = """
    INSERT INTO notifications (incident_id, cycle, recipient, channel, address, kind, subject, body, status,
        accepted_at)
    SELECT id, 1, 'user:1', 'sms', '+14155550100', 'page', '', '', 'accepted', now() FROM incidents
    RETURNING idempotency_key
"""
STANDING = "SELECT status, count(*) AS number FROM notifications GROUP BY status"
TOLD = """
    SELECT event_type, count(*) AS number FROM timeline_events
    WHERE event_type IN ('notification_delivered', 'notification_failed') GROUP BY event_type
"""


@dataclass(frozen=True)
class Fault:
    """How the provider behaves, by the path and how often the message has come before; for so long, if it ends."""

    name: str
    script: Script
    seconds: float | None = None
    least_seconds: float = 15


FAULTS = [
    Fault("503", lambda _path, _before: Answer(503), seconds=600),
    Fault("429", lambda _path, before: Answer() if before else RETRY_LATER),
    Fault("hangs", lambda _path, _before: Answer(fault="hang"), seconds=60),
    Fault("drips", lambda _path, _before: Answer(fault="drip"), seconds=60),
    Fault("resets", lambda _path, _before: Answer(fault="reset"), seconds=60),
    Fault("refuses", lambda path, _before: Answer(STATUS_CODES[int(path.rpartition("/")[2]) % 3])),
]


@pytest.fixture
def mail_port(free_port: int) -> Iterator[int]:
    """The port of a mail server that takes everything."""
    controller = Controller(Sink(), hostname="127.0.0.1", port=free_port, ready_timeout=60)
    controller.start()
    yield free_port
    controller.stop()


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_row_10_a_failing_provider_loses_no_page_and_delays_no_channel(
    rig: Rig, mail_port: int, scaled: Callable[..., int], figures: Figures, fault: Fault
) -> None:
    number, seconds = scaled(200, 20), scaled(fault.seconds or 20, fault.least_seconds)
    add_admin(rig.store, rig.provider)
    by_mail = add_mail_people(rig.store, 2 * number)
    people = add_people(rig.store, rig.provider, number, mail=True)
    policy = add_policy(rig.store, steps(0))
    rig.store.run(DUE_TIMES)
    rig.start_ready(2, SMTP_HOST="127.0.0.1", SMTP_PORT=str(mail_port), SMTP_TLS="none")
    usual = _mail_latency(rig, policy, by_mail[:number])
    rig.provider.script = fault.script
    pages = add_incidents(rig.store, policy, number, people, apart=seconds / 2 / number)
    meanwhile = _mail_latency(rig, policy, by_mail[number:], beside=usual)
    if fault.seconds is not None:
        time.sleep(seconds)  # the fault itself
        rig.provider.always(Answer())
    rig.wait_for(oracle.DUE, 0, seconds=120)
    rig.wait_for(oracle.UNFINISHED, 0, seconds=240)
    p99 = (quantile(usual, 0.99), quantile(meanwhile, 0.99))
    figures.add(f"10 provider: {fault.name}", pages=number, mail_p99_s=p99[1], mail_p99_usual_s=p99[0])
    assert len(pages) == number
    assert oracle.lost(rig.store) == oracle.repeated(rig.store) == 0
    assert oracle.falsely_sent(rig.store, rig.provider) == 0
    assert _shortest_gap(rig) >= (RETRY_AFTER_SECONDS if fault.name == "429" else FIRST_RETRY_SECONDS)
    assert p99[1] <= rig.allowed(max(2 * p99[0], TICK_SECONDS))  # under a second it is the machine's noise


def _mail_latency(rig: Rig, policy: int, people: list[int], beside: list[float] | None = None) -> list[float]:
    """Page people by mail at the usual rate. Returns the seconds from due to accepted, without those `beside`."""
    before = len(beside or [])
    ids = add_incidents(rig.store, policy, len(people), people, due_in=1, apart=0.1)
    rig.store.run(NOTE_DUE, ids=ids)
    mine = f"{MAILED} AND incident_id BETWEEN {ids[0]} AND {ids[-1]}"
    rig.wait(lambda: len(rig.store.rows(mine)) == len(people), seconds=90 + len(people) / 5)
    assert len(rig.store.rows(MAILED)) == before + len(people)
    return [float(row.seconds) for row in rig.store.rows(mine)]


def _shortest_gap(rig: Rig) -> float:
    """The least time between two attempts to send one message."""
    times: dict[str, list[float]] = {}
    for arrival in rig.provider.arrivals:
        times.setdefault(arrival.key, []).append(arrival.at)
    gaps = [later - earlier for each in times.values() for earlier, later in pairwise(each)]
    return min(gaps, default=float("inf"))


@pytest.mark.parametrize(
    ("reports", "ends"),
    [
        ([None, None, True], {"delivered"}),
        ([None, None, False], {"dead"}),
        ([None, True, False], {"delivered", "dead"}),
    ],
    ids=["delivered", "failed", "contradictory"],
)
def test_row_18_reports_out_of_order_and_repeated_lead_to_one_final_state(
    rig: Rig, scaled: Callable[..., int], figures: Figures, reports: list[bool | None], ends: set[str]
) -> None:
    number = scaled(500, 30)
    add_admin(rig.store, rig.provider)
    [person] = add_people(rig.store, rig.provider, 1)
    add_incidents(rig.store, add_policy(rig.store, steps(0)), number, [person], due_in=3600)
    keys = [row.idempotency_key for row in rig.store.rows(OUTBOX)]
    every = [(key, report) for key in keys for report in reports for _ in range(3)]
    random.Random(18).shuffle(every)
    paging = build_services(Settings(_env_file=None), rig.store.database).paging

    def tell(report: tuple[UUID, bool | None]) -> None:
        with rig.store.database.transaction() as session:
            callback_service.take(session, DeliveryReport(report[0], has_arrived=report[1]), paging)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(tell, every))
    standing = {row.status: row.number for row in rig.store.rows(STANDING)}
    told = {row.event_type: row.number for row in rig.store.rows(TOLD)}
    figures.add("18 reports", reports=len(every), states=len(standing), told=sum(told.values()))
    assert set(standing) == ends
    assert sum(standing.values()) == sum(told.values()) == number
    assert told.get("notification_delivered", 0) == standing.get("delivered", 0)
