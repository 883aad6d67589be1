"""Check a running service end to end, over real HTTP.

    python run_e2e_tests.py --base-url http://127.0.0.1:8000

PORT and ELASTIC_WEBHOOK_TOKEN come from the environment or, as for the service, from the .env file beside this script.
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
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from dotenv import dotenv_values

from e2e import alerts, audit, authentication, escalation, health, incidents, notifications, seeing, templates, users
from e2e.api import Api
from e2e.expectations import Failed, holds
from e2e.world import CHECKS, NOTIFY_CREATOR, PASSWORD, RUN, Check, World, check

ROOT = Path(__file__).resolve().parent
SETUP, ADMIN, COVERAGE, CLEANUP = "Setup", "Administrator", "Coverage", "Cleanup"
GATES = (SETUP, ADMIN)  # without what these make, the rest could only fail
TAKES_BACK = ("/v1/incidents/", "/v1/escalation/policies/", "/v1/users/")  # in this order: users were there first
EARLY = tuple(module.GROUP for module in (health, authentication, incidents, alerts))  # need no policy
LATE = tuple(module.GROUP for module in (users, notifications, templates, escalation, seeing, audit))
CLEANERS = 8  # requests side by side that take back what was made


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


@check(SETUP, "two users log in")
def gather(world: World) -> None:
    if world.admin_login.done():
        world.admin.call("GET /v1/users/me")  # a wrong password is told before anything is made
    else:  # it takes a second, in which the checks that need no administrator are run
        world.admin_login, world.is_admin_ours = ThreadPoolExecutor(1).submit(_make_admin), True
    world.user, world.outsider = world.new_user(), world.new_user()
    world.untouched = world.incident()


@check(ADMIN, "an administrator logs in and sets policies")
def administer(world: World) -> None:
    world.hourly = world.policy()
    # The worker fires this one's step while the other checks are run.
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
    refusals = [refusal for path in TAKES_BACK for refusal in _taken_back(world, path)]
    holds(not refusals, f"nothing is left behind: {'; '.join(refusals)}")
    policies = [policy["name"] for policy in world.admin.pages("GET /v1/escalation/policies?limit=500")]
    emails = [user["email"] for user in world.admin.pages("GET /v1/users?limit=500")]
    left = [name for name in policies + emails if name.startswith(RUN) and name != world.admin.email]
    holds(not left, f"nothing is left behind: {', '.join(left)}")
    if world.is_admin_ours:
        world.admin.call(f"DELETE /v1/users/{world.admin.id}")
        world.admin.refused("GET /v1/users/me", status=401, code="not_authenticated")


def _taken_back(world: World, path: str) -> list[str]:
    """Undo what was made below a path, and say what was refused."""

    def take_back(request: str) -> str | None:
        try:
            (world.user if request.endswith("/resolve") else world.admin).answer(request, wants=(200, 404))
        except Failed as refusal:
            return str(refusal)
        return None

    requests_below = [request for request in world.nobody.record.undo if request.partition(" ")[2].startswith(path)]
    with ThreadPoolExecutor(CLEANERS) as pool:
        return [refusal for refusal in pool.map(take_back, requests_below) if refusal is not None]


def _make_admin() -> tuple[str, str]:
    """Make an administrator as an operator would. Its password is told on standard input."""
    email = f"{RUN}-admin@example.com"
    command = [sys.executable, "-m", "app", "create-admin", email, "--password-stdin"]
    done = subprocess.run(command, cwd=ROOT, input=f"{PASSWORD}\n", capture_output=True, text=True, check=False)
    advice = "give --admin-email and --admin-password, or the service's own environment"
    holds(done.returncode == 0, f"`python -m app create-admin` works ({advice}): {done.stderr.strip()}")
    return email, PASSWORD


def _operation(operations: set[tuple[str, str]], method: str, path: str) -> tuple[str, str] | None:
    """The operation that a request went to: of two that fit, the one with fewer parameters."""
    fitting = [
        (known_method, template)
        for known_method, template in operations
        if known_method == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path.rstrip("/") or "/")
    ]
    return min(fitting, key=lambda operation: operation[1].count("{"), default=None)


def run(world: World, *, is_verbose: bool) -> list[Result]:
    """Run every check, and clean up whatever happens. Prints each group's line, in one order."""
    results: list[Result] = []
    try:
        for group in _groups(world):
            show(group, is_verbose=is_verbose)
            results += group
    finally:
        if world.nobody.record.undo or world.is_admin_ours:
            cleaned = perform(CLEANUP, world)
            show(cleaned, is_verbose=is_verbose)
            results += cleaned
    return results


def _groups(world: World) -> Iterator[list[Result]]:
    """The results of each group. Groups run side by side, the checks of one in their order."""
    yield (setup := perform(SETUP, world))
    if not setup[-1].ok:
        return
    with ThreadPoolExecutor(len(EARLY) + len(LATE)) as pool:
        early = [pool.submit(perform, name, world) for name in EARLY]
        admin = perform(ADMIN, world)
        late = [pool.submit(perform, name, world) for name in LATE if admin[-1].ok]
        yield from (group.result() for group in early)
        yield admin
        yield from (group.result() for group in late)
    if admin[-1].ok:
        yield perform(COVERAGE, world)


def perform(group: str, world: World) -> list[Result]:
    """Run the checks of one group in their order; those of a gate until one fails."""
    results: list[Result] = []
    for one in CHECKS:
        if one.group == group:
            results.append(attempt(one, world))
            if group in GATES and not results[-1].ok:
                break
    return results


def show(results: list[Result], *, is_verbose: bool) -> None:
    """Print the line of a group, its failures with their reasons, its passes if wanted."""
    passed, took = sum(result.ok for result in results), sum(result.ms for result in results)
    print(f"{results[0].group:28}{f'{passed}/{len(results)}':>8}{took:10.0f} ms", flush=True)
    for result in results:
        if is_verbose or not result.ok:
            print(f"  {'ok' if result.ok else 'FAILED':8}{result.ms:8.1f} ms  {result.name}")
        if result.error:
            print(f"{'':22}{result.error}")


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


def write(path: Path, results: list[Result], **about: Any) -> None:
    """Keep the results as JSON."""
    passed = sum(result.ok for result in results)
    totals = {"checks": len(results), "passed": passed, "failed": len(results) - passed}
    document = {**about, "totals": totals, "checks": [asdict(result) for result in results]}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def settings(environ: Mapping[str, str], dotenv: Path) -> dict[str, str]:
    """The settings that the service has: what the environment leaves out or empty comes from its .env file."""
    kept = {name: value for name, value in dotenv_values(dotenv).items() if value}
    return {**kept, **{name: value for name, value in environ.items() if value}}


def _options() -> argparse.Namespace:
    found = settings(os.environ, ROOT / ".env")
    url = f"http://127.0.0.1:{found.get('PORT', '8000')}"
    parser = argparse.ArgumentParser(description="Check a running service end to end, over real HTTP.")
    parser.add_argument("--base-url", default=url, metavar="URL", help="default: %(default)s")
    parser.add_argument("--verbose", action="store_true", help="show what passed, too")
    parser.add_argument("--admin-email", metavar="EMAIL", help="an administrator, for a service that runs elsewhere")
    parser.add_argument("--admin-password", metavar="PASSWORD")
    parser.add_argument(
        "--webhook-token",
        metavar="TOKEN",
        default=found.get("ELASTIC_WEBHOOK_TOKEN", "").split(",")[0].strip(),
        help="the webhook's secret, default: the first of ELASTIC_WEBHOOK_TOKEN of the environment or .env",
    )
    parser.add_argument("--results", type=Path, default=Path("e2e_results.json"), metavar="FILE")
    options = parser.parse_args()
    if (options.admin_email is None) != (options.admin_password is None):
        parser.error("--admin-email and --admin-password go together")
    return options


def main() -> int:
    """Returns 1 if anything failed."""
    options = _options()
    login: Future[tuple[str, str]] = Future()
    if options.admin_email:
        login.set_result((options.admin_email, options.admin_password))
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
