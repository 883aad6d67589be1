"""What is measured besides requests: memory, a cold start, and how long the checks of a running service take."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import postgres
from benchmarks.load import Timing
from benchmarks.machine import free_port
from benchmarks.services import ADMIN, PASSWORD, WEBHOOK_TOKEN, Service, wait_until_it_answers
from benchmarks.workloads import ERRORS, Measures


@dataclass(frozen=True)
class MemoryWorkload:
    """How much memory the processes hold after all that was measured before."""

    name: str = "memory"
    says: str = "resident memory after the load"

    def run(self, service: Service, _timing: Timing) -> Measures:
        sizes = service.resident_mib()
        return {"largest process MiB": sizes[0], "all processes MiB": sum(sizes)}


@dataclass(frozen=True)
class ColdStartWorkload:
    """How long it takes from the command to the first answer that needs the database, which exists."""

    name: str = "cold-start"
    says: str = "from the command to the first GET /v1/users/me"

    def run(self, service: Service, _timing: Timing) -> Measures:
        port = free_port()
        kind = service.kind
        began = time.monotonic()
        with kind.started(service.database_url, port, *kind.command(port)) as process:
            wait_until_it_answers(f"http://127.0.0.1:{port}/v1/users/me", process, service.tokens[0])
            return {"seconds": time.monotonic() - began}


@dataclass(frozen=True)
class EndToEndWorkload:
    """How long `run_e2e_tests.py` takes against a service of its own."""

    name: str = "e2e"
    says: str = "run_e2e_tests.py, BCRYPT_ROUNDS=4"

    def run(self, service: Service, _timing: Timing) -> Measures | None:
        """None for a service that has no such checks."""
        checkout = service.kind.checkout
        if checkout is None:
            return None
        name, kind, port = f"{service.name}_e2e", service.kind, free_port()
        postgres.run(service.postgres.url("postgres"), f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        database_url = service.postgres.create(name)
        url = f"http://127.0.0.1:{port}"
        with kind.started(database_url, port, *kind.command(port)) as process:
            wait_until_it_answers(f"{url}/health", process)
            began = time.monotonic()
            code = _check(checkout, url)
            return {"seconds": time.monotonic() - began, ERRORS: float(code)}


def _check(checkout: Path, url: str) -> int:
    with TemporaryDirectory() as directory:
        who = ["--admin-email", ADMIN, "--admin-password", PASSWORD, "--webhook-token", WEBHOOK_TOKEN]
        command = [sys.executable, str(checkout / "run_e2e_tests.py"), "--base-url", url, *who]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
    return done.returncode
