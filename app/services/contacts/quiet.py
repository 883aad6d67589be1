"""Decides when a person's channel is quiet for a page."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, tzinfo


@dataclass(frozen=True, slots=True)
class Hours:
    """Start and end as local times in a zone. An end before or at the start is on the next day."""

    begins: time
    ends: time
    zone: tzinfo

    def contain(self, at: datetime) -> bool:
        """True from the minute they start until before the minute they end."""
        there = at.astimezone(self.zone).time()
        if self.begins < self.ends:
            return self.begins <= there < self.ends
        return there >= self.begins or there < self.ends


@dataclass(frozen=True, slots=True)
class Occasion:
    """The severity of an ordinary page, and when it is sent."""

    severity: str
    at: datetime


def is_quiet(occasion: Occasion | None, severities: Collection[str], hours: Hours | None) -> bool:
    """True if the channel is silent for the page: a quiet severity within the hours, or at any time without hours.

    Without an occasion nothing is quiet: somebody escalated manually, or nobody else is reachable.
    """
    if occasion is None or occasion.severity not in severities:
        return False
    return hours is None or hours.contain(occasion.at)
