"""Concurrent requests share a transaction, and each of them succeeds or fails alone."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.api.gather import Gatherer, Threads
from app.api.waiting import Outcome
from app.core.batches import LOCKED
from app.core.config import Settings
from app.core.errors import NotFound, Overloaded
from app.core.vocabulary import LogLevel
from app.db.session import Database, connect
from tests.support.api import wait_until_somebody_waits_for_a_lock
from tests.support.logs import configured, events

WAIT_SECONDS = 60
READ = "SELECT name FROM gathered WHERE name = :name FOR UPDATE"


@dataclass
class Writer:
    """Writes names into a table. The first batch begins only when the test lets it."""

    batches: list[list[str]] = field(default_factory=list)
    seen_by_others: list[str] = field(default_factory=list)
    may_begin: Event = field(default_factory=Event)
    has_begun: Event = field(default_factory=Event)
    on_batch: Callable[[], object] = lambda: None
    lock_milliseconds: int = 10_000

    def __call__(self, session: Session, items: Sequence[str], *, waits: bool) -> Sequence[Outcome]:
        self.batches.append(list(items))
        self.on_batch()
        self.has_begun.set()
        assert self.may_begin.wait(WAIT_SECONDS)
        return [self._one(session, item, waits=waits) for item in items]

    def _one(self, session: Session, item: str, *, waits: bool) -> Outcome:
        if item == "refused":
            return NotFound("There is no such thing.")
        if item == "broken":
            raise RuntimeError("a defect")
        if item.startswith("take "):
            query = READ if waits else f"{READ} SKIP LOCKED"
            session.execute(text(f"SET LOCAL lock_timeout = {self.lock_milliseconds}"))
            name = item.removeprefix("take ").partition(" ")[0]
            if session.execute(text(query), {"name": name}).one_or_none() is None:
                return LOCKED
        session.execute(text("INSERT INTO gathered (name) VALUES (:name)"), {"name": item})
        return f"{item} is written"


@pytest.fixture
def table(own_database: Database) -> Database:
    with own_database.transaction() as session:
        session.execute(
            text("CREATE TABLE gathered (id serial, name text UNIQUE DEFERRABLE INITIALLY DEFERRED)"),
        )
    return own_database


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads(2)
    yield threads
    threads.close()


@pytest.fixture
def gatherer(table: Database, writer: Writer, threads: Threads) -> Gatherer[str]:
    return Gatherer(
        "names", table, writer, threads, key_of=lambda item: item.partition(" ")[2].partition(" ")[0] or None
    )


def names(database: Database) -> list[str]:
    with database.transaction() as session:
        return list(session.scalars(text("SELECT name FROM gathered ORDER BY id")))


def submitted(gatherer: Gatherer[str], writer: Writer, first: str, *others: str) -> list[Any]:
    """Submit the first, then the others while its batch is being written. Errors are results."""

    async def run() -> list[Any]:
        tasks = [asyncio.ensure_future(gatherer.submit(first))]
        await asyncio.to_thread(writer.has_begun.wait, WAIT_SECONDS)
        tasks += [asyncio.ensure_future(gatherer.submit(item)) for item in others]
        await asyncio.sleep(0)  # each of them is in the queue now
        writer.may_begin.set()
        return list(await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), WAIT_SECONDS))

    return asyncio.run(run())


def test_what_arrives_during_a_batch_is_the_next_one(gatherer: Gatherer[str], writer: Writer) -> None:
    answers = submitted(gatherer, writer, "a", "b", "c", "d")

    assert writer.batches == [["a"], ["b", "c", "d"]]
    assert answers == [f"{name} is written" for name in "abcd"]


def test_a_request_that_is_alone_waits_for_nobody(gatherer: Gatherer[str], writer: Writer) -> None:
    writer.may_begin.set()

    assert asyncio.run(gatherer.submit("a")) == "a is written"
    assert asyncio.run(gatherer.submit("b")) == "b is written"
    assert writer.batches == [["a"], ["b"]]


def test_an_answer_is_given_after_the_commit(gatherer: Gatherer[str], writer: Writer, table: Database) -> None:
    async def run() -> list[str]:
        await gatherer.submit("a")
        return names(table)

    writer.may_begin.set()
    assert asyncio.run(run()) == ["a"]


def test_a_batch_whose_commit_fails_answers_nothing_as_done(
    gatherer: Gatherer[str], writer: Writer, table: Database
) -> None:
    answers = submitted(gatherer, writer, "a", "b", "a", "c")  # the second "a" is refused only at the commit

    assert [str(answer) for answer in answers if isinstance(answer, str)] == [
        "a is written",
        "b is written",
        "c is written",
    ]
    assert type(answers[2]).__name__ == "IntegrityError"
    assert names(table) == ["a", "b", "c"]


def test_a_refused_request_does_not_touch_the_others(gatherer: Gatherer[str], writer: Writer, table: Database) -> None:
    answers = submitted(gatherer, writer, "a", "b", "refused", "c")

    assert isinstance(answers[2], NotFound)
    assert names(table) == ["a", "b", "c"]
    assert len(writer.batches) == 2


def test_the_members_of_a_failing_batch_run_one_by_one_in_order(
    gatherer: Gatherer[str], writer: Writer, table: Database
) -> None:
    answers = submitted(gatherer, writer, "a", "b", "broken", "c")

    assert isinstance(answers[2], RuntimeError)
    assert [answer for answer in answers if isinstance(answer, str)] == [f"{name} is written" for name in "abc"]
    assert writer.batches == [["a"], ["b", "broken", "c"], ["b"], ["broken"], ["c"]]
    assert names(table) == ["a", "b", "c"]


def test_a_locked_row_holds_up_no_other_request(gatherer: Gatherer[str], writer: Writer, table: Database) -> None:
    writer.may_begin.set()
    asyncio.run(gatherer.submit("x"))

    async def run() -> tuple[str, str]:
        waiting = asyncio.ensure_future(gatherer.submit("take x 1"))
        other = await asyncio.wait_for(gatherer.submit("b"), WAIT_SECONDS)
        assert not waiting.done()
        holder.rollback()
        return other, await asyncio.wait_for(waiting, WAIT_SECONDS)

    with table.session() as holder:
        holder.execute(text(READ), {"name": "x"}).one()
        assert asyncio.run(run()) == ("b is written", "take x 1 is written")


def test_what_comes_behind_a_locked_row_keeps_its_order(
    gatherer: Gatherer[str], writer: Writer, table: Database
) -> None:
    writer.may_begin.set()
    asyncio.run(gatherer.submit("x"))

    async def run() -> None:
        waiting = [asyncio.ensure_future(gatherer.submit(f"take x {number}")) for number in range(5)]
        await asyncio.wait_for(gatherer.submit("b"), WAIT_SECONDS)
        holder.rollback()
        await asyncio.wait_for(asyncio.gather(*waiting), WAIT_SECONDS)

    with table.session() as holder:
        holder.execute(text(READ), {"name": "x"}).one()
        asyncio.run(run())

    assert names(table) == ["x", "b", *(f"take x {number}" for number in range(5))]


def test_a_locked_row_delays_nobody_who_waits_for_another(
    gatherer: Gatherer[str], writer: Writer, table: Database
) -> None:
    gatherer.key_of = lambda _: None  # nothing has to keep its order
    writer.may_begin.set()
    asyncio.run(gatherer.submit("x"))
    asyncio.run(gatherer.submit("y"))

    async def run() -> str:
        waiting = [asyncio.ensure_future(gatherer.submit(f"take {name} 1")) for name in "xy"]
        await gatherer.submit("b")  # both run apart now
        others.rollback()
        answer: str = await asyncio.wait_for(waiting[1], WAIT_SECONDS)
        assert not waiting[0].done()
        holder.rollback()
        await asyncio.wait_for(waiting[0], WAIT_SECONDS)
        return answer

    with table.session() as holder, table.session() as others:
        holder.execute(text(READ), {"name": "x"}).one()
        others.execute(text(READ), {"name": "y"}).one()
        assert asyncio.run(run()) == "take y 1 is written"


async def submit_behind_a_lock(
    gatherer: Gatherer[str], writer: Writer, table: Database, *others: str
) -> "list[asyncio.Future[Any]]":
    """The futures of items of which the first waits for the lock of x, and the others behind it."""
    gatherer.key_of = lambda item: None if item == "b" else "x"
    first: asyncio.Future[Any] = asyncio.ensure_future(gatherer.submit("take x"))
    await asyncio.to_thread(wait_until_somebody_waits_for_a_lock, table)
    futures = [first, *(asyncio.ensure_future(gatherer.submit(item)) for item in others)]
    await asyncio.wait_for(gatherer.submit("b"), WAIT_SECONDS)  # all that came before it is behind the lock now
    return futures


async def outcomes_of(futures: "list[asyncio.Future[Any]]") -> list[Any]:
    return list(await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), WAIT_SECONDS))


@pytest.fixture
def row_x(table: Database, writer: Writer) -> Iterator[Session]:
    """A session that has locked the row of x. Batches begin at once."""
    writer.may_begin.set()
    with table.transaction() as session:
        session.execute(text("INSERT INTO gathered (name) VALUES ('x')"))
    with table.session() as holder:
        holder.execute(text(READ), {"name": "x"}).one()
        yield holder


def test_what_waits_behind_one_lock_shares_a_transaction(
    gatherer: Gatherer[str], writer: Writer, table: Database, row_x: Session
) -> None:
    async def run() -> list[Any]:
        futures = await submit_behind_a_lock(gatherer, writer, table, "take x 1", "take x 2", "then x")
        row_x.rollback()
        return await outcomes_of(futures)

    assert asyncio.run(run()) == [f"{item} is written" for item in ("take x", "take x 1", "take x 2", "then x")]
    assert writer.batches[-1] == ["take x 1", "take x 2", "then x"]


def test_what_fails_behind_a_lock_takes_no_other_with_it(
    gatherer: Gatherer[str], writer: Writer, table: Database, row_x: Session
) -> None:
    async def run() -> list[Any]:
        futures = await submit_behind_a_lock(gatherer, writer, table, "take x 1", "broken", "then x")
        row_x.rollback()
        return await outcomes_of(futures)

    answers = asyncio.run(run())
    assert isinstance(answers.pop(2), RuntimeError)
    assert answers == [f"{item} is written" for item in ("take x", "take x 1", "then x")]
    assert names(table) == ["x", "b", "take x", "take x 1", "then x"]


@pytest.mark.slow
def test_a_lock_that_is_kept_is_told_to_all_behind_it_at_once(
    gatherer: Gatherer[str], writer: Writer, table: Database, row_x: Session
) -> None:
    writer.lock_milliseconds = 2_000

    async def run() -> list[Any]:
        return await outcomes_of(await submit_behind_a_lock(gatherer, writer, table, "take x 1", "take x 2"))

    assert {type(answer).__name__ for answer in asyncio.run(run())} == {"OperationalError"}
    assert writer.batches[-1] == ["take x 1", "take x 2"]
    assert names(table) == ["x", "b"]


def test_a_client_that_left_while_it_waited_for_a_lock_costs_nothing_more(
    gatherer: Gatherer[str], writer: Writer, table: Database, row_x: Session
) -> None:
    async def run() -> None:
        first, left, stayed = await submit_behind_a_lock(gatherer, writer, table, "take x left", "take x stayed")
        left.cancel()
        await asyncio.sleep(0)
        row_x.rollback()
        await asyncio.wait_for(asyncio.gather(first, stayed), WAIT_SECONDS)

    asyncio.run(run())
    assert names(table) == ["x", "b", "take x", "take x stayed"]


def test_behind_a_busy_key_the_others_of_its_lane_have_their_turn(
    gatherer: Gatherer[str], writer: Writer, table: Database, row_x: Session
) -> None:
    """All keys share one lane here. What comes for x while x is written stands behind what waits for y."""
    del gatherer.threads.patient[1:]

    async def run() -> list[Any]:
        futures = await submit_behind_a_lock(gatherer, writer, table)
        gatherer.key_of = lambda item: item.split()[1]
        with table.session() as holder_of_y:
            holder_of_y.execute(text("INSERT INTO gathered (name) VALUES ('y')"))
            holder_of_y.commit()
            holder_of_y.execute(text(READ), {"name": "y"}).one()
            futures.append(asyncio.ensure_future(gatherer.submit("take y")))
            futures.append(asyncio.ensure_future(gatherer.submit("take x 1")))
            futures.append(asyncio.ensure_future(gatherer.submit("b b")))
            await asyncio.wait_for(futures[-1], WAIT_SECONDS)
        row_x.rollback()
        return await outcomes_of(futures)

    asyncio.run(run())
    assert names(table)[-3:] == ["take x", "take y", "take x 1"]


def test_what_fails_together_keeps_the_order_behind_a_lock(
    gatherer: Gatherer[str], writer: Writer, table: Database
) -> None:
    gatherer.key_of = lambda item: item.partition(" ")[2] or None
    with table.transaction() as session:
        session.execute(text("INSERT INTO gathered (name) VALUES ('x')"))

    async def run() -> list[Any]:
        first = asyncio.ensure_future(gatherer.submit("a"))
        await asyncio.to_thread(writer.has_begun.wait, WAIT_SECONDS)
        tasks = [asyncio.ensure_future(gatherer.submit(item)) for item in ("broken", "take x", "then x", "b")]
        await asyncio.sleep(0)
        writer.may_begin.set()
        await first
        assert await asyncio.wait_for(tasks[3], WAIT_SECONDS) == "b is written"
        assert not tasks[1].done()
        assert not tasks[2].done()
        holder.rollback()
        return list(await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), WAIT_SECONDS))

    with table.session() as holder:
        holder.execute(text(READ), {"name": "x"}).one()
        answers = asyncio.run(run())

    assert answers[1:] == ["take x is written", "then x is written", "b is written"]
    assert names(table) == ["x", "a", "b", "take x", "then x"]


@pytest.mark.parametrize(("others", "joins"), [((), {"request_id"}), (("b", "c"), {"batch", "trace_id"})])
def test_log_entries_lead_to_the_request(
    settings: Settings, gatherer: Gatherer[str], writer: Writer, others: Sequence[str], joins: set[str]
) -> None:
    said: list[dict[str, Any]] = []

    async def submit(name: str) -> None:
        structlog.contextvars.bind_contextvars(request_id=f"request {name}")
        await gatherer.submit(name)

    async def run() -> None:
        first = asyncio.ensure_future(submit("a"))
        await asyncio.to_thread(writer.has_begun.wait, WAIT_SECONDS)
        tasks = [asyncio.ensure_future(submit(name)) for name in others]
        await asyncio.sleep(0)
        writer.may_begin.set()
        await asyncio.wait_for(asyncio.gather(first, *tasks), WAIT_SECONDS)

    writer.on_batch = lambda: said.append(dict(structlog.contextvars.get_contextvars()))
    with configured(settings, LogLevel.INFO) as lines:
        asyncio.run(run())
    assert said[0] == {"request_id": "request a"}
    assert said[-1].keys() == joins
    found = [line for line in events(lines) if line["event"] == "requests_gathered"]
    batches = [(line["batch"], line["request_ids"]) for line in found]
    assert batches == ([(said[-1]["batch"], [f"request {name}" for name in others])] if others else [])


def test_a_full_queue_refuses_at_once(gatherer: Gatherer[str], writer: Writer) -> None:
    gatherer.max_waiting = 2

    answers = submitted(gatherer, writer, "a", "b", "c", "d")

    assert isinstance(answers[3], Overloaded)
    assert answers[3].retry_after_seconds > 0
    assert answers[:3] == [f"{name} is written" for name in "abc"]


def test_a_client_that_left_costs_nothing_more(gatherer: Gatherer[str], writer: Writer, table: Database) -> None:
    async def run() -> None:
        first = asyncio.ensure_future(gatherer.submit("a"))
        await asyncio.to_thread(writer.has_begun.wait, WAIT_SECONDS)
        left, stayed = (asyncio.ensure_future(gatherer.submit(name)) for name in ("left", "stayed"))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
        writer.may_begin.set()
        await asyncio.wait_for(asyncio.gather(first, stayed), WAIT_SECONDS)

    asyncio.run(run())
    assert names(table) == ["a", "stayed"]


def test_a_database_that_is_away_is_told_to_all_at_once(writer: Writer, threads: Threads, deaf_port: int) -> None:
    away = connect(f"postgresql://nobody@127.0.0.1:{deaf_port}/none", pool_size=1)
    gatherer = Gatherer("names", away, writer, threads)

    async def run() -> list[Any]:
        tasks = [gatherer.submit(name) for name in "abc"]
        return list(await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), WAIT_SECONDS))

    assert {type(answer).__name__ for answer in asyncio.run(run())} == {"OperationalError"}
    assert writer.batches == []


def test_requests_of_several_event_loops_are_answered_on_their_own(
    gatherer: Gatherer[str], writer: Writer, table: Database
) -> None:
    writer.may_begin.set()
    jobs: list[Callable[[], Any]] = [lambda name=name: asyncio.run(gatherer.submit(name)) for name in "abcdef"]  # type: ignore[misc]
    with ThreadPoolExecutor(len(jobs)) as pool:
        answers = [future.result(WAIT_SECONDS) for future in [pool.submit(job) for job in jobs]]

    assert answers == [f"{name} is written" for name in "abcdef"]
    assert sorted(names(table)) == list("abcdef")
