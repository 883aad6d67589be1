"""Slices of lists by time, newest first.

A page ends at a time and an id, because rows may have the same time, and the row where it ended may be deleted.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.core.security import MAX_ID
from app.crud.pagination import Slice

EPOCH = datetime.min.replace(tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TIME_DIGITS, ID_DIGITS = 15, 8  # hexadecimal: microseconds up to the year 9134, and ids up to MAX_ID
CURSOR = "^[0-3][0-9a-f]{14}[0-7][0-9a-f]{7}$"  # every text like this is the cursor of a place


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a list by time: where a row of this time and id is, or was."""

    at: datetime
    id: int

    def cursor(self) -> str:
        """The place as a text that matches CURSOR, for clients to hand back."""
        return f"{(self.at - EPOCH) // MICROSECOND:0{TIME_DIGITS}x}{self.id:0{ID_DIGITS}x}"

    @classmethod
    def of_cursor(cls, text: str) -> "Place":
        """The place of a text that matches CURSOR."""
        return cls(EPOCH + int(text[:TIME_DIGITS], 16) * MICROSECOND, int(text[TIME_DIGITS:], 16))


NEWEST = Place(datetime.max.replace(tzinfo=UTC), MAX_ID)  # before every row
OLDEST = Place(EPOCH, 0)  # after every row


@dataclass(frozen=True, slots=True)
class TimeSlice(Slice):
    """A part of a list by time: what is older than a place, or than the row of an id."""

    before: Place | int = NEWEST
