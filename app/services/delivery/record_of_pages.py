"""Words the timeline entries about pages that were sent or failed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.core.channel import spoken
from app.core.vocabulary import TimelineEventType

Entry = dict[str, Any]  # the columns of a TimelineEvent


class Fate(StrEnum):
    """The fate of a page, in the words of the timeline."""

    SENT = "Paged {who} by {channel}"
    NOT_SENT = "Could not page {who} by {channel}"
    DELIVERED = "The page to {who} by {channel} was delivered"
    NOT_DELIVERED = "The page to {who} by {channel} was not delivered"


EVENTS = {
    Fate.SENT: TimelineEventType.NOTIFICATION_SENT,
    Fate.NOT_SENT: TimelineEventType.NOTIFICATION_FAILED,
    Fate.DELIVERED: TimelineEventType.NOTIFICATION_DELIVERED,
    Fate.NOT_DELIVERED: TimelineEventType.NOTIFICATION_FAILED,
}


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """A page of an incident."""

    id: int
    incident_id: int
    who: str
    channel: str


def entries(
    pages: Iterable[TimelinePage], fate: Fate, *, at: datetime, error: str | None, together: int | None = None
) -> list[Entry]:
    """An entry for each page. `together` is the number of incidents in one message."""
    ending = "" if together is None else f", in one message about {together} incidents"
    return [
        {
            "incident_id": page.incident_id,
            "event_type": EVENTS[fate],
            "description": f"{fate.format(who=page.who, channel=spoken(page.channel))}{ending}.",
            "metadata_": {"notification_id": page.id, "error": error},
            "created_at": at,
        }
        for page in pages
    ]
