"""What the page says of an action that its reader took, for as long as it holds."""

from app.core.vocabulary import IncidentStatus
from app.services.page_link_service import PageView

SAID = {
    "acknowledged": "Acknowledged. Nobody is paged any further.",
    "snoozed": "Snoozed. It opens again by itself.",
    "escalated": "Escalated. The next people are paged now.",
}


def confirmation(done: str, view: PageView) -> str | None:
    """The sentence about what was done, or None if that no longer holds or is none of the actions."""
    holds = {
        "acknowledged": view.status == IncidentStatus.ACKNOWLEDGED,
        "snoozed": view.status == IncidentStatus.SNOOZED,
        "escalated": view.is_escalated,
    }
    return SAID[done] if holds.get(done) else None
