"""What the timelines of incidents say of pages that left or never will."""

from datetime import UTC, datetime

import pytest

from app.core.vocabulary import TimelineEventType
from app.services.delivery.record_of_pages import Fate, TimelinePage, entries

AT = datetime(2026, 1, 20, 10, 30, tzinfo=UTC)
PAGES = [TimelinePage(3, 7, "Ada", "sms"), TimelinePage(4, 8, "Ben", "slack")]


def test_each_page_has_an_entry_of_its_own_incident() -> None:
    found = entries(PAGES, Fate.NOT_SENT, at=AT, error="busy")
    assert [entry["incident_id"] for entry in found] == [7, 8]
    assert [entry["metadata_"] for entry in found] == [
        {"notification_id": 3, "error": "busy"},
        {"notification_id": 4, "error": "busy"},
    ]
    assert {entry["created_at"] for entry in found} == {AT}


@pytest.mark.parametrize(
    ("fate", "event_type"),
    [
        (Fate.SENT, TimelineEventType.NOTIFICATION_SENT),
        (Fate.NOT_SENT, TimelineEventType.NOTIFICATION_FAILED),
        (Fate.DELIVERED, TimelineEventType.NOTIFICATION_DELIVERED),
        (Fate.NOT_DELIVERED, TimelineEventType.NOTIFICATION_FAILED),
    ],
)
def test_an_entry_says_what_became_of_whose_page_by_which_channel(fate: Fate, event_type: TimelineEventType) -> None:
    [entry, _] = entries(PAGES, fate, at=AT, error=None)
    assert entry["event_type"] is event_type
    assert entry["description"] == f"{fate.format(who='Ada', channel='SMS')}."


@pytest.mark.parametrize(("together", "ending"), [(None, "by Slack."), (12, "about 12 incidents.")])
def test_a_page_that_went_with_others_says_with_how_many(together: int | None, ending: str) -> None:
    [_, entry] = entries(PAGES, Fate.SENT, at=AT, error=None, together=together)
    assert entry["description"].endswith(ending)
