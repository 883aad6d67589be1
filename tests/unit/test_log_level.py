"""A process follows the level of the log that is set for all, and says so."""

import io
import logging
from collections.abc import Iterator

import pytest
import structlog
from sqlalchemy.exc import OperationalError

from app.core.config import Settings
from app.core.logging import LEAST_LEVELS
from app.core.plain_lines import PlainLines
from app.core.vocabulary import LogLevel
from app.crud.crud_log_level import Followed
from app.worker.log_level import LogLevelFollower
from tests.support.logs import configured, events, root_level

DEBUG, INFO, WARNING, ERROR = LogLevel


class Process:
    """A process that follows what `set` says, on a clock of its own."""

    def __init__(self, configured: LogLevel) -> None:
        self.set: Followed | Exception | None = None
        self.at = 1000.0
        self.follower = LogLevelFollower(self._read, configured, lambda: self.at)

    def _read(self) -> Followed | None:
        if isinstance(self.set, Exception):
            raise self.set
        return self.set


@pytest.fixture
def lines(settings: Settings, request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """The lines of a process that is configured to a level, WARNING by default."""
    with configured(settings, getattr(request, "param", WARNING)) as lines:
        yield lines


def until(seconds_left: float | None, level: LogLevel = DEBUG) -> Followed:
    return Followed(level, None, seconds_left, set_by=1)


@pytest.mark.parametrize("seconds_left", [60.0, None])
def test_the_time_of_a_level_ends_without_the_database(lines: io.StringIO, seconds_left: float | None) -> None:
    process = Process(WARNING)
    process.set = until(seconds_left)
    process.follower.look()
    process.set = OperationalError("SELECT", {}, Exception("the server is away"))
    process.at += 59
    process.follower.look()
    assert root_level() == "DEBUG"
    process.at += 1
    process.follower.look()
    assert root_level() == ("DEBUG" if seconds_left is None else "WARNING")
    assert "log_level_unread" not in lines.getvalue()


def test_a_database_that_hangs_delays_no_end_of_a_level(lines: io.StringIO) -> None:
    process = Process(WARNING)
    process.set = until(60)
    process.follower.look()
    process.at += 60
    process.follower.notice_time()
    assert root_level() == "WARNING"


def test_a_look_that_fails_is_logged_once(lines: io.StringIO) -> None:
    process = Process(WARNING)
    for _ in range(2):
        for found in (ValueError("defect"), ValueError("defect"), None):
            process.set = found
            process.follower.look()
    assert [event["event"] for event in events(lines)] == ["log_level_unread"] * 2


@pytest.mark.parametrize("lines", list(LogLevel), indirect=True)
@pytest.mark.parametrize("wanted", list(LogLevel))
def test_every_change_shows(lines: io.StringIO, wanted: LogLevel) -> None:
    configured = LogLevel(root_level())
    process = Process(configured)
    process.set = until(60, wanted)
    process.follower.look()
    process.set = None
    process.follower.look()
    there_and_back = [] if wanted is configured else [(configured, wanted), (wanted, configured)]
    assert [(event["from_level"], event["to_level"]) for event in events(lines)] == there_and_back


def test_what_was_logged_before_follows_too(lines: io.StringIO) -> None:
    """structlog keeps the loggers it has made, and frequent events go past it."""
    process, own, frequent = Process(WARNING), structlog.get_logger("app.own"), PlainLines("app.frequent")
    for wanted in (None, until(60), None):
        process.set = wanted
        process.follower.look()
        own.debug("own_event")
        frequent.info("frequent_event", {"number": 1})
    assert [event["event"] for event in events(lines) if event["event"] != "log_level_changed"] == [
        "own_event",
        "frequent_event",
    ]


@pytest.mark.parametrize("name", LEAST_LEVELS)
def test_libraries_that_know_secrets_stay_quiet_at_debug(lines: io.StringIO, name: str) -> None:
    before = logging.getLogger(name).level
    process = Process(WARNING)
    process.set = until(60)
    process.follower.look()
    assert logging.getLogger(name).getEffectiveLevel() == before == LEAST_LEVELS[name]
    process.set = until(60, ERROR)
    process.follower.look()
    assert logging.getLogger(name).getEffectiveLevel() == max(before, logging.ERROR)
