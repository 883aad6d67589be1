"""What is asked of a service over HTTP, and how long its answers take."""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg2.errors

from benchmarks import seeding
from benchmarks.load import Group, Sample, Timing, drive
from benchmarks.seeding import MATCHED, UNMATCHED
from benchmarks.services import WEBHOOK_TOKEN, Service
from benchmarks.wire import get, post

Measures = dict[str, float]

STOCK = 5_000  # incidents that are there before
USED_A_SECOND = 3_000  # incidents that acknowledging and resolving may use up
LISTED = 50
THINK_SECONDS = 0.1
RATE, P50, P99, MAX, ERRORS = "requests/s", "p50 ms", "p99 ms", "longest gap ms", "errors"
GENERATOR = "generator % of a core"
CPU = "CPU us a request"  # of the service's own processes: steadier than the rate while others use the machine
INCIDENT = {
    "title": "Database connection failed",
    "severity": "high",
    "service": MATCHED,
    "description": "x" * 200,
}


@dataclass(frozen=True)
class Target:
    """What requests are made of."""

    tokens: list[str]
    incidents: range

    def token(self) -> str:
        return self.tokens[0]


Requests = Callable[[Target], Iterator[bytes]]


@dataclass(frozen=True)
class Crowd:
    """Clients that do one thing."""

    requests: Requests
    clients: int
    think_seconds: float = 0.0


@dataclass(frozen=True)
class HttpWorkload:
    """Something to measure. The first crowd is measured; others are only there.

    `script` is what pgbench does in its place, `uses_up` says that each request takes an incident of its own.
    """

    name: str
    says: str
    crowds: tuple[Crowd, ...]
    script: str | None = None
    uses_up: bool = False

    @property
    def clients(self) -> int:
        return self.crowds[0].clients

    def stock(self, timing: Timing) -> int:
        """How many incidents there are at the beginning."""
        return int(USED_A_SECOND * (timing.seconds + timing.warm_up)) if self.uses_up else STOCK

    def run(self, service: Service, timing: Timing) -> Measures:
        service.revive()
        incidents = self._reset(service, timing)
        target = Target(service.tokens, incidents)
        groups = [Group(crowd.requests(target), crowd.clients, crowd.think_seconds) for crowd in self.crowds]
        before = service.cpu_seconds()
        run = drive(service.port, groups, timing)
        measured = measures(run.samples[0]) | {GENERATOR: 100 * run.generator_share}
        if len(groups) == 1 and measured[RATE]:
            answered = measured[RATE] * (timing.seconds + timing.warm_up)
            measured[CPU] = 1e6 * (service.cpu_seconds() - before) / answered
        return measured

    def _reset(self, service: Service, timing: Timing) -> range:
        ours = service.kind.checkout is not None
        escalations = (seeding.OUR_ESCALATIONS if ours else seeding.NAIVE_ESCALATIONS) if self.uses_up else None
        try:
            return seeding.reset(service.database_url, self.stock(timing), escalations=escalations)
        except psycopg2.errors.LockNotAvailable:  # requests of the last measurement still hold their transactions
            service.restart()
            return seeding.reset(service.database_url, self.stock(timing), escalations=escalations)


def measures(sample: Sample) -> Measures:
    """The figures of one sample. Where nothing was answered, there are no times."""
    counted = {RATE: sample.rate, ERRORS: float(sample.errors)}
    if not sample.latencies:
        return counted
    p50, p99 = sample.percentile(0.5), sample.percentile(0.99)
    return {RATE: sample.rate, P50: 1000 * p50, P99: 1000 * p99, MAX: 1000 * sample.longest_gap, **counted}


def _create(target: Target) -> Iterator[bytes]:
    return itertools.cycle([post("/v1/incidents", token, INCIDENT) for token in target.tokens])


def _alert(key: str, service: str = MATCHED) -> bytes:
    body = {
        "alert_id": key,
        "alert_name": "High latency - api-gateway",
        "message": "p95 latency 1840 ms is above 1000 ms",
        "severity": "high",
        "service": {"name": service, "environment": "production"},
        "state": {"state": "active"},
        "labels": {"cluster": "eu-west-1", "deployment": "api-gateway-7d9f"},
    }
    return post("/v1/alerts/elastic", WEBHOOK_TOKEN, body)


def _alerts_twice(_target: Target) -> Iterator[bytes]:
    run = time.time_ns()
    return (alert for number in itertools.count() for alert in [_alert(f"{run}-{number}")] * 2)


def _alerts_of_one_key(_target: Target) -> Iterator[bytes]:
    return itertools.repeat(_alert(f"one-key-{time.time_ns()}"))


def _unmatched_alerts(_target: Target) -> Iterator[bytes]:
    run = time.time_ns()
    return (_alert(f"{run}-{number}", UNMATCHED) for number in itertools.count())


def _acknowledge(target: Target) -> Iterator[bytes]:
    return (post(f"/v1/incidents/{id_}/acknowledge", target.token()) for id_ in target.incidents)


def _resolve(target: Target) -> Iterator[bytes]:
    return (post(f"/v1/incidents/{id_}/resolve", target.token()) for id_ in target.incidents)


def _read(target: Target) -> Iterator[bytes]:
    with_record = target.incidents[: seeding.RECORD_OF]
    return itertools.cycle([get(f"/v1/incidents/{id_}", target.token()) for id_ in with_record])


def _list(target: Target) -> Iterator[bytes]:
    return itertools.cycle([get(f"/v1/incidents?limit={LISTED}", token) for token in target.tokens])


def _list_and_search(target: Target) -> Iterator[bytes]:
    """Every other one searches for a number: in a stock of thousands some dozens have it."""
    numbers = random.Random(7).sample(range(100, 1000), 64)  # the same ones for every service
    searches = [f"/v1/incidents?limit={LISTED}&q={number}" for number in numbers]
    paths = [path for search in searches for path in (f"/v1/incidents?limit={LISTED}", search)]
    return itertools.cycle([get(path, target.tokens[place % len(target.tokens)]) for place, path in enumerate(paths)])


def _me(target: Target) -> Iterator[bytes]:
    return itertools.cycle([get("/v1/users/me", token) for token in target.tokens])


def _root(_target: Target) -> Iterator[bytes]:
    return itertools.repeat(get("/"))


def _of(name: str, says: str, requests: Requests, clients: int, *, script: str | None = None) -> HttpWorkload:
    return HttpWorkload(name, f"{says}, {clients} clients", (Crowd(requests, clients),), script)


_WEBHOOKS = Crowd(_alerts_twice, 16, THINK_SECONDS)

HTTP_WORKLOADS = (
    *(_of(f"create-{number}", "open incidents", _create, number, script="create") for number in (1, 32, 128, 512)),
    _of("webhook-twice", "Elastic webhook, each key twice", _alerts_twice, 128),
    _of("webhook-one-key", "Elastic webhook, one key", _alerts_of_one_key, 128),
    HttpWorkload("acknowledge", "acknowledge, 32 clients", (Crowd(_acknowledge, 32),), uses_up=True),
    HttpWorkload("resolve", "resolve, 32 clients", (Crowd(_resolve, 32),), uses_up=True),
    _of("read", "one incident with its record", _read, 32, script="read"),
    _of("list", f"the newest {LISTED} incidents", _list, 32, script="list"),
    _of("me", "GET /v1/users/me", _me, 32),
    _of("root", "GET /, through all middleware", _root, 32),
    HttpWorkload("webhook-alone", "160 alerts a second, nothing else", (_WEBHOOKS,)),
    HttpWorkload(
        "webhook-busy", "160 alerts a second, 64 clients list and search", (_WEBHOOKS, Crowd(_list_and_search, 64))
    ),
    _of("webhook-unmatched", "Elastic webhook, no policy matches", _unmatched_alerts, 128),
)
