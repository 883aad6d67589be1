"""Decides when a person's channel is quiet for a page."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, tzinfo


@dataclass(frozen=True, slots=True)
class Hours:
    """From when until when, by the clocks of a zone. An end that is not after the beginning is the next day's."""

    begins: time
    ends: time
    zone: tzinfo

    def contain(self, at: datetime) -> bool:
        """True from the minute they begin, and no longer in the minute they end."""
        there = at.astimezone(self.zone).time()
        if self.begins < self.ends:
            return self.begins <= there < self.ends
        return there >= self.begins or there < self.ends


@dataclass(frozen=True, slots=True)
class Occasion:
    """What an ordinary page is about, and when it is sent."""

    severity: str
    at: datetime


def is_quiet(occasion: Occasion | None, severities: Collection[str], hours: Hours | None) -> bool:
    """A page of a quiet severity does not come within the hours; without hours it never does.

    Without an occasion nothing is quiet: somebody asked for the page by hand, or nobody else could be reached.
    """
    if occasion is None or occasion.severity not in severities:
        return False
    return hours is None or hours.contain(occasion.at)
