"""The rig: worker processes on one database, and one provider that they send to."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.faults.provider import Provider
from tests.faults.server import Server, Store
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 10
TICK_SECONDS = 1.0
END_SECONDS = 40


@dataclass
class WorkerProcess:
    """One worker and its log."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def send(self, which: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(which)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.process.wait(END_SECONDS)

    def stop(self) -> int:
        """End it in good order. Returns its exit code."""
        self.send(signal.SIGTERM)
        return self.process.wait(END_SECONDS)

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def is_frozen(self) -> bool:
        """True while it is stopped by a signal."""
        status = Path(f"/proc/{self.process.pid}/stat").read_text()
        return status.rpartition(")")[2].split()[0] == "T"

    def said(self, event: str) -> bool:
        return event in self.log.read_text()


class Rig:
    """What a row of the table works with. `clock` is how far the service's time is ahead, in seconds."""

    def __init__(self, server: Server, store: Store, provider: Provider, directory: Path, stall_seconds: float) -> None:
        self.server = server
        self.store = store
        self.provider = provider
        self.workers: list[WorkerProcess] = []
        self.clock = 0.0
        self._directory = directory
        self._stall_seconds = stall_seconds
        self._numbers = count(1)

    def start(self, **extra: str) -> WorkerProcess:
        """Start a worker; `extra` are environment variables of its own."""
        log = self._directory / f"worker-{next(self._numbers)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.worker_process"],
                cwd=self._directory,
                env=self.environment() | extra,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        worker = WorkerProcess(process, log)
        self.workers.append(worker)
        return worker

    def start_ready(self, number: int = 1, **extra: str) -> list[WorkerProcess]:
        """Start workers and wait until they work."""
        started = [self.start(**extra) for _ in range(number)]
        for worker in started:
            self.wait(lambda worker=worker: worker.said("worker_started"), seconds=120)  # type: ignore[misc]  # bound now
        return started

    def wait(self, holds: Callable[[], bool], *, seconds: float) -> None:
        """Wait for a condition; what the workers said last is part of a failure."""
        try:
            wait_until(holds, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.last_words()}") from None

    def wait_for(self, question: str, answer: object, *, seconds: float) -> None:
        """Wait until the database gives this answer to a question."""
        found: list[object] = []

        def holds() -> bool:
            found[:] = [self.store.one(question)]
            return bool(found[0] == answer)

        try:
            self.wait(holds, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{question} gave {found}, not {answer}: {error}") from None

    def allowed(self, seconds: float) -> float:
        """How long something may take for which so many seconds are documented."""
        return seconds + self._stall_seconds

    def advance(self, seconds: float) -> None:
        """Move the service's time on."""
        self.clock += seconds
        self.server.shift_clock(self.clock)

    def last_words(self) -> str:
        logs = [(worker.log.name, worker.log.read_text().splitlines()[-12:]) for worker in self.workers[-3:]]
        return "\n".join(f"{name}: {line}" for name, lines in logs for line in lines)

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        if self.clock:
            self.server.shift_clock(0)

    def environment(self) -> dict[str, str]:
        """The environment of a worker: nothing of ours but what a process needs."""
        kept = ("PATH", "HOME", "LANG")
        return {name: os.environ[name] for name in kept if name in os.environ} | {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": self.store.url,
            "DATA_DIR": str(self._directory / "data"),
            "MIGRATE_ON_START": "false",
            "BCRYPT_ROUNDS": "4",
            "WORKER_LEASE_SECONDS": str(LEASE_SECONDS),
            "WEBHOOK_ALLOW_PRIVATE_ADDRESSES": "true",
            "WEBHOOK_TIMEOUT_SECONDS": "6",  # a lease must outlast a call
            "SMTP_TIMEOUT_SECONDS": "6",
            "SHUTDOWN_GRACE_SECONDS": "10",
        }
