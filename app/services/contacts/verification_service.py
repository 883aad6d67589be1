"""Verifies addresses, sends test messages, and switches off channels whose address no longer exists."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from app.core.audit_actions import AuditAction
from app.core.channel import CHANNELS
from app.core.errors import ChannelUnusable
from app.core.facts import ChannelTestFacts, NoticeFacts
from app.core.security import Tokens
from app.crud import crud_notification, crud_preference, crud_user
from app.crud.clock import now
from app.models import Notification, User
from app.schemas.notification import PreferenceRead
from app.services import audit_service, notification_service
from app.services.contacts import code_service, preference_service, reach_service, recipient_service
from app.services.contacts.code_service import Claim
from app.services.notification import next_channel
from app.services.ports import Paging

log = structlog.get_logger()

IS_GONE = "The provider says that this address no longer exists. Set another one."


def send_code(session: Session, user: User, channel: str, paging: Paging, tokens: Tokens) -> timedelta:
    """Send a code to the address in use. Returns how long it is valid.

    Raises ChannelUnusable, and TooManyRequests after three codes within 15 minutes.
    """
    address = _usable_address(session, user, channel, paging)
    return code_service.send(session, Claim(user, channel, channel, address), tokens, at=now(session))


def confirm(session: Session, user: User, channel: str, code: str, paging: Paging, tokens: Tokens) -> PreferenceRead:
    """Check the code and verify the address. Raises WrongCode, which counts as a try.

    Also confirms the account's own address if the code went there.
    """
    at = now(session)
    address = _address_in_force(session, user, channel) or ""
    code_service.take(session, Claim(user, channel, channel, address), code, tokens, at=at)
    preference = crud_preference.put(session, user.id, channel, at=at)
    crud_preference.apply(session, preference, {"verified_address": address}, at=at)
    if CHANNELS[channel].own_address == "email" and address == user.email:
        old = crud_user.apply(session, user, {"is_address_proved": True}, at=at)
        if old:
            changes = audit_service.changed(old, user)
            audit_service.record(session, AuditAction.USER_ADDRESS_CONFIRMED, "user", user.id, changes=changes)
    return preference_service.read(user, channel, preference, reach_service.warnings(session, user, paging))


def send_test(session: Session, user: User, channel: str, paging: Paging) -> Notification:
    """Send a test message by one of the user's channels. Raises ChannelUnusable, which says what to do."""
    address = _usable_address(session, user, channel, paging)
    preference = crud_preference.of_channel(session, user.id, channel)
    if paging.must_be_verified and not recipient_service.is_verified(user, CHANNELS[channel], preference):
        raise ChannelUnusable(f"The address of {channel} is not verified, so it gets no pages. Verify it first.")
    facts = ChannelTestFacts(channel)
    sent = notification_service.enqueue_own(session, user, facts, channel=channel, address=address, at=now(session))
    log.info("test_message_sent", user_id=user.id, channel=channel)
    return crud_notification.with_attempts(session, sent.id)


def disable_gone(session: Session, notification: Notification, paging: Paging, *, at: datetime) -> None:
    """Switch off a channel whose address no longer exists, and tell its owner by another working channel, if any.

    Does nothing if the channel has another address by now, or is off.
    """
    user = crud_user.get(session, notification.user_id) if notification.user_id is not None else None
    if user is None:
        return
    # Lock it before reading: its user may be setting another address right now.
    preference = crud_preference.put(session, user.id, notification.channel, at=at)
    is_in_force = _address_in_force(session, user, notification.channel) == notification.address
    if not is_in_force or not preference.is_enabled:
        return
    old = crud_preference.apply(session, preference, {"is_enabled": False, "disabled_reason": IS_GONE}, at=at)
    preference_service.record_change(session, preference, old, AuditAction.PREFERENCE_DISABLED)
    log.warning("channel_disabled", user_id=user.id, channel=notification.channel, notification_id=notification.id)
    [person] = recipient_service.people(session, [user], paging, None)
    other = next_channel(person, paging.channels, {notification.channel})
    if other is not None:
        facts = NoticeFacts(f"Your channel {notification.channel} was switched off. {IS_GONE}")
        notification_service.enqueue_own(session, user, facts, channel=other.channel, address=other.address, at=at)


def _usable_address(session: Session, user: User, channel: str, paging: Paging) -> str:
    if channel not in paging.channels:
        raise ChannelUnusable(f"The channel {channel} is not set up here. An operator has to name its provider first.")
    address = _address_in_force(session, user, channel)
    if address is None:
        raise ChannelUnusable(f"The channel {channel} has no address. Set its address first.")
    return address


def _address_in_force(session: Session, user: User, channel: str) -> str | None:
    preference = crud_preference.of_channel(session, user.id, channel)
    return recipient_service.address_of(user, CHANNELS[channel], preference)
