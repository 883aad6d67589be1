"""Sends a code to an address and checks it: a user who knows it reads the messages to that address."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

import structlog
from sqlalchemy.orm import Session

from app.core.errors import TooManyRequests, WrongCode
from app.core.facts import VerificationFacts
from app.core.security import Tokens
from app.crud import crud_verification
from app.models import AddressVerification, User
from app.services import notification_service

log = structlog.get_logger()

# 15 of a million codes can be tried in 15 minutes (NIST SP 800-63B, section 5.2.2, allows 100 in all).
CODE_DIGITS = 6
GOOD_FOR = timedelta(minutes=15)
MAX_SENT = 3
MAX_ATTEMPTS = 5
SPENT = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """An address that a user claims, and the channel to it.

    A user has one code at a time for each purpose.
    """

    user: User
    purpose: str
    channel: str
    address: str


def send(session: Session, claim: Claim, tokens: Tokens, *, at: datetime) -> timedelta:
    """Send a code to the address. Returns how long it is valid.

    Raises TooManyRequests after three codes within 15 minutes.
    """
    row = crud_verification.put(session, claim.user.id, claim.purpose, at=at)
    _count(row, at=at)
    code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
    row.address, row.attempts, row.expires_at = claim.address, 0, at + GOOD_FOR
    row.code_hash = tokens.seal(_sealed(claim, code))
    facts = VerificationFacts(code, GOOD_FOR // timedelta(minutes=1), claim.channel)
    notification_service.enqueue_own(session, claim.user, facts, channel=claim.channel, address=claim.address, at=at)
    log.info("address_verification_sent", user_id=claim.user.id, channel=claim.channel, purpose=claim.purpose)
    return GOOD_FOR


def take(session: Session, claim: Claim, code: str, tokens: Tokens, *, at: datetime) -> None:
    """Check a code, which proves the claim. Raises WrongCode, which counts as a try."""
    row = crud_verification.get_for_update(session, claim.user.id, claim.purpose)
    if row is None or row.code_hash == SPENT or row.address != claim.address or row.expires_at <= at:
        raise WrongCode("No active code for this address. Request a new one.", pointer="/code")
    if row.attempts >= MAX_ATTEMPTS:
        raise WrongCode("This code was tried too often. Request a new one.", pointer="/code")
    row.attempts += 1
    session.flush()
    if not tokens.has_sealed(_sealed(claim, code), row.code_hash):
        log.warning("address_verification_failed", user_id=claim.user.id, channel=claim.channel, purpose=claim.purpose)
        raise WrongCode("This is not the code that was sent last. Check it and try again.", pointer="/code")
    row.code_hash = SPENT
    log.info("address_verified", user_id=claim.user.id, channel=claim.channel, purpose=claim.purpose)


def _count(row: AddressVerification, *, at: datetime) -> None:
    """Count the codes of 15 minutes, starting with the first."""
    ends_at = row.created_at + GOOD_FOR
    if at >= ends_at:
        row.created_at, row.sent = at, 0
    elif row.sent >= MAX_SENT:
        seconds = max(1, ceil((ends_at - at).total_seconds()))
        raise TooManyRequests(
            "Too many codes were requested. Wait before you request another one.", retry_after_seconds=seconds
        )
    row.sent += 1


def _sealed(claim: Claim, code: str) -> bytes:
    """The code together with its user, purpose and address, so that it proves nothing else."""
    return "\n".join((str(claim.user.id), claim.purpose, claim.address, code)).encode()
