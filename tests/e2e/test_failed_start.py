"""What becomes of the process that starts the others, when they cannot start."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from uvicorn.config import STARTUP_FAILURE

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
# Its processes start as the test wants. "first-fails": the other one serves once the first has failed, and is known to.
PROGRAM = """
import asyncio, os, pathlib, sys, uvicorn
from app.server import processes
from app.server.supervisor import supervise

here = pathlib.Path(sys.argv[1])

async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    if (here / "all-fail").exists():
        raise RuntimeError("it cannot start")
    if (here / "first-fails").exists():
        try:
            (here / "first").symlink_to(f"/proc/{os.getpid()}")
        except FileExistsError:
            while (here / "first").exists():  # until the parent has looked after it
                await asyncio.sleep(0.05)
        else:
            raise RuntimeError("it cannot start")
    await send({"type": "lifespan.startup.complete"})
    (here / f"serves-{os.getpid()}").touch()
    await receive()
    await send({"type": "lifespan.shutdown.complete"})

def no_more_processes():
    if (here / "no-forks").exists():
        (here / "refused").touch()
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()

if __name__ == "__main__":
    fork, os.fork = os.fork, no_more_processes
    processes.copy_this_one()
    sys.exit(supervise(uvicorn.Config(app, port=0, workers=2, lifespan="on", log_level="critical")))
"""

pytestmark = pytest.mark.e2e

Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the program. What it still runs in the end is killed."""
    (tmp_path / "program.py").write_text(PROGRAM)
    started: list[subprocess.Popen[bytes]] = []

    def run() -> "subprocess.Popen[bytes]":
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path)]
        started.append(subprocess.Popen(command, env=env, cwd=tmp_path))
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children():
                child.kill()
            process.kill()
            process.wait()


def serving(here: Path) -> list[int]:
    """The processes that serve."""
    pids = (int(path.name.rpartition("-")[2]) for path in here.glob("serves-*"))
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def test_processes_that_cannot_start_are_told_by_the_exit_code(start: Start, tmp_path: Path) -> None:
    (tmp_path / "all-fail").touch()
    assert start().wait(60) == STARTUP_FAILURE


def test_one_that_cannot_start_does_not_end_another_that_can(start: Start, tmp_path: Path) -> None:
    (tmp_path / "first-fails").touch()
    parent = start()
    wait_until(lambda: len(serving(tmp_path)) == 2, seconds=60)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(60) == 0


def test_it_goes_on_and_can_be_stopped_while_the_system_refuses_processes(start: Start, tmp_path: Path) -> None:
    parent = start()
    wait_until(lambda: len(serving(tmp_path)) == 2, seconds=60)
    (tmp_path / "no-forks").touch()
    killed, other = serving(tmp_path)
    os.kill(killed, signal.SIGKILL)
    wait_until((tmp_path / "refused").exists, seconds=60)
    assert serving(tmp_path) == [other]
    (tmp_path / "no-forks").unlink()
    wait_until(lambda: len(serving(tmp_path)) == 2, seconds=60)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(60) == 0
