"""How much slower the service is with years of data: `python -m benchmarks.growth --large 1000000`.

Seeds a small and a large database, then asks both the same questions in turns, in this process and without HTTP. What
is written is rolled back. The table has the least of many tries, so that what else the machine does hardly counts; then
come the indexes that no question needed.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from app.core.config import Settings
from app.db.migrations import upgrade
from app.db.session import Database, connect
from benchmarks import postgres, seed
from benchmarks.growth_questions import QUESTIONS, Facts, tick_of

ROUNDS = 40
MAX_MILLISECONDS = 10_000  # for one question
UNUSED = """
    SELECT relname, indexrelname, pg_size_pretty(pg_relation_size(indexrelid)) FROM pg_stat_user_indexes
    WHERE idx_scan = 0 AND relname IN ('incidents', 'escalations', 'notifications', 'timeline_events')
    ORDER BY pg_relation_size(indexrelid) DESC
"""


def measure(databases: list[Database], rounds: int) -> dict[str, list[float]]:
    """The least milliseconds of each question, for each database."""
    facts = [Facts.of(database) for database in databases]
    asks = {name: [_asking(database, about, name) for database, about in zip(databases, facts, strict=True)]
            for name in QUESTIONS}  # fmt: skip
    asks["the tick, with nothing due"] = [tick_of(Settings(_env_file=None), database) for database in databases]
    return {name: [min(times) for times in _in_turns(pair, rounds)] for name, pair in asks.items()}


def _asking(database: Database, facts: Facts, name: str) -> Callable[[], object]:
    def ask() -> None:
        with database.session() as session:
            QUESTIONS[name](session, facts)
            session.rollback()

    return ask


def _in_turns(asks: list[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Milliseconds of every round but the first, which warms up. A slow question has fewer rounds."""
    times: list[list[float]] = [[] for _ in asks]
    for number in range(rounds + 1):
        if sum(map(sum, times)) > MAX_MILLISECONDS:
            break
        for ask, taken in zip(asks, times, strict=True):
            began = time.perf_counter()
            ask()
            if number:
                taken.append((time.perf_counter() - began) * 1000)
    return times


def report(measured: dict[str, list[float]], sizes: list[int]) -> str:
    """The table, in Markdown."""
    small, large = (f"{size:,}" for size in sizes)
    lines = [f"| what | ms at {small} | ms at {large} | ratio |", "|---|--:|--:|--:|"]
    for name, (before, after) in measured.items():
        lines.append(f"| {name} | {before:.2f} | {after:.2f} | {after / before:.2f} |")
    return "\n".join(lines)


@contextmanager
def _seeded(urls: list[str], sizes: list[int]) -> Iterator[list[str]]:
    """Databases of these sizes: those of the URLs, or new ones on a server of their own."""
    if urls:
        yield urls
        return
    with tempfile.TemporaryDirectory() as home, postgres.running_postgres(Path(home)) as server:
        made = [server.create(f"of_{size}") for size in sizes]
        for url, size in zip(made, sizes, strict=True):
            database = connect(url, pool_size=1)
            upgrade(database)
            seed.fill(database, size)
            database.dispose()
        yield made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=1_000, help="incidents in the small database")
    parser.add_argument("--large", type=int, default=1_000_000, help="incidents in the large one")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each question is asked")
    parser.add_argument("--urls", nargs=2, default=[], help="two databases that are seeded already")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    structlog.configure(processors=[], wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    sizes = [given.small, given.large]
    with _seeded(given.urls, sizes) as urls:
        databases = [connect(url, pool_size=2) for url in urls]
        print(report(measure(databases, given.rounds), sizes))
        for database in databases:
            database.dispose()  # a connection reports what it scanned when it ends
        time.sleep(1)
        print("\nNever scanned in the large one:", file=sys.stderr)
        for row in postgres.run(urls[1], UNUSED):
            print(*row, file=sys.stderr)


if __name__ == "__main__":
    main()
