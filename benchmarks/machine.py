"""What a measurement was taken on."""

import importlib.metadata
import os
import platform
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks import postgres

SHOWN = ("server_version", "fsync", "synchronous_commit", "shared_buffers", "max_connections")
PACKAGES = ("fastapi", "sqlalchemy", "uvicorn", "uvloop", "pydantic", "psycopg2-binary")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def describe(database_url: str, directory: Path) -> dict[str, str]:
    """The machine, the versions and PostgreSQL's settings, as lines to print."""
    settings = {name: str(postgres.run(database_url, f"SHOW {name}")[0][0]) for name in SHOWN}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES),
        "postgresql": ", ".join(f"{name} {value}" for name, value in settings.items()),
        "database files on": _file_system(directory),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _file_system(directory: Path) -> str:
    kind = subprocess.run(["stat", "-f", "-c", "%T", directory], capture_output=True, text=True, check=False)
    name = kind.stdout.strip() or "unknown"
    return f"{name} (in memory: fsync costs nothing here; set TMPDIR)" if name == "tmpfs" else name
