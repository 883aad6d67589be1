"""Measures the service against a naive one and against PostgreSQL alone: `make bench`, `python -m benchmarks`."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import likeness
from benchmarks.contenders import WORKLOADS, Contender, Served, Wanted, Workload, running
from benchmarks.load import Timing
from benchmarks.machine import describe
from benchmarks.paging import PagingWorkload
from benchmarks.postgres import running_postgres
from benchmarks.report import Results, table, write
from benchmarks.services import ROOT

QUICK_ROUNDS, QUICK_SECONDS, QUICK_DUE = 1, 1.0, 1_000
ROUNDS, SECONDS = 5, 5.0


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long."""

    workloads: Sequence[Workload]
    rounds: int
    timing: Timing


def main() -> int:
    """Start everything, measure, print the table and write the JSON. Returns 2 if an option cannot work."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped then, too
    began = time.monotonic()
    wanted = Wanted(options.service_dir.resolve(), options.compare and options.compare.resolve(), options.alone)
    for checkout in filter(None, (wanted.checkout, wanted.compared)):
        if not (checkout / "app" / "__main__.py").exists():
            print(f"{checkout} is no checkout of the service: it has no app/__main__.py.", file=sys.stderr)
            return 2
    plan = _plan(options)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        home = Path(directory)
        home.chmod(0o755)  # PostgreSQL of root runs as somebody else, who has to pass here
        cluster = home / "postgres"
        cluster.mkdir()
        with running_postgres(cluster) as server:
            about = describe(server.url("postgres"), home)
            with running(home, server, wanted) as contenders:
                if not wanted.alone:
                    about["answers"] = likeness.compare([one.service for one in contenders if isinstance(one, Served)])
                results = _measure(plan, contenders)
    about |= {"rounds": f"{plan.rounds}, {plan.timing.seconds:g} s each", "took": f"{time.monotonic() - began:.0f} s"}
    if wanted.compared is not None:
        about |= {"ours": str(wanted.checkout), "compared": str(wanted.compared)}
    _show(plan, results, about)
    write(options.json, results, about)
    print(f"\nAll figures: {options.json}")
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    chosen = [workload for workload in WORKLOADS if not options.only or workload.name in options.only]
    if options.quick:
        chosen = [replace(one, due=QUICK_DUE) if isinstance(one, PagingWorkload) else one for one in chosen]
    warm_up = min(0.5, options.seconds / 4)
    return Plan(chosen, options.rounds, Timing(options.seconds, warm_up))


def _measure(plan: Plan, contenders: Sequence[Contender]) -> Results:
    """Rounds over everything, so that what disturbs the machine for a while disturbs all; every other one backwards."""
    results = Results([contender.name for contender in contenders])
    for number in range(plan.rounds):
        for workload in plan.workloads:
            for contender in contenders if number % 2 == 0 else reversed(contenders):
                measures = contender.measure(workload, plan.timing)
                if measures is not None:
                    results.add(workload.name, contender.name, measures)
                    print(_progress(number, workload.name, contender.name, measures), file=sys.stderr, flush=True)
    return results


def _progress(number: int, workload: str, contender: str, measures: dict[str, float]) -> str:
    said = ", ".join(f"{name} {value:,.1f}" for name, value in measures.items())
    return f"round {number + 1}  {workload:18}{contender:10}{said}"


def _show(plan: Plan, results: Results, about: dict[str, str]) -> None:
    print("\n".join(f"{name:18}{value}" for name, value in about.items()), end="\n\n")
    print("\n".join(f"{workload.name:18}{workload.says}" for workload in plan.workloads), end="\n\n")
    print(table(results))
    print("\nThe median of all rounds (least-most). Ratios are of medians; of rates more is better, of times less.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=[w.name for w in WORKLOADS], help="these workloads"
    )
    parser.add_argument("--list", action="store_true", help="list the workloads and end")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} short round: a look, not a measurement")
    parser.add_argument("--rounds", type=int, help=f"default: {ROUNDS}")
    parser.add_argument("--seconds", type=float, help=f"of each measurement, default: {SECONDS:g}")
    parser.add_argument("--json", type=Path, default=Path("var/bench.json"), metavar="FILE")
    parser.add_argument("--service-dir", type=Path, default=ROOT, metavar="DIR", help="the checkout to measure as ours")
    parser.add_argument("--compare", type=Path, metavar="DIR", help="another checkout, measured in the same rounds")
    parser.add_argument("--alone", action="store_true", help="no naive service and no pgbench: more rounds in the time")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{workload.name:18}{workload.says}" for workload in WORKLOADS))
        sys.exit(0)
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    options.seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    return options


if __name__ == "__main__":
    sys.exit(main())
