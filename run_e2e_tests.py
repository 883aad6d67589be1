"""Check a running service end to end, over real HTTP.

    python run_e2e_tests.py --base-url http://127.0.0.1:8000

Without --admin-email it makes an administrator of its own with `python -m app create-admin`, which must find the
service's own environment. It may run any number of times against one server: every name is new, and in the end the
incidents it opened are resolved, its policies and users deleted. Its incidents are of severity low and of services
that nobody has; a policy that matches every incident pages for them all the same.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import requests

# The checks register themselves: the order here is the order of the report.
from e2e import health, authentication, users, incidents, alerts, notifications, escalation  # noqa: F401, I001
from e2e.api import Api
from e2e.expectations import Failed, holds
from e2e.world import CHECKS, NOTIFY_CREATOR, PASSWORD, RUN, Check, World, check

ROOT = Path(__file__).resolve().parent
COMMAND_SECONDS = 60
SETUP, COVERAGE, CLEANUP = "Setup", "Coverage", "Cleanup"


@dataclass(frozen=True)
class Result:
    """How a check ended."""

    group: str
    name: str
    ok: bool
    ms: float
    error: str | None


@check(SETUP, "the service answers")
def reach(world: World) -> None:
    try:
        world.nobody.answer("GET /health")
    except requests.RequestException as error:
        raise Failed(f"cannot reach {world.nobody.url}: is the service running there? ({error})") from error


@check(SETUP, "an administrator and two users log in, and the users can be paged")
def gather(world: World) -> None:
    world.admin = world.logged_in(*(world.admin_login or _make_admin()))
    holds(world.admin.call("GET /v1/users/me")["is_superuser"], f"{world.admin.email} is an administrator")
    world.user, world.outsider = world.user_of_its_own(), world.user_of_its_own()
    # The worker fires this step while the other checks run.
    policy = world.policy(steps=[{"delay_minutes": 0, "actions": [NOTIFY_CREATOR]}])
    world.paged = world.incident(service=policy["name"])


@check(COVERAGE, "every operation of the API was asked")
def coverage(world: World) -> None:
    paths = world.nobody.call("GET /v1/openapi.json")["paths"]
    operations = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    asked = {_operation(operations, method, path) for method, path in world.nobody.record.asked}
    missing = sorted(f"{method} {path}" for method, path in operations - asked)
    holds(not missing, f"nothing is left out: {', '.join(missing)}")


@check(CLEANUP, "what this run made is taken back")
def clean_up(world: World) -> None:
    refusals = []
    for request in reversed(list(world.nobody.record.undo)):
        try:
            world.admin.answer(request, wants=(200, 404))
        except Failed as refusal:
            refusals.append(str(refusal))
    holds(not refusals, f"nothing is left behind: {'; '.join(refusals)}")
    policies = [policy["name"] for policy in world.admin.pages("GET /v1/escalation/policies?limit=500")]
    emails = [user["email"] for user in world.admin.pages("GET /v1/users?limit=500")]
    left = [name for name in policies + emails if name.startswith(RUN) and name != world.admin.email]
    holds(not left, f"nothing is left behind: {', '.join(left)}")
    if world.admin_login is None:
        world.admin.call(f"DELETE /v1/users/{world.admin.id}")
        world.admin.refused("GET /v1/users/me", status=401, code="not_authenticated")


def _make_admin() -> tuple[str, str]:
    """Make an administrator as an operator would. Its password is told on standard input."""
    email = f"{RUN}-admin@example.com"
    command = [sys.executable, "-m", "app", "create-admin", email, "--password-stdin"]
    done = subprocess.run(
        command, cwd=ROOT, input=f"{PASSWORD}\n", capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    advice = "`python -m app create-admin` works here (otherwise give --admin-email and --admin-password)"
    holds(done.returncode == 0, f"{advice}: {done.stderr.strip()}")
    return email, PASSWORD


def _operation(operations: set[tuple[str, str]], method: str, path: str) -> tuple[str, str] | None:
    """The operation that a request went to: of two that fit, the one with fewer parameters."""
    fitting = [
        (known_method, template)
        for known_method, template in operations
        if known_method == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path.rstrip("/") or "/")
    ]
    return min(fitting, key=lambda operation: operation[1].count("{"), default=None)


def attempt(one: Check, world: World) -> Result:
    """Run one check and time it."""
    started = time.perf_counter()
    error = None
    try:
        one.run(world)
    except Failed as failure:
        error = str(failure)
    except Exception as unexpected:  # noqa: BLE001 - whatever breaks in a check is its result
        error = f"{type(unexpected).__name__}: {unexpected}"
    return Result(one.group, one.name, error is None, round((time.perf_counter() - started) * 1000, 1), error)


def perform(checks: Iterable[Check], world: World) -> list[Result]:
    """Run the checks of one group. Without its setup nothing else could be told from a failure."""
    results: list[Result] = []
    for one in checks:
        results.append(attempt(one, world))
        if one.group == SETUP and not results[-1].ok:
            break
    return results


def run(world: World, *, is_verbose: bool) -> list[Result]:
    """Run every check, and clean up whatever happens."""
    groups = {name: list(checks) for name, checks in groupby(CHECKS, key=lambda one: one.group)}
    setup, cleanup = groups.pop(SETUP), groups.pop(CLEANUP)
    results = told(perform(setup, world), is_verbose=is_verbose)
    try:
        for checks in groups.values() if all(result.ok for result in results) else ():
            results += told(perform(checks, world), is_verbose=is_verbose)
    finally:
        if hasattr(world, "admin"):
            results += told(perform(cleanup, world), is_verbose=is_verbose)
    return results


def told(results: list[Result], *, is_verbose: bool) -> list[Result]:
    """Print a group's line, its failures with their reasons, and its passes if they are wanted."""
    passed = sum(result.ok for result in results)
    took = sum(result.ms for result in results)
    print(f"{results[0].group:28}{f'{passed}/{len(results)}':>8}{took:10.0f} ms")
    for result in results:
        if is_verbose or not result.ok:
            print(f"  {'ok' if result.ok else 'FAILED':8}{result.ms:8.1f} ms  {result.name}")
        if result.error:
            print(f"{'':22}{result.error}")
    return results


def write(path: Path, results: list[Result], **about: Any) -> None:
    """Keep the results as JSON."""
    passed = sum(result.ok for result in results)
    totals = {"checks": len(results), "passed": passed, "failed": len(results) - passed}
    document = {**about, "totals": totals, "checks": [asdict(result) for result in results]}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Check a running service end to end, over real HTTP.")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000", metavar="URL", help="default: %(default)s")
    parser.add_argument("--verbose", action="store_true", help="show what passed, too")
    parser.add_argument("--admin-email", metavar="EMAIL", help="an administrator, for a service that runs elsewhere")
    parser.add_argument("--admin-password", metavar="PASSWORD")
    parser.add_argument(
        "--webhook-token",
        metavar="TOKEN",
        default=os.environ.get("ELASTIC_WEBHOOK_TOKEN", ""),
        help="the webhook's secret, default: ELASTIC_WEBHOOK_TOKEN",
    )
    parser.add_argument("--results", type=Path, default=Path("e2e_results.json"), metavar="FILE")
    options = parser.parse_args()
    if (options.admin_email is None) != (options.admin_password is None):
        parser.error("--admin-email and --admin-password go together")
    return options


def main() -> int:
    """Returns 1 if anything failed."""
    options = _options()
    login = (options.admin_email, options.admin_password) if options.admin_email else None
    world = World(Api(options.base_url.rstrip("/")), options.webhook_token, login)
    began, started = datetime.now(UTC), time.perf_counter()
    print(f"End-to-end checks of {world.nobody.url}\n")
    results = run(world, is_verbose=options.verbose)
    seconds = round(time.perf_counter() - started, 2)
    write(options.results, results, base_url=world.nobody.url, started_at=began.isoformat(), seconds=seconds)
    failed = sum(not result.ok for result in results)
    print(f"\n{seconds} s, results in {options.results}")
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
