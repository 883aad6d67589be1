"""Who is measured: pgbench, the naive service, ours, and ours of another checkout to compare with."""

import resource
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks import postgres, seeding
from benchmarks.lifecycle import ColdStartWorkload, EndToEndWorkload, MemoryWorkload
from benchmarks.load import Timing
from benchmarks.paging import FanOutWorkload, PagingWorkload, RolloutWorkload
from benchmarks.pgbench import Pgbench
from benchmarks.postgres import Postgres
from benchmarks.services import Kind, Service
from benchmarks.workloads import HTTP_WORKLOADS, Measures


class Workload(Protocol):
    """Something to measure. None where it does not apply to a service."""

    @property
    def name(self) -> str: ...

    @property
    def says(self) -> str: ...

    def run(self, service: Service, timing: Timing) -> Measures | None: ...


# In this order: what the unmatched alerts of ours still send must not run beside anything else.
WORKLOADS: tuple[Workload, ...] = (
    *HTTP_WORKLOADS,
    MemoryWorkload(),
    ColdStartWorkload(),
    PagingWorkload(),
    PagingWorkload(due=5_000, name="paging-by-mail", by_mail=True),
    FanOutWorkload(),
    RolloutWorkload(),
    EndToEndWorkload(),
)


class Contender(Protocol):
    """Who is measured."""

    @property
    def name(self) -> str: ...

    def measure(self, workload: Workload, timing: Timing) -> Measures | None: ...


@dataclass(frozen=True)
class Served:
    """A service as a contender."""

    service: Service

    @property
    def name(self) -> str:
        return self.service.name

    def measure(self, workload: Workload, timing: Timing) -> Measures | None:
        return workload.run(self.service, timing)


@dataclass(frozen=True)
class Wanted:
    """What to start: the checkout of ours, and another one to compare it with; `alone`, nothing else."""

    checkout: Path
    compared: Path | None = None
    alone: bool = False


@contextmanager
def running(home: Path, server: Postgres, wanted: Wanted) -> Iterator[Sequence[Contender]]:
    """All contenders, up and furnished, for as long as the block runs. They share one PostgreSQL."""
    _allow_many_files()
    ours = Kind("ours", home, wanted.checkout)
    kinds = [ours] if wanted.alone else [Kind("naive", home), ours]
    if wanted.compared is not None:
        kinds.append(Kind("compared", home, wanted.compared))
    with ExitStack() as stack:
        contenders: list[Contender] = [] if wanted.alone else [_pgbench(server, ours)]
        for kind in kinds:
            service = Service(kind, server, server.create(kind.name))
            stack.callback(service.stop)
            _furnish(service)
            contenders.append(Served(service))
        yield contenders


def _pgbench(server: Postgres, ours: Kind) -> Pgbench:
    url = server.create("pgbench")
    ours.run(url, "app", "migrate")
    seeding.furnish_bare(url)
    [(somebody,)] = postgres.run(url, "SELECT min(id) FROM users")
    return Pgbench(server, "pgbench", somebody)


def _furnish(service: Service) -> None:
    if service.kind.checkout is None:
        seeding.furnish_naive(service.database_url)
        service.start()
    else:
        service.start()
        seeding.furnish_ours(service)
    service.log_in()


def _allow_many_files() -> None:
    """512 clients here and in each service."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
