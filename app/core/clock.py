"""The process's clock, and its time zones.

Timers use the database's clock (`app.crud.clock.now`); this one is for what leaves the service.
"""

import zoneinfo
from datetime import UTC, datetime

import tzdata


def utcnow() -> datetime:
    """The time of this process, aware and in UTC."""
    return datetime.now(UTC)


def use_own_zone_data() -> None:
    """Read time zones from the pinned `tzdata`: a system's copy is often a release behind, and rules change."""
    if zoneinfo.TZPATH:
        zoneinfo.reset_tzpath([])
        zoneinfo.ZoneInfo.clear_cache()


def zone_data_version() -> str:
    """The release of the IANA database that counts here, such as 2026f."""
    version: str = tzdata.IANA_VERSION
    return version
