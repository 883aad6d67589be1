"""Decides whether the dead-man's ping is sent: only while paging is healthy."""

from datetime import timedelta

from sqlalchemy.orm import Session

from app.crud import crud_escalation, crud_notification, crud_unaccepted, crud_unmatched
from app.crud.clock import now
from app.services.escalation import QUARANTINE_LONGEST

OVERDUE_AFTER = timedelta(seconds=2)  # two ticks
STUCK_AFTER = timedelta(minutes=2)


def is_well(session: Session) -> bool:
    """True if no step is late or failing, no message is stuck, no fallback failed, and every page was accepted.

    A page counts as accepted once a channel took it, for its person or for an administrator instead.
    """
    at = now(session)
    return not (
        crud_escalation.overdue(session, before=at - OVERDUE_AFTER)
        or crud_escalation.has_quarantined(session, due_before=at + QUARANTINE_LONGEST)
        or crud_escalation.has_unreachable(session)
        or crud_unmatched.has_missed(session, before=at - OVERDUE_AFTER, at=at)
        or crud_notification.has_postponed_fallback(session, at=at)
        or crud_notification.has_stuck(session, before=at - STUCK_AFTER)
        or crud_unaccepted.exist(session, before=at - STUCK_AFTER)
    )
