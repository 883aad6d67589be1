"""Processes that cannot start end the one that started them, and its exit code says so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from uvicorn.config import STARTUP_FAILURE

ROOT = Path(__file__).parents[2]
FAILS = """
import sys, uvicorn
from app.server.supervisor import supervise

async def app(scope, receive, send):
    raise RuntimeError("it cannot start")

if __name__ == "__main__":
    sys.exit(supervise(uvicorn.Config("fails:app", port=0, workers=2, lifespan="on")))
"""

pytestmark = pytest.mark.e2e


def test_processes_that_cannot_start_are_told_by_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text(FAILS)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    ended = subprocess.run([sys.executable, "-m", "fails"], env=env, cwd=tmp_path, timeout=120, check=False)
    assert ended.returncode == STARTUP_FAILURE
