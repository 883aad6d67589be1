"""Tells whether any channel of a person still works, for pages of each severity."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from app.core.vocabulary import Severity
from app.crud import crud_preference
from app.models import NotificationPreference, User
from app.services.contacts.recipient_service import choices_of
from app.services.notification import Person, next_channel
from app.services.ports import Paging

Chosen = Mapping[str, NotificationPreference]  # by channel


def warnings(session: Session, user: User, paging: Paging) -> list[str]:
    """Which pages no channel brings to this person, in a sentence if there are any."""
    return warnings_of(user, {row.channel: row for row in crud_preference.of_users(session, [user.id])}, paging)


def warnings_of(user: User, chosen: Chosen, paging: Paging) -> list[str]:
    """As `warnings`, of preferences that were read already. A channel with quiet hours works: they end."""
    if not user.is_active:
        return []
    person = Person(f"user:{user.id}", user.id, choices_of(user, chosen, paging, None))
    lost = [
        severity for severity in Severity if next_channel(person, paging.channels, _silent(chosen, severity)) is None
    ]
    if not lost:
        return []
    which = "" if len(lost) == len(Severity) else f" of severity {', '.join(lost)}"
    return [
        f"No channel that works is left for pages{which}: they go to whoever is paged next, or to the administrators."
    ]


def _silent(chosen: Chosen, severity: Severity) -> set[str]:
    """The channels that are always quiet for a severity."""
    return {name for name, row in chosen.items() if severity in row.quiet_severities and row.quiet_from is None}
