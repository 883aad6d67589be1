"""Prometheus' programs, as Debian packages them. CI installs them; elsewhere tests that need them are skipped."""

import os
import shutil
from pathlib import Path

import pytest

# `.ci/run` unpacks them here, because installing the packages would start their services.
UNPACKED = Path.home() / ".cache" / "incidents" / "prometheus" / "usr" / "bin"


def find(program: str) -> str | None:
    """The path of a program."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{UNPACKED}")


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test where a program is absent."""
    return pytest.mark.skipif(find(program) is None, reason=f"{program} is not installed: see .ci/run")
