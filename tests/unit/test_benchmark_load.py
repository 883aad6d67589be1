"""The benchmark's clients: what they send, what they count, and when they stop."""

import itertools

from benchmarks.load import Group, Timing, drive
from benchmarks.wire import get, post
from tests.support.http_server import Answer, http_server

LONG = Timing(seconds=30.0, warm_up=0.0)
SHORT = Timing(seconds=0.3, warm_up=0.0)


def test_every_request_is_sent_once_and_a_stream_that_ends_ends_the_run() -> None:
    with http_server() as server:
        run = drive(server.port, [Group(iter([post(f"/{n}", "token", {"n": n}) for n in range(20)]), 4)], LONG)
    [sample] = run.samples
    assert (sample.answers.total(), sample.errors, len(sample.latencies)) == (20, 0, 20)
    assert sample.seconds < 10
    assert sorted(asked.json()["n"] for asked in server.requests) == list(range(20))
    assert {asked.headers["authorization"] for asked in server.requests} == {"Bearer token"}


def test_an_answer_in_several_pieces_is_one_answer() -> None:
    with http_server([Answer(body=b"x" * 1_000_000)] * 3) as server:
        [sample] = drive(server.port, [Group(iter([get("/")] * 3), 1)], LONG).samples
    assert dict(sample.answers) == {"200": 3, "unanswered": 0}


def test_what_fails_is_counted_and_does_not_end_the_run() -> None:
    script = [Answer(status=500), Answer(fault="reset"), Answer(status=201), Answer(status=409)]
    with http_server(script) as server:
        [sample] = drive(server.port, [Group(iter([get("/")] * 5), 1)], LONG).samples
    assert dict(sample.answers) == {"500": 1, "broken": 1, "201": 1, "409": 1, "200": 1, "unanswered": 0}
    assert sample.errors == 3


def test_it_stops_when_its_time_is_over_and_groups_are_counted_apart() -> None:
    with http_server() as server:
        groups = [Group(itertools.repeat(get("/often")), 2), Group(itertools.repeat(get("/seldom")), 1, 0.1)]
        often, seldom = drive(server.port, groups, SHORT).samples
    assert often.seconds == seldom.seconds
    assert often.rate > seldom.rate > 0
    assert len(seldom.latencies) <= 4
