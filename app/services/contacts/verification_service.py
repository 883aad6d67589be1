"""Proves that an address is its user's, tries a channel out, and gives up an address that is gone."""

import secrets
from datetime import datetime, timedelta
from math import ceil

import structlog
from sqlalchemy.orm import Session

from app.core.channel import CHANNELS
from app.core.errors import ChannelUnusable, TooManyRequests, WrongCode
from app.core.facts import ChannelTestFacts, NoticeFacts, VerificationFacts
from app.core.security import Tokens, same_secret
from app.crud import crud_notification, crud_preference, crud_user, crud_verification
from app.crud.clock import now
from app.models import AddressVerification, Notification, User
from app.schemas.notification import PreferenceRead
from app.services import notification_service
from app.services.contacts import preference_service, recipient_service
from app.services.notification import next_channel
from app.services.ports import Paging

log = structlog.get_logger()

# Of a million codes 15 may be tried in a quarter of an hour (NIST SP 800-63B, section 5.2.2, allows 100 in all).
CODE_DIGITS = 6
GOOD_FOR = timedelta(minutes=15)
MAX_SENT = 3
MAX_ATTEMPTS = 5
SPENT = ""
IS_GONE = "The provider says that this address does not exist any more. Set another one."


def send_code(session: Session, user: User, channel: str, paging: Paging, tokens: Tokens) -> timedelta:
    """Send a code to the address in force. Returns how long it is good for.

    Raises ChannelUnusable, and TooManyRequests after three codes within a quarter of an hour.
    """
    address = _usable_address(session, user, channel, paging)
    at = now(session)
    row = crud_verification.put(session, user.id, channel, at=at)
    _count(row, at=at)
    code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
    row.address, row.attempts, row.expires_at = address, 0, at + GOOD_FOR
    row.code_hash = _seal(tokens, user, channel, address, code)
    facts = VerificationFacts(code, GOOD_FOR // timedelta(minutes=1), channel)
    notification_service.enqueue_own(session, user, facts, channel=channel, address=address, at=at)
    log.info("address_verification_sent", user_id=user.id, channel=channel)
    return GOOD_FOR


def confirm(session: Session, user: User, channel: str, code: str, tokens: Tokens) -> PreferenceRead:
    """Take the code back: from now on the address is verified. Raises WrongCode, which is remembered."""
    row = crud_verification.get_for_update(session, user.id, channel)
    address = _address_in_force(session, user, channel)
    at = now(session)
    if row is None or row.code_hash == SPENT or row.address != address or row.expires_at <= at:
        raise WrongCode("There is no code that counts for this address now: ask for one.", pointer="/code")
    if row.attempts >= MAX_ATTEMPTS:
        raise WrongCode("This code was tried too often: ask for another one.", pointer="/code")
    row.attempts += 1
    session.flush()
    if not same_secret(_seal(tokens, user, channel, row.address, code), row.code_hash):
        log.warning("address_verification_failed", user_id=user.id, channel=channel)
        raise WrongCode("This is not the code that was sent last.", pointer="/code")
    row.code_hash = SPENT
    preference = crud_preference.put(session, user.id, channel, at=at)
    crud_preference.apply(session, preference, {"verified_address": row.address}, at=at)
    log.info("address_verified", user_id=user.id, channel=channel)
    return preference_service.read(user, channel, preference)


def send_test(session: Session, user: User, channel: str, paging: Paging) -> Notification:
    """Send a test message by one of the user's channels. Raises ChannelUnusable, saying what to do."""
    address = _usable_address(session, user, channel, paging)
    preference = crud_preference.of_channel(session, user.id, channel)
    if paging.must_be_verified and not recipient_service.is_verified(user, CHANNELS[channel], preference):
        raise ChannelUnusable(f"Verify the address of {channel} first: no page goes to it before.")
    facts = ChannelTestFacts(channel)
    sent = notification_service.enqueue_own(session, user, facts, channel=channel, address=address, at=now(session))
    log.info("test_message_sent", user_id=user.id, channel=channel)
    return crud_notification.with_attempts(session, sent.id)


def disable_gone(session: Session, notification: Notification, paging: Paging, *, at: datetime) -> None:
    """Switch off the channel whose address is gone, and tell its owner by another one, if there is one that works.

    Nothing happens if the channel leads elsewhere or is off by now.
    """
    user = crud_user.get(session, notification.user_id) if notification.user_id is not None else None
    if user is None:
        return
    # Locked before it is looked at: its user may be setting another address at this moment.
    preference = crud_preference.put(session, user.id, notification.channel, at=at)
    is_in_force = _address_in_force(session, user, notification.channel) == notification.address
    if not is_in_force or not preference.is_enabled:
        return
    crud_preference.apply(session, preference, {"is_enabled": False, "disabled_reason": IS_GONE}, at=at)
    log.warning("channel_disabled", user_id=user.id, channel=notification.channel, notification_id=notification.id)
    [person] = recipient_service.people(session, [user], paging, None)
    other = next_channel(person, paging.channels, {notification.channel})
    if other is not None:
        facts = NoticeFacts(f"Your channel {notification.channel} was switched off. {IS_GONE}")
        notification_service.enqueue_own(session, user, facts, channel=other.channel, address=other.address, at=at)


def _usable_address(session: Session, user: User, channel: str, paging: Paging) -> str:
    if channel not in paging.channels:
        raise ChannelUnusable(f"The channel {channel} is not set up here: an operator has to name its provider.")
    address = _address_in_force(session, user, channel)
    if address is None:
        raise ChannelUnusable(f"The channel {channel} leads nowhere: set its address first.")
    return address


def _address_in_force(session: Session, user: User, channel: str) -> str | None:
    preference = crud_preference.of_channel(session, user.id, channel)
    return recipient_service.address_of(user, CHANNELS[channel], preference)


def _count(row: AddressVerification, *, at: datetime) -> None:
    """Count the codes of a quarter of an hour, which begins with the first of them."""
    ends_at = row.created_at + GOOD_FOR
    if at >= ends_at:
        row.created_at, row.sent = at, 0
    elif row.sent >= MAX_SENT:
        seconds = max(1, ceil((ends_at - at).total_seconds()))
        raise TooManyRequests("Several codes were sent: wait until another one is.", retry_after_seconds=seconds)
    row.sent += 1


def _seal(tokens: Tokens, user: User, channel: str, address: str, code: str) -> str:
    """Bound to whom it was sent, by which channel and where: it proves nothing else."""
    return tokens.seal("\n".join((str(user.id), channel, address, code)).encode())
