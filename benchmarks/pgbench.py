"""The database alone: what no service on it can exceed. Ours with its tables and indexes, driven by pgbench."""

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import seeding
from benchmarks.load import Timing, percentile
from benchmarks.postgres import Postgres
from benchmarks.services import PEOPLE
from benchmarks.workloads import ERRORS, LISTED, P50, P99, RATE, STOCK, HttpWorkload, Measures

MOST_CLIENTS = 128  # more would measure how PostgreSQL copes with processes, which a pool keeps from it
THREADS = 2
CONNECT_SECONDS = 1
SCRIPTS = {
    "create": f"""
        \\set person random(:somebody, :somebody + {len(PEOPLE) - 1})
        BEGIN;
        INSERT INTO incidents (title, description, severity, service, created_by, source, metadata)
        VALUES ('Database connection failed', '{"x" * 200}', 'high', '{seeding.MATCHED}', :person, 'api', '{{}}')
        RETURNING id \\gset
        INSERT INTO timeline_events (incident_id, event_type, description, user_id, metadata)
        VALUES (:id, 'created', 'Incident opened with severity high.', :person, '{{"source": "api"}}');
        COMMIT;
    """,
    "read": "\\set id random(:first, :last)\nSELECT * FROM incidents WHERE id = :id;",
    "list": f"SELECT * FROM incidents ORDER BY id DESC LIMIT {LISTED};",
}


@dataclass(frozen=True)
class Pgbench:
    """One more contender, of which some workloads can be asked."""

    postgres: Postgres
    database: str
    somebody: int  # the first of the people
    name: str = "pgbench"

    def measure(self, workload: Any, timing: Timing) -> Measures | None:
        """None for what pgbench cannot do."""
        if not isinstance(workload, HttpWorkload) or workload.script is None:
            return None
        incidents = seeding.reset(self.postgres.url(self.database), STOCK)
        with tempfile.TemporaryDirectory() as directory:
            script = Path(directory) / "script.sql"
            script.write_text(_one_line_each(SCRIPTS[workload.script]))
            clients = min(workload.clients, MOST_CLIENTS)
            report = self._run(script, clients, timing, first=incidents[0], last=incidents[-1], somebody=self.somebody)
            took = sorted(_latencies(Path(directory)))
        counted = {RATE: _figure("tps = ", report), ERRORS: _figure("number of failed transactions: ", report)}
        return counted if not took else counted | {P50: percentile(took, 0.5), P99: percentile(took, 0.99)}

    def _run(self, script: Path, clients: int, timing: Timing, **values: int) -> str:
        given = [f"--define={name}={value}" for name, value in values.items()]
        how = ["-n", "-M", "prepared", "-c", str(clients), "-j", str(min(THREADS, clients)), "-T", _seconds(timing)]
        where = ["-h", "127.0.0.1", "-p", str(self.postgres.port), "-U", "bench", self.database]
        command = [str(self.postgres.programs / "pgbench"), *how, "-f", str(script), "-l", *given, *where]
        environment = {"PATH": os.defpath, "PGPASSWORD": self.postgres.password}
        done = subprocess.run(command, cwd=script.parent, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"pgbench failed: {done.stderr}")
        return done.stdout


def _figure(name: str, report: str) -> float:
    """0 where pgbench does not say, as when no transaction ended in time."""
    found = re.search(rf"{name}([\d.]+)", report)
    return float(found[1]) if found else 0.0


def _seconds(timing: Timing) -> str:
    """pgbench takes whole seconds, and the time in which it connects is part of them; its rate leaves that out."""
    return str(round(timing.seconds) + CONNECT_SECONDS)


def _one_line_each(script: str) -> str:
    r"""pgbench's own commands end with their line, so that those stand alone; \gset belongs to its statement."""
    return "\n".join(line.strip() for line in script.strip().splitlines()) + "\n"


def _latencies(directory: Path) -> list[float]:
    """In milliseconds, of pgbench's log: client, transaction, time in microseconds, ..."""
    return [
        int(line.split()[2]) / 1000
        for log in directory.glob("pgbench_log.*")
        for line in log.read_text().splitlines()
        if line.split()[2].isdigit()
    ]
