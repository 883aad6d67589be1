"""Warns if no channel of a person works for pages of some severity."""

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
    """A sentence about the pages that no channel can deliver to this person, if any."""
    return warnings_of(user, {row.channel: row for row in crud_preference.of_users(session, [user.id])}, paging)


def warnings_of(user: User, chosen: Chosen, paging: Paging) -> list[str]:
    """As `warnings`, for preferences already loaded. A channel with quiet hours works, because they end."""
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
        f"No working channel is left for pages{which}. They go to the next people to page, or to the administrators."
    ]


def _silent(chosen: Chosen, severity: Severity) -> set[str]:
    """The channels that are always quiet for a severity."""
    return {name for name, row in chosen.items() if severity in row.quiet_severities and row.quiet_from is None}
