"""The operator's commands: serve, worker, migrate, create-admin, audit, backup-done and vapid-key."""

import argparse
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from app.core import descriptors
from app.core.config import Settings, get_settings
from app.core.errors import ConfigurationError, DomainError
from app.core.logging import configure_logging

if TYPE_CHECKING:
    from app.db.session import Database

CANNOT_START = 2


def serve(_arguments: argparse.Namespace, settings: Settings) -> int:
    """Serve the API, with the worker in the same process."""
    import uvicorn

    from app.server import processes
    from app.server.supervisor import supervise
    from app.utils.service_locator import database_of, require_a_channel
    from app.utils.startup import prepare

    descriptors.raise_limit()
    settings.check_serving()
    require_a_channel(settings)
    # Uvicorn raises the signal again after its shutdown. A requested stop is a success.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Each process prepares as well. Doing it here first reports errors in one sentence, and keeps an embedded database
    # running while processes come and go. Several are copies of this one, which has imported the application for them.
    with database_of(settings) as database:
        prepare(settings, database)
        if settings.web_concurrency > 1 and processes.CAN_COPY:
            _prepare_copies(database)
        print(f"Serving on http://{settings.host}:{settings.port} (documentation: /docs)", file=sys.stderr, flush=True)
        if settings.web_concurrency > 1:
            return supervise(uvicorn.Config(**_server_options(settings)))
        uvicorn.run(**_server_options(settings))
    return 0


def _server_options(settings: Settings) -> dict[str, Any]:
    from app.server.protocol import process_limits

    return {
        "app": "app.main:app",
        "host": settings.host,
        "port": settings.port,
        "http": "app.server.protocol:BoundedHttp",
        "ws": "none",
        "backlog": process_limits().backlog,
        "workers": settings.web_concurrency,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,  # the application reads them: see TRUSTED_PROXIES
        "timeout_graceful_shutdown": settings.shutdown_grace_seconds,
    }


def _prepare_copies(database: "Database") -> None:
    """Import what the processes need, and let them be copies of this one. They share what the metrics count."""
    import app.main  # noqa: F401
    from app.core import metrics
    from app.server import processes
    from app.utils.startup import settle

    database.dispose()
    metrics.registry.tally.share()
    settle()
    processes.copy_this_one()


def worker(_arguments: argparse.Namespace, settings: Settings) -> int:
    """Run a worker that escalates and sends, without serving. Any number can share one database."""
    import asyncio

    from app.integrations.opentelemetry import recording
    from app.utils.service_locator import build_services, database_of, require_a_channel
    from app.utils.startup import prepare_schema, record_settings, warn
    from app.worker import work_until_told

    descriptors.raise_limit()
    require_a_channel(settings)
    with database_of(settings) as database, recording(settings.otel_exporter_otlp_endpoint):
        prepare_schema(settings, database)
        warn(settings)
        services = build_services(settings, database)
        record_settings(services, "worker")
        asyncio.run(work_until_told(services))
    return 0


def migrate(_arguments: argparse.Namespace, settings: Settings) -> int:
    """Bring the database's schema up to date."""
    from app.db import migrations
    from app.utils.service_locator import database_of

    with database_of(settings) as database:
        migrations.upgrade(database)
    return 0


def create_admin(arguments: argparse.Namespace, settings: Settings) -> int:
    """Make an administrator, or promote an existing account: it gets a new password, and its sessions end."""
    from app.core.security import Passwords
    from app.db import migrations
    from app.schemas.types import Email, Password
    from app.utils.audit_commands import as_operator
    from app.utils.service_locator import database_of, name_of_database
    from app.utils.startup import make_admin, show_once

    email = TypeAdapter(Email).validate_python(arguments.email)
    given = sys.stdin.readline().rstrip("\n") if arguments.password_stdin else None
    password = TypeAdapter(Password).validate_python(given) if given is not None else None
    with database_of(settings) as database:
        if settings.migrate_on_start:
            migrations.upgrade(database)
        as_operator()
        with database.transaction() as session:
            made = make_admin(session, email, password, Passwords(settings.bcrypt_rounds))
    print(f"Database: {name_of_database(settings)}", file=sys.stderr)
    if made.is_promoted:
        print(f"The account {made.user.email} already existed (user {made.user.id}). It is promoted.", file=sys.stderr)
        print("It has a new password, and its sessions have ended.", file=sys.stderr)
    print(f"{made.user.email} is an administrator.", file=sys.stderr)
    if made.made_up_password is not None:
        show_once(made.user.email, made.made_up_password)
    return 0


def backup_done(_arguments: argparse.Namespace, settings: Settings) -> int:
    """Record that a backup has just been completed: metrics and alerts know from this how old the last one is."""
    from app.db import migrations
    from app.services.operations.backup_service import record_backup
    from app.utils.service_locator import database_of, name_of_database

    with database_of(settings) as database:
        migrations.require_current(database)
        with database.transaction() as session:
            finished_at = record_backup(session).finished_at
    print(f"Recorded a backup of {name_of_database(settings)} at {finished_at.isoformat()}.", file=sys.stderr)
    return 0


def make_vapid_key(_arguments: argparse.Namespace, _settings: Settings) -> int:
    """Make a key for Web Push and print the setting."""
    from app.integrations.channels.push.vapid import new_private_key

    print(f"WEB_PUSH_PRIVATE_KEY={new_private_key()}")
    return 0


def audit(arguments: argparse.Namespace, settings: Settings) -> int:
    """Check the audit log's chain, delete its oldest entries, or erase what it says about a person."""
    from app.utils import audit_commands

    return audit_commands.run(arguments, settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description="Incident Management System")
    commands = parser.add_subparsers(required=True, metavar="command")
    _add(commands, "serve", serve)
    _add(commands, "worker", worker)
    _add(commands, "migrate", migrate)
    _add(commands, "backup-done", backup_done)
    _add(commands, "vapid-key", make_vapid_key)
    _add_audit_actions(_add(commands, "audit", audit))
    admin = _add(commands, "create-admin", create_admin)
    admin.add_argument("email", metavar="EMAIL")
    admin.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    return parser


def _add_audit_actions(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="action", dest="action")
    verify = actions.add_parser("verify", help="check that no entry was changed, removed, reordered or cut off")
    verify.add_argument("--head", metavar="SEQ:HASH", help="a head that was logged before, to find what was cut off")
    prune = actions.add_parser("prune", help="delete the entries before a date, and leave a checkpoint")
    prune.add_argument("--before", metavar="DATE", required=True, help="such as 2026-01-31")
    erase = actions.add_parser("erase", help="delete what the entries say about a user; the chain stays whole")
    erase.add_argument("--user", metavar="ID", type=int, required=True)


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace, Settings], int],
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
    command.set_defaults(run=run)
    return command


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code. An error that an operator can fix is one sentence, not a traceback."""
    parsed = _parser().parse_args(arguments)
    try:
        settings = get_settings()
        configure_logging(settings)
        code: int = parsed.run(parsed, settings)
    except Exception as error:
        if (told := _sentence(error)) is None:
            raise
        print(f"error: {told}", file=sys.stderr)
        return CANNOT_START
    return code


def _sentence(error: Exception) -> str | None:
    """The sentence about an error that an operator can fix; None for a defect."""
    from app.db.embedded.server import EmbeddedPostgresError
    from app.db.session import is_unavailable

    if isinstance(error, ValidationError):
        return " ".join(_of_field(item) for item in error.errors())
    if isinstance(error, ConfigurationError | DomainError | EmbeddedPostgresError):
        return str(error)
    if is_unavailable(error):
        return f"the database is not available: {error.__cause__ or error}".strip()
    return None


def _of_field(item: ErrorDetails) -> str:
    from app.api.validation_words import words_for

    return words_for(item, ".".join(map(str, item["loc"])).upper(), may_show=False).strip()


if __name__ == "__main__":
    sys.exit(main())
