"""The numbers of several processes: added up, kept when one dies, and taken over by the one that replaces it."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.core.tally import NUMBERS, ROWS, Tally

ROOT = Path(__file__).parents[2]
# A program that copies itself, as the service does: the copies of a process of pytest would copy its threads' locks.
START = """
import os
from app.core.tally import ROWS, Tally

tally = Tally()
tally.share()

def copy(job):
    child = os.fork()
    if child:
        return child
    assert tally.join()
    tally.row[0] += 1  # it is there
    job()
    os._exit(0)

def wait(child):
    assert os.waitpid(child, 0)[1] == 0

def add():
    tally.row[1] += 5
"""

needs_shared_memory = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has memfd_create")


def run(program: str) -> None:
    subprocess.run([sys.executable, "-c", START + program], cwd=ROOT, check=True, timeout=60)


def test_a_process_alone_has_its_own_numbers() -> None:
    tally = Tally()
    assert tally.join()
    tally.row[1] += 2
    assert tally.totals(2, is_used=0) == [0, 2]
    assert [list(row[:2]) for row in tally.live().values()] == [[0, 2]]
    assert len(tally.row) == NUMBERS


@needs_shared_memory
def test_the_numbers_of_two_processes_are_added_up() -> None:
    run("""
ready, may_end = os.pipe(), os.pipe()

def hold():
    add()
    os.write(ready[1], b"x")
    os.read(may_end[0], 1)

def look():
    add()
    assert (tally.totals(2, 0), sorted(tally.live())) == ([2, 10], [0, 1]), tally.totals(2, 0)
    assert tally.live()[0][1] == 5

first = copy(hold)
os.read(ready[0], 1)
wait(copy(look))
os.write(may_end[1], b"x")
wait(first)
""")


@needs_shared_memory
def test_what_a_dead_process_counted_is_kept_and_counted_on() -> None:
    run("""
def look():
    assert tally.number == 0  # the row that the dead one had
    add()
    assert tally.totals(2, 0) == [2, 10]
    assert list(tally.live()) == [0]

wait(copy(add))
wait(copy(look))
""")


@needs_shared_memory
def test_a_process_that_finds_no_row_counts_for_itself() -> None:
    run("""
ready, may_end = os.pipe(), os.pipe()

def hold():
    os.write(ready[1], b"x")
    os.read(may_end[0], 1)

children = [copy(hold) for _ in range(ROWS)]
for _ in children:
    os.read(ready[0], 1)
if not (last := os.fork()):
    assert not tally.join()
    add()
    assert tally.totals(2, 0) == [0, 5]
    assert len(tally.live()) == 1
    os._exit(0)
wait(last)
os.write(may_end[1], b"x" * ROWS)
for child in children:
    wait(child)
""")


@needs_shared_memory
def test_the_process_that_starts_the_others_has_no_row() -> None:
    run("""
add()
assert tally.totals(2, 0) == [0, 5]
wait(copy(lambda: None))
assert tally.totals(2, 0) == [0, 5]
""")


def test_there_is_room_for_as_many_processes_as_may_be_started() -> None:
    assert ROWS > 64  # WEB_CONCURRENCY's most
