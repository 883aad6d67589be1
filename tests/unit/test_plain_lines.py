"""The lines of frequent events are in the same place and form as all others."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from app.core.config import Settings
from app.core.logging import configure_logging
from app.core.plain_lines import PlainLines
from app.core.vocabulary import Environment, Severity

HAPPENED: list[dict[str, Any]] = [
    {"incident_id": 7, "severity": Severity.HIGH, "source": "elastic"},
    {"path": "/v1/incidents", "ms": 1.5, "is_late": True, "left": None},
    {"said": 'two words and a "quote"', "also": "a=b"},
    {"path": "/v1/ä"},
]


@pytest.fixture
def stream(settings: Settings, request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What is written to the handler of the service, in the form of an environment."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure_logging(settings.model_copy(update={"environment": Environment(request.param), "log_level": "INFO"}))
    [handler] = [handler for handler in root.handlers if type(handler) is logging.StreamHandler]
    lines = io.StringIO()
    handler.setStream(lines)
    yield lines
    configure_logging(settings)
    root.handlers[:] = before[0]
    root.setLevel(before[1])


@pytest.mark.parametrize("stream", ["production", "development"], indirect=True)
@pytest.mark.parametrize("fields", HAPPENED)
def test_a_plain_line_has_the_form_of_every_other(stream: io.StringIO, fields: dict[str, Any]) -> None:
    with bound_contextvars(batch="3f9a"):
        structlog.get_logger("app.lines").info("incident_moved", **fields)
        PlainLines("app.lines").info("incident_moved", fields)
    theirs, ours = stream.getvalue().splitlines()
    if ours.startswith("{"):
        assert {**json.loads(ours), "timestamp": ""} == {**json.loads(theirs), "timestamp": ""}
    else:
        assert ours.partition(" ")[2] == theirs.partition(" ")[2]


@pytest.mark.parametrize("stream", ["production", "development"], indirect=True)
def test_a_plain_line_has_the_time(stream: io.StringIO) -> None:
    times = [datetime.now(UTC)]
    for _ in range(2):
        PlainLines("app.lines").info("incident_moved", {"incident_id": 1})
        times.append(datetime.now(UTC))
    for line, (before, after) in zip(stream.getvalue().splitlines(), pairwise(times), strict=True):
        shown = json.loads(line)["timestamp"] if line.startswith("{") else line.partition(" ")[0]
        assert len(shown) == len("2026-11-29T20:02:31.123456Z")
        assert before <= datetime.fromisoformat(shown) <= after


@pytest.mark.parametrize("stream", ["production"], indirect=True)
def test_what_is_no_text_breaks_no_line(stream: io.StringIO) -> None:
    PlainLines("app.lines").info("request_finished", {"path": "/\ud800"})
    assert stream.getvalue().isascii()
    assert json.loads(stream.getvalue())["path"] == "/\ud800"


@pytest.mark.parametrize("stream", ["production"], indirect=True)
def test_fields_that_are_whole_stay_as_they_are(stream: io.StringIO) -> None:
    with bound_contextvars(request_id="of the context"):
        PlainLines("app.lines").info_whole("request_finished", {"request_id": "its own"})
    assert json.loads(stream.getvalue())["request_id"] == "its own"
    logging.getLogger().setLevel(logging.WARNING)
    PlainLines("app.lines").info_whole("request_finished", {"request_id": "its own"})
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize("stream", ["production"], indirect=True)
def test_each_time_an_event_happened_has_its_line(stream: io.StringIO) -> None:
    PlainLines("app.lines").info("incident_moved", {"incident_id": 1}, {"incident_id": 2})
    PlainLines("app.lines").info("incident_moved")
    assert [json.loads(line)["incident_id"] for line in stream.getvalue().splitlines()] == [1, 2]


@pytest.mark.parametrize("stream", ["production"], indirect=True)
def test_no_line_is_written_below_the_level_of_the_log(stream: io.StringIO) -> None:
    logging.getLogger().setLevel(logging.WARNING)
    PlainLines("app.lines").info("incident_moved", {"incident_id": 1})
    assert stream.getvalue() == ""


@pytest.mark.parametrize("stream", ["development"], indirect=True)
def test_what_could_forge_a_line_is_quoted(stream: io.StringIO) -> None:
    PlainLines("app.lines").info("request_finished", {"path": "/a\nb\x1b[0m"})
    assert stream.getvalue().endswith("path='/a\\nb\\x1b[0m'\n")
