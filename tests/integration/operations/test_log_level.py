"""The level of the log changes without a restart: administrators set it, and every process follows."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError, ProgrammingError

from app.core.config import Settings
from app.core.vocabulary import LogLevel
from app.crud import crud_log_level
from app.crud.clock import now
from app.db.asking import ask
from app.db.session import Database, is_unavailable
from app.services.operations import log_level_service
from app.worker.log_level import follower_of
from tests.support.answers import problem
from tests.support.api import Api
from tests.support.audited import logged
from tests.support.contention import meeting_at
from tests.support.logs import configured, events, root_level
from tests.support.world import Clock, Person

WARNING = LogLevel.WARNING
NOT_SET = {"until": None, "set_by": None, "set_by_name": None, "set_at": None}
CONFIGURED = {"level": "WARNING", "configured_level": "WARNING", **NOT_SET}


@pytest.fixture
def api(client: TestClient, admin: Person) -> Api:
    return admin.on(client)


@pytest.fixture
def lines(settings: Settings) -> Iterator[io.StringIO]:
    """The lines of a process that is configured to WARNING."""
    with configured(settings, WARNING) as lines:
        yield lines


def test_a_level_can_be_set_while_another_is_being_deleted(own_database: Database) -> None:
    with own_database.transaction() as session:
        crud_log_level.put(session, default=WARNING, at=now(session))

    def put() -> LogLevel:
        with own_database.transaction() as session:
            return crud_log_level.put(session, default=LogLevel.ERROR, at=now(session)).level

    assert meeting_at(own_database, "DELETE FROM set_log_level", [put]) == [LogLevel.ERROR]


def test_without_a_level_that_is_set_the_setting_counts(api: Api) -> None:
    assert api.call("GET /log-level") == CONFIGURED


@pytest.mark.parametrize("word", ["DEBUG", "debug", "Debug"])
def test_a_level_is_set_for_an_hour_unless_said_otherwise(api: Api, admin: Person, clock: Clock, word: str) -> None:
    found = api.call("PUT /log-level", {"level": word})
    assert found == api.call("GET /log-level")
    assert (found["level"], found["configured_level"], found["set_by"]) == ("DEBUG", "WARNING", admin.id)
    assert found["set_by_name"] == "admin"
    clock.advance(minutes=59)
    assert api.call("GET /log-level")["level"] == "DEBUG"
    clock.advance(minutes=1)
    assert api.call("GET /log-level") == CONFIGURED


def test_without_minutes_a_level_holds_until_it_is_reset(api: Api, clock: Clock) -> None:
    assert api.call("PUT /log-level", {"level": "ERROR", "minutes": None})["until"] is None
    clock.advance(days=400)
    assert api.call("GET /log-level")["level"] == "ERROR"
    assert api.call("DELETE /log-level") == api.call("DELETE /log-level") == api.call("GET /log-level") == CONFIGURED


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        ({"level": "loud"}, "/level", 'level "LOUD" is not valid. Use DEBUG, INFO, WARNING or ERROR.'),
        ({"level": 10}, "/level", "level 10 is not valid. Use DEBUG, INFO, WARNING or ERROR."),
        ({}, "/level", "level is required."),
        ({"level": "DEBUG", "minutes": 0}, "/minutes", "minutes must be at least 1, not 0."),
        ({"level": "DEBUG", "minutes": 1441}, "/minutes", "minutes must be at most 1440, not 1441."),
        ({"level": "DEBUG", "minutes": 1.5}, "/minutes", "minutes must be a whole number."),
        ({"level": "DEBUG", "until": None}, "/until", "until is not a known field. Remove it, or check its spelling."),
    ],
)
def test_a_bad_level_is_refused_in_a_sentence(api: Api, body: Any, pointer: str, said: str) -> None:
    refusal = problem(api.send("PUT /log-level", body), 422, pointer=pointer)
    assert [error["message"] for error in refusal["errors"]] == [said]
    assert api.call("GET /log-level") == CONFIGURED


@pytest.mark.parametrize("line", ["GET /log-level", "PUT /log-level", "DELETE /log-level"])
def test_only_administrators_see_and_set_it(client: TestClient, user: Person, line: str) -> None:
    body = {"level": "DEBUG"} if line.startswith("PUT") else None
    problem(user.on(client).send(line, body), 403)


def test_the_audit_log_says_what_the_level_was_and_became(api: Api, clock: Clock) -> None:
    first = api.call("PUT /log-level", {"level": "DEBUG", "minutes": 30})
    api.call("PUT /log-level", {"level": "INFO", "minutes": None})
    api.call("PUT /log-level", {"level": "INFO", "minutes": None})
    api.call("DELETE /log-level")
    api.call("PUT /log-level", {"level": "ERROR", "minutes": 1})
    clock.advance(minutes=2)
    api.call("PUT /log-level", {"level": "DEBUG", "minutes": 1})
    clock.advance(minutes=2)
    api.call("DELETE /log-level")
    found = logged(api, object_type="settings", object_id="LOG_LEVEL")
    assert [
        (entry["action"], entry["changes"]["level"]["from"], entry["changes"]["level"]["to"]) for entry in found
    ] == [
        ("log_level.set", "WARNING", "DEBUG"),
        ("log_level.set", "WARNING", "ERROR"),
        ("log_level.reset", "INFO", "WARNING"),
        ("log_level.set", "DEBUG", "INFO"),
        ("log_level.set", "WARNING", "DEBUG"),
    ]
    told = found[3]["changes"]["until"]
    assert (told["from"].replace("+00:00", "Z"), told["to"]) == (first["until"], None)


def test_every_process_follows_and_says_so(
    api: Api, admin: Person, database: Database, clock: Clock, lines: io.StringIO
) -> None:
    """Two followers share this test's process: each believes that the level is still the configured one."""
    processes = [follower_of(database, WARNING), follower_of(database, WARNING)]
    found = api.call("PUT /log-level", {"level": "DEBUG", "minutes": 5})
    for process in processes:
        process.look()
        process.look()
    assert root_level() == "DEBUG"
    told = [event for event in events(lines) if event["event"] == "log_level_changed"]
    assert len(told) == 2
    assert (told[0]["from_level"], told[0]["to_level"], told[0]["by"]) == ("WARNING", "DEBUG", admin.id)
    assert told[0]["until"].replace("+00:00", "Z") == found["until"]
    clock.advance(minutes=5)
    processes[0].look()
    assert root_level() == "WARNING"


def test_how_long_is_left_is_told_by_the_clock_of_the_database(api: Api, database: Database, clock: Clock) -> None:
    clock.advance(hours=-3)  # what a process's own clock shows does not count
    api.call("PUT /log-level", {"level": "DEBUG", "minutes": 5})
    clock.advance(minutes=2)
    followed = log_level_service.followed(database)
    assert followed is not None
    assert followed.seconds_left == pytest.approx(180, abs=1)


def test_a_question_past_the_session_fails_as_one_of_a_session_would(
    own_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ProgrammingError, match="nowhere"):
        ask(own_database, "SELECT FROM nowhere")
    with pytest.raises(OperationalError, match="closed the connection") as lost:
        ask(own_database, "SELECT pg_terminate_backend(pg_backend_pid())")
    assert is_unavailable(lost.value)
    assert ask(own_database, "SELECT 1") == (1,)
    assert own_database.connections_in_use() == 0
    assert caplog.records == []


def test_a_question_past_the_session_leaves_no_autocommit(own_database: Database) -> None:
    assert ask(own_database, "SELECT 1 WHERE false") is None
    with own_database.transaction() as session:
        assert session.connection().connection.dbapi_connection.autocommit is False  # type: ignore[union-attr]  # psycopg2's
