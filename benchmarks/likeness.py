"""Compares the fields of the answers: a naive service that did less than ours would be no yardstick."""

from collections.abc import Sequence

from benchmarks import seeding, wire
from benchmarks.services import Service
from benchmarks.workloads import INCIDENT


def compare(services: Sequence[Service]) -> str:
    """A line for the report: `alike`, or which fields ours answers and the naive service does not, and the reverse."""
    fields = {service.name: _fields(service) for service in services}
    lacks, adds = sorted(fields["ours"] - fields["naive"]), sorted(fields["naive"] - fields["ours"])
    said = [f"naive lacks {', '.join(lacks)}"] * bool(lacks) + [f"naive adds {', '.join(adds)}"] * bool(adds)
    return "; ".join(said) or "alike"


def _fields(service: Service) -> set[str]:
    token = service.tokens[0]
    first = seeding.reset(service.database_url, 10)[0]
    answers = {
        "create": wire.call(f"{service.url}/v1/incidents", INCIDENT, token),
        "acknowledge": wire.call(f"{service.url}/v1/incidents/{first}/acknowledge", {}, token),
        "read": wire.call(f"{service.url}/v1/incidents/{first}", token=token),
        "list": wire.call(f"{service.url}/v1/incidents?limit=1", token=token)[0],
        "me": wire.call(f"{service.url}/v1/users/me", token=token),
    }
    read = answers["read"]
    parts = {name: read[name][0] for name in ("assignments", "comments", "timeline_events")}
    counts = {f"read.{name}={len(read[name])}" for name in parts}  # as many assignments and entries, too
    return counts | {f"{name}.{field}" for name, answer in (answers | parts).items() for field in answer}
