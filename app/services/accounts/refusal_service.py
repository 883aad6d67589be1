"""Records refused logins, in a transaction of their own: the request itself is refused and leaves nothing behind.

Every one is logged. In the audit log, repetitions of one account and sender within a minute are counted together.
"""

import structlog

from app.core import origin
from app.core.audit_actions import AuditAction
from app.core.repeats import Repeats
from app.core.security import Tokens
from app.db.session import Database
from app.models import User
from app.services import audit_service

log = structlog.get_logger()

FINGERPRINT_CHARACTERS = 16


def record_login(database: Database, tokens: Tokens, repeats: Repeats, *, username: str, user: User | None) -> None:
    """Record a refused login. Does the same for an address without an account, so its duration reveals nothing."""
    address = fingerprint_of(tokens, username)
    sender = origin.current().sender
    account = ("user", str(user.id)) if user is not None else ("address", address)
    who = {"user_id": user.id} if user is not None else {"address_fingerprint": address}
    log.info("login_refused", sender=sender, **who)
    attempts = repeats.note((*account, sender))
    if attempts is None:
        return
    with database.transaction() as session:
        audit_service.record(session, AuditAction.LOGIN_REFUSED, *account, changes={"attempts": (None, attempts)})


def fingerprint_of(tokens: Tokens, address: str) -> str:
    """What stands for an address without an account. Only this installation can compute it."""
    return tokens.seal(b"address:" + address.casefold().encode("utf-8", "replace"))[:FINGERPRINT_CHARACTERS]
