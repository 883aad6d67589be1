"""The first start takes minutes: it says what it is doing."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_first_start_shows_what_pip_does(tmp_path: Path) -> None:
    command = ["make", "--dry-run", "--no-print-directory", f"VENV={tmp_path / 'new'}", "run"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    [pip] = [number for number, line in enumerate(lines) if "pip install" in line]
    assert "This takes a minute or two" in lines[pip - 1]
    assert not {"--quiet", "-q"} & set(lines[pip].split())
