"""The operator's commands on the audit log: `python -m app audit verify | prune | erase`."""

import argparse
import getpass
import os
import re
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from app.core import origin
from app.core.clock import utcnow
from app.core.config import Settings
from app.core.errors import InvalidInput
from app.db import migrations
from app.db.session import Database
from app.services.operations import audit_chain_service, audit_retention_service
from app.services.operations.audit_chain import Fault, Head
from app.utils.service_locator import database_of

BROKEN = 1
HEAD = re.compile(r"([0-9]{1,18}):([0-9a-fA-F]{64})", re.ASCII)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Run the action that the arguments name. Returns the exit code."""
    as_operator()
    with database_of(settings) as database:
        migrations.require_current(database)
        return ACTIONS[arguments.action](arguments, database)


def as_operator() -> None:
    """Let the audit log say that somebody on this machine runs a command."""
    origin.begin(sender=f"command line: {_login()}@{socket.gethostname()}", request_id=None)


def verify(arguments: argparse.Namespace, database: Database) -> int:
    """Check the whole chain. Says where it ends, or the first fault."""
    known = head_of(arguments.head) if arguments.head is not None else None
    with database.transaction() as session:
        outcome = audit_chain_service.verify(session, known)
    if isinstance(outcome, Fault):
        print(f"The audit chain is broken ({outcome.kind}): {outcome.sentence}.")
        return BROKEN
    erased = f", {outcome.erased:,} of their values erased" if outcome.erased else ""
    print(f"The audit chain is whole: {outcome.entries:,} entries{erased}. Its head is {outcome.head}")
    return 0


def prune(arguments: argparse.Namespace, database: Database) -> int:
    """Delete the entries before a date. The chain then begins at a checkpoint. Also ends a pruning that was cut off."""
    before = time_of(arguments.before)
    with database.transaction() as session:
        checkpoint = audit_retention_service.set_checkpoint(session, before)
    deleted = 0
    while done := _prune_batch(database):
        deleted += done
    if checkpoint is None and not deleted:
        print(f"No entry is older than {before:%Y-%m-%d %H:%M} UTC. Nothing was deleted.")
    else:
        print(f"Deleted {deleted:,} entries. The chain begins at a checkpoint now.")
    return 0


def erase(arguments: argparse.Namespace, database: Database) -> int:
    """Delete what the log says about a user, and where their requests came from."""
    with database.transaction() as session:
        erased = audit_retention_service.erase(session, arguments.user)
    print(f"Erased {erased:,} values about user {arguments.user}. The entries and the chain stay.")
    return 0


def head_of(given: str) -> Head:
    """The head that `audit_chain_head` logged as `seq` and `hash`. Raises InvalidInput."""
    found = HEAD.fullmatch(given.strip())
    if found is None:
        raise InvalidInput(
            "--head must be the seq and the hash of a line audit_chain_head, such as 1200:9f86d081... (64 digits).",
            pointer="head",
        )
    return Head(int(found[1]), bytes.fromhex(found[2]))


def time_of(given: str) -> datetime:
    """A date or a time, in UTC unless it has a zone. Raises InvalidInput if it is none, or not in the past."""
    try:
        time = datetime.fromisoformat(given)
        time = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidInput(f'--before "{given}" is no date. Write it as 2026-01-31.', pointer="before") from error
    if time > utcnow():
        raise InvalidInput(f'--before "{given}" is in the future. Name a date in the past.', pointer="before")
    return time


def _prune_batch(database: Database) -> int:
    with database.transaction() as session:
        return audit_retention_service.prune(session)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        return str(os.getuid())


ACTIONS: Mapping[str, Callable[[argparse.Namespace, Database], int]] = {
    "verify": verify,
    "prune": prune,
    "erase": erase,
}
