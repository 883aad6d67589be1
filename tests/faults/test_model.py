"""Row 13: a model of the state machine against PostgreSQL."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.figures import Figures
from tests.faults.rig import ROOT
from tests.faults.server import Server

pytestmark = pytest.mark.faults

PROCESSES = 2
MOVES = 14
SEQUENCES = 10_000
SECONDS_EACH = 2.0


def test_row_13_the_state_machine_does_as_its_model_does(
    server: Server, scaled: Callable[..., int], figures: Figures, tmp_path: Path
) -> None:
    number = scaled(SEQUENCES, 100)
    each = number // PROCESSES
    began = time.monotonic()
    running = []
    for part in range(PROCESSES):
        # A database for each: what one of them locks until its sequence ends would hold up the others.
        store = server.new_store()
        store.close()
        command = [sys.executable, "-m", "tests.faults.model_process", store.url, f"{part}", f"{each}", f"{MOVES}"]
        running.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    said = [process.communicate(timeout=60 + each * SECONDS_EACH)[0] for process in running]
    seconds = time.monotonic() - began
    assert [process.returncode for process in running] == [0] * PROCESSES, "\n".join(said)[-8000:]
    figures.add("13 model", sequences=number, moves=number * MOVES, seconds=seconds, per_s=number / seconds)
