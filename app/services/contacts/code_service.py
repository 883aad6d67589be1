"""Sends a code to an address, and takes it back: whoever has it reads what comes there."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

import structlog
from sqlalchemy.orm import Session

from app.core.errors import TooManyRequests, WrongCode
from app.core.facts import VerificationFacts
from app.core.security import Tokens, same_secret
from app.crud import crud_verification
from app.models import AddressVerification, User
from app.services import notification_service

log = structlog.get_logger()

# Of a million codes 15 may be tried in a quarter of an hour (NIST SP 800-63B, section 5.2.2, allows 100 in all).
CODE_DIGITS = 6
GOOD_FOR = timedelta(minutes=15)
MAX_SENT = 3
MAX_ATTEMPTS = 5
SPENT = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """An address that a user says is theirs, and the channel that leads there.

    A user has one code at a time for each purpose.
    """

    user: User
    purpose: str
    channel: str
    address: str


def send(session: Session, claim: Claim, tokens: Tokens, *, at: datetime) -> timedelta:
    """Send a code to the address. Returns how long it is good for.

    Raises TooManyRequests after three codes within a quarter of an hour.
    """
    row = crud_verification.put(session, claim.user.id, claim.purpose, at=at)
    _count(row, at=at)
    code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
    row.address, row.attempts, row.expires_at = claim.address, 0, at + GOOD_FOR
    row.code_hash = _seal(tokens, claim, code)
    facts = VerificationFacts(code, GOOD_FOR // timedelta(minutes=1), claim.channel)
    notification_service.enqueue_own(session, claim.user, facts, channel=claim.channel, address=claim.address, at=at)
    log.info("address_verification_sent", user_id=claim.user.id, channel=claim.channel, purpose=claim.purpose)
    return GOOD_FOR


def take(session: Session, claim: Claim, code: str, tokens: Tokens, *, at: datetime) -> None:
    """Take a code back, which proves the claim. Raises WrongCode, which is remembered."""
    row = crud_verification.get_for_update(session, claim.user.id, claim.purpose)
    if row is None or row.code_hash == SPENT or row.address != claim.address or row.expires_at <= at:
        raise WrongCode("No code is valid for this address now: ask for one.", pointer="/code")
    if row.attempts >= MAX_ATTEMPTS:
        raise WrongCode("This code was tried too often: ask for another one.", pointer="/code")
    row.attempts += 1
    session.flush()
    if not same_secret(_seal(tokens, claim, code), row.code_hash):
        log.warning("address_verification_failed", user_id=claim.user.id, channel=claim.channel, purpose=claim.purpose)
        raise WrongCode("This is not the code that was sent last.", pointer="/code")
    row.code_hash = SPENT
    log.info("address_verified", user_id=claim.user.id, channel=claim.channel, purpose=claim.purpose)


def _count(row: AddressVerification, *, at: datetime) -> None:
    """Count the codes of a quarter of an hour, which begins with the first of them."""
    ends_at = row.created_at + GOOD_FOR
    if at >= ends_at:
        row.created_at, row.sent = at, 0
    elif row.sent >= MAX_SENT:
        seconds = max(1, ceil((ends_at - at).total_seconds()))
        raise TooManyRequests("Several codes were sent: wait before you ask again.", retry_after_seconds=seconds)
    row.sent += 1


def _seal(tokens: Tokens, claim: Claim, code: str) -> str:
    """Bound to whom the code was sent, what for and where: it proves nothing else."""
    return tokens.seal("\n".join((str(claim.user.id), claim.purpose, claim.address, code)).encode())
