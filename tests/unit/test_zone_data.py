"""Which copy of the time zones counts."""

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app.core.clock import use_own_zone_data, zone_data_version
from app.schemas.notification import QuietHours


@pytest.fixture
def system_path() -> Iterator[Path]:
    """The system's copy in front, as it is when a process starts."""
    path = Path("/usr/share/zoneinfo")
    zoneinfo.reset_tzpath([str(path)])
    ZoneInfo.clear_cache()
    yield path
    use_own_zone_data()


@pytest.mark.usefixtures("system_path")
def test_nine_in_vancouver_is_by_the_rules_of_2026() -> None:
    """British Columbia keeps the time of the summer from November 2026 on."""
    use_own_zone_data()
    nine = datetime(2026, 11, 2, 9, tzinfo=ZoneInfo("America/Vancouver"))
    assert nine.astimezone(UTC) == datetime(2026, 11, 2, 16, tzinfo=UTC)


def test_the_systems_copy_does_not_count(system_path: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "America" / "Vancouver"
    wrong.parent.mkdir()
    wrong.write_bytes((Path(zoneinfo.__file__).parent / "__init__.py").read_bytes())  # no zone at all
    zoneinfo.reset_tzpath([str(tmp_path)])
    use_own_zone_data()
    assert ZoneInfo("America/Vancouver").key == "America/Vancouver"
    assert zoneinfo.TZPATH == ()


@pytest.mark.parametrize("zone", ["Mars/Olympus", "localtime", "posix/Europe/Berlin", "europe/berlin", "", "UTC+1"])
def test_a_zone_that_is_unknown_is_refused_at_the_door(zone: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone"):
        QuietHours.model_validate({"from": "22:00", "until": "07:00", "time_zone": zone})


def test_the_release_is_told() -> None:
    assert zone_data_version() >= "2026f"
