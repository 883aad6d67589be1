"""What an hour of work leaves behind: `python -m benchmarks.churn --minutes 60`.

Eight clients live through incidents, two processes serve and page, and autovacuum does what it does by default. The
first table is the memory of the processes by the minute. The second is what the updates did to each table: how many
were HOT (no index was touched), and how large the table and its indexes are against the same rows written anew.
"""

import argparse
import itertools
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from benchmarks import paging, postgres, seeding, wire
from benchmarks.services import ADMIN, PASSWORD, PEOPLE, ROOT, WEBHOOK_TOKEN, Kind, Service, token_of
from benchmarks.sink import running_sink, taken

CLIENTS = 8
THINK_SECONDS = 0.2
ANSWER_SECONDS = 30.0
LONG_OUTAGES = 10  # every so many incidents nobody acknowledges
TABLES = """
    SELECT relname, n_live_tup, n_tup_upd, n_tup_hot_upd, n_dead_tup, pg_table_size(relid), pg_indexes_size(relid)
    FROM pg_stat_user_tables WHERE n_tup_upd > 0 ORDER BY n_tup_upd DESC
"""
SIZES = "SELECT relname, pg_table_size(relid), pg_indexes_size(relid) FROM pg_stat_user_tables"


class Client(threading.Thread):
    """Lives through one incident after the other: an alert, a look at it, an acknowledgement, a comment, the end."""

    def __init__(self, service: Service, number: int, is_over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.lived = 0
        self.refused: list[str] = []
        self._service = service
        self._number = number
        self._is_over = is_over
        self._session = requests.Session()
        self._token = service.tokens[number]

    def run(self) -> None:
        for turn in itertools.count():
            if self._is_over.is_set():
                return
            try:
                self._live(turn)
                self.lived += 1
            except (requests.RequestException, KeyError) as error:
                self.refused.append(f"{type(error).__name__}: {error}")

    def _live(self, turn: int) -> None:
        key = f"{self._number}-{turn}"
        opened = self._alert(key, turn, "active")
        incident = f"/v1/incidents/{opened['incident_id']}"
        self._call("GET", "/v1/incidents?status=open&limit=50")
        self._call("GET", incident)
        if turn % LONG_OUTAGES:
            self._call("POST", f"{incident}/acknowledge")
            self._call("POST", f"{incident}/comments", {"content": "Failover is running."})
        self._call("GET", f"{incident}/timeline")
        if turn % 2:
            self._call("POST", f"{incident}/resolve")
        else:
            self._alert(key, turn, "recovered")

    def _alert(self, key: str, turn: int, state: str) -> Any:
        body = {
            "alert_id": key,
            "alert_name": f"Disk of host {turn} is full",
            "service": {"name": f"service-{turn % seeding.POLICIES}"},
            "severity": "high",
            "state": {"state": state},
        }
        return self._call("POST", "/v1/alerts/elastic", body, WEBHOOK_TOKEN)

    def _call(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        self._is_over.wait(THINK_SECONDS)
        headers = {"Authorization": f"Bearer {token or self._token}"}
        url = f"{self._service.url}{path}"
        answer = self._session.request(method, url, json=body, headers=headers, timeout=ANSWER_SECONDS)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def _running(home: Path) -> Iterator[tuple[Service, str]]:
    """The service with a hundred policies, each paging a person of its own by webhook; and their provider."""
    cluster = home / "postgres"
    cluster.mkdir()
    with postgres.running_postgres(cluster) as server, running_sink() as provider:
        service = Service(Kind("ours", home, ROOT), server, server.create("ours"))
        try:
            service.start()
            _furnish(service, provider)
            yield service, provider
        finally:
            service.stop()


def _furnish(service: Service, provider: str) -> None:
    """Each policy pages a person of its own at once, and again after a minute."""
    people = {"number": seeding.POLICIES, "url": provider}
    postgres.run(service.database_url, paging.PEOPLE, paging.PREFERENCES, values=people)
    admin = token_of(service.url, ADMIN)
    for email in PEOPLE:
        wire.call(f"{service.url}/v1/users", {"email": email, "password": PASSWORD}, admin)
    service.log_in()
    for number, policy in enumerate(seeding.policies(), 1):
        page = {"actions": [{"type": "notify", "target": f"person-{number}@example.com"}]}
        policy["steps"] = [{"delay_minutes": delay, **page} for delay in (0, 1)]
        wire.call(f"{service.url}/v1/escalation/policies", policy, admin)


def _watch(service: Service, clients: list[Client], minutes: float) -> None:
    print("| minute | incidents | largest process MiB | all processes MiB |\n|--:|--:|--:|--:|")
    began = time.monotonic()
    for minute in range(int(minutes) + 1):
        time.sleep(max(0.0, began + 60 * minute - time.monotonic()))
        sizes = service.resident_mib()
        print(f"| {minute} | {sum(c.lived for c in clients):,} | {sizes[0]:.0f} | {sum(sizes):.0f} |", flush=True)


def _report(database_url: str) -> None:
    """Print what the updates did to each table that had any. Rewrites the tables."""
    time.sleep(1)  # a connection reports what it did at most once a second
    before = postgres.run(database_url, TABLES)
    postgres.run(database_url, "VACUUM FULL")
    anew = {name: (table, indexes) for name, table, indexes in postgres.run(database_url, SIZES)}
    print("\n| table | rows | updates | HOT | dead rows | MiB (anew) | MiB of indexes (anew) |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, rows, updates, hot, dead, table, indexes in before:
        least_table, least_indexes = anew[name]
        sizes = f"{_mib(table)} ({_mib(least_table)}) | {_mib(indexes)} ({_mib(least_indexes)})"
        print(f"| {name} | {rows:,} | {updates:,} | {hot / updates:.0%} | {dead:,} | {sizes} |")


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f}"


def main() -> int:
    """Start everything, let it work, print the tables. Returns 1 if a request failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.churn", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="churn-") as directory:
        Path(directory).chmod(0o755)  # PostgreSQL of root runs as somebody else, who has to pass here
        with _running(Path(directory)) as (service, provider):
            is_over = threading.Event()
            clients = [Client(service, number, is_over) for number in range(min(CLIENTS, len(PEOPLE)))]
            for client in clients:
                client.start()
            _watch(service, clients, options.minutes)
            is_over.set()
            for client in clients:
                client.join()
            print(f"\n{taken(provider)['count']:,} pages arrived.")
            _report(service.database_url)
    refused = [said for client in clients for said in client.refused]
    print("\n".join(dict.fromkeys(refused)), file=sys.stderr)
    return min(len(refused), 1)


if __name__ == "__main__":
    sys.exit(main())
