"""How an outgoing request ends: by what the server answers, by when, and by where the URL leads."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from app.core.vocabulary import AttemptOutcome
from app.integrations import connections
from app.integrations.http import Limits, post, retry_after
from tests.support.http_server import Answer, HttpServer, http_server

pytestmark = pytest.mark.slow

ACCEPTED, RETRY, DEAD = AttemptOutcome.ACCEPTED, AttemptOutcome.RETRY, AttemptOutcome.DEAD
HERE = Limits(timeout_seconds=10, allows_private=True)
SOON = Limits(timeout_seconds=0.4, allows_private=True)  # for what never answers
AMPLE = Limits(timeout_seconds=2, allows_private=True)  # reached only by what never ends


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server
    connections.pools().clear()


@pytest.mark.parametrize(
    ("status", "result"),
    [
        *((status, ACCEPTED) for status in (200, 201, 202, 204, 299)),
        *((status, RETRY) for status in (408, 425, 429, 500, 502, 503, 504, 599)),
        *((status, DEAD) for status in (301, 302, 307, 400, 401, 403, 404, 410, 422)),
    ],
)
def test_a_status_decides_what_follows(server: HttpServer, status: int, result: AttemptOutcome) -> None:
    server.script(Answer(status))
    outcome = post(f"{server.url}/hook", json={}, limits=HERE)
    assert (outcome.result, outcome.status_code, outcome.is_address_gone) == (result, status, False)
    assert (outcome.error is None) == (result is ACCEPTED)


def test_a_redirect_is_not_followed(server: HttpServer) -> None:
    server.script(Answer(307, headers={"Location": f"{server.url}/elsewhere"}))
    assert post(f"{server.url}/hook", json={}, limits=HERE).result is DEAD
    assert [request.path for request in server.requests] == ["/hook"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("120", 120), ("9" * 400, 86_400), ("soon", None), ("-1", None), ("1.5", None), ("", None), ("²", None)],
)
def test_retry_after_says_in_how_many_seconds(server: HttpServer, value: str, seconds: float | None) -> None:
    server.script(Answer(429, headers={"Retry-After": value}))
    assert post(server.url, json={}, limits=HERE).retry_after_seconds == seconds


@pytest.mark.parametrize(("away", "least", "most"), [(600, 500, 600), (-600, 0, 0)])
def test_retry_after_may_be_a_date(server: HttpServer, away: int, least: float, most: float) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=away), usegmt=True)
    server.script(Answer(503, headers={"Retry-After": date}))
    seconds = post(server.url, json={}, limits=HERE).retry_after_seconds
    assert seconds is not None
    assert least <= seconds <= most


@pytest.mark.parametrize("hours", [-1, 1])
def test_such_a_date_is_read_by_the_clock_of_whoever_sent_it(server: HttpServer, hours: int) -> None:
    sent_at = datetime.now(UTC) + timedelta(hours=hours)
    until = sent_at + timedelta(minutes=5)
    headers = {"Date": format_datetime(sent_at, usegmt=True), "Retry-After": format_datetime(until, usegmt=True)}
    assert retry_after(headers) == 300


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 24 Nov 2026 10:00:00 -0000"])
def test_without_a_date_that_can_be_read_our_own_clock_counts(date: str) -> None:
    until = datetime.now(UTC) + timedelta(minutes=5)
    seconds = retry_after({"Date": date, "Retry-After": format_datetime(until, usegmt=True)})
    assert seconds is not None
    assert 0 <= seconds <= 300


def test_an_address_that_is_silent_leaves_time_for_the_next(
    server: HttpServer, silent_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo

    def two_addresses(host: str, port: int, *others: Any, **options: Any) -> list[Any]:
        hosts = [silent_address, "127.0.0.1"] if host == "pager.example" else [host]
        return [found for address in hosts for found in look_up(address, port, *others, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    limits = Limits(timeout_seconds=4, allows_private=True)
    assert post(f"http://pager.example:{server.port}/", json={}, limits=limits).result is ACCEPTED


@pytest.fixture
def silent_address(server: HttpServer) -> Iterator[str]:
    """One on which nobody takes connections at the server's port, nor refuses them: its queue is full."""
    address = "127.0.0.2"
    with ExitStack() as stack:
        deaf = stack.enter_context(socket.socket())
        deaf.bind((address, server.port))
        deaf.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((address, server.port))
        yield address


def test_only_the_codes_that_a_channel_names_mean_that_an_address_is_gone(server: HttpServer) -> None:
    limits = Limits(allows_private=True, gone=frozenset({410}))
    server.script(Answer(410), Answer(404))
    assert [post(server.url, json={}, limits=limits).is_address_gone for _ in range(2)] == [True, False]


@pytest.mark.parametrize("fault", ["hang", "drip_head"])
def test_a_server_that_does_not_answer_in_time_is_left(server: HttpServer, fault: str) -> None:
    server.script(Answer(fault=fault))  # type: ignore[arg-type]  # one of the faults
    outcome = post(server.url, json={}, limits=SOON)
    assert (outcome.result, outcome.status_code, outcome.error) == (RETRY, None, "No answer within 0.4 s.")


def test_an_answer_that_never_ends_accepts_nothing(server: HttpServer) -> None:
    server.script(*(Answer(status, fault="drip_body") for status in (202, 500, 404)))
    assert [post(server.url, json={}, limits=AMPLE).result for _ in range(3)] == [RETRY, RETRY, DEAD]


CHUNKED = b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\nshort", id="body"),
        pytest.param(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n", id="body that never began"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nshort", id="body in HTTP/1.0"),
        pytest.param(CHUNKED, id="no chunk"),
        pytest.param(CHUNKED + b"5\r\nsho", id="chunk"),
        pytest.param(CHUNKED + b"5\r\nshort\r\n", id="chunk that is not the last"),
        pytest.param(CHUNKED + b"5\r\nshort\r\n0", id="size of a chunk"),
        pytest.param(b"HTTP/1.1 202 Acc", id="status line"),
        pytest.param(b"HTTP/1.1 202 Accepted\r\n", id="head before the first header"),
        pytest.param(b"HTTP/1.1 202 Accepted\r\nContent-Le", id="name of a header"),
        pytest.param(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0", id="value of a header"),
        pytest.param(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n", id="head after a header"),
        pytest.param(b"HTTP/1.1 404 Not", id="status line of a refusal"),
    ],
)
def test_an_answer_that_ends_early_is_tried_again(server: HttpServer, answer: bytes) -> None:
    server.script(Answer(fault="raw", body=answer))
    outcome = post(server.url, json={}, limits=HERE)
    assert (outcome.result, outcome.status_code) == (RETRY, None)
    assert outcome.error


@pytest.mark.parametrize(("status", "result"), [(404, DEAD), (503, RETRY)])
def test_a_refusal_counts_even_if_its_body_ends_early(server: HttpServer, status: int, result: AttemptOutcome) -> None:
    answer = f"HTTP/1.1 {status} No\r\nContent-Length: 100\r\n\r\nshort".encode()
    server.script(Answer(fault="raw", body=answer))
    outcome = post(server.url, json={}, limits=HERE)
    assert (outcome.result, outcome.status_code) == (result, status)
    assert outcome.error == f"The server answered {status}: short"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nall of it", "all of it", id="HTTP/1.0"),
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it", "all of it", id="Connection: close"),
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "", id="empty"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", "", id="status without a body"),
        pytest.param(CHUNKED + b"3\r\nall\r\n6\r\n of it\r\n0\r\n\r\n", "all of it", id="chunks"),
        pytest.param(CHUNKED + b"3\r\nall\r\n0\r\n", "all", id="chunks without the last empty line"),
    ],
)
def test_an_answer_without_a_length_ends_where_it_says(server: HttpServer, answer: bytes, text: str) -> None:
    server.script(Answer(fault="raw", body=answer))
    outcome = post(server.url, json={}, limits=Limits(allows_private=True, answer_characters=100))
    assert (outcome.result, outcome.answer) == (ACCEPTED, text)


def test_a_connection_that_breaks_is_tried_again(server: HttpServer) -> None:
    server.script(Answer(fault="reset"))
    outcome = post(server.url, json={}, limits=HERE)
    assert (outcome.result, outcome.status_code) == (RETRY, None)
    assert post(server.url, json={}, limits=HERE).result is ACCEPTED


def test_where_nobody_listens_it_is_tried_again(deaf_port: int) -> None:
    outcome = post(f"http://127.0.0.1:{deaf_port}/secret", json={}, limits=HERE)
    assert outcome.result is RETRY
    assert "refused" in str(outcome.error)


def test_of_a_large_answer_only_the_beginning_is_read(server: HttpServer) -> None:
    limits = Limits(allows_private=True, answer_characters=500)
    server.script(Answer(200, "a" * 5_000_000))
    assert post(server.url, json={}, limits=limits).answer == "a" * 500
    assert post(server.url, json={}, limits=limits).answer == ""


def test_an_error_says_what_the_server_said_but_not_the_path(server: HttpServer) -> None:
    server.script(Answer(400, "no such hook: /services/T0/B0?key=hush \n" + "x" * 5000))
    error = post(f"{server.url}/services/T0/B0?key=hush", json={}, limits=HERE).error
    assert error is not None
    assert error.startswith("The server answered 400: no such hook: …")
    assert not {"hush", "T0"}.intersection(error.replace("/", " ").split())
    assert len(error) <= 1000


@pytest.mark.parametrize("part", ["/services/T0/B0?key=hush", "/services/T0/B0", "key=hush"])
def test_an_error_repeats_no_part_of_the_url(server: HttpServer, part: str) -> None:
    server.script(Answer(400, f"no {part} here"))
    error = post(f"{server.url}/services/T0/B0?key=hush", json={}, limits=HERE).error
    assert error == "The server answered 400: no … here"


def test_an_error_of_the_connection_repeats_no_part_of_the_url(server: HttpServer) -> None:
    server.script(Answer(fault="echo"))
    outcome = post(f"{server.url}/services/T0/B0?key=hush", json={}, limits=HERE)
    assert outcome.result is RETRY
    assert "POST … HTTP/1.1" in str(outcome.error)
    assert not any(part in str(outcome.error) for part in ("hush", "T0", "B0"))


@pytest.mark.parametrize(
    ("answer", "limits", "found"),
    [
        (Answer(201, {"sid": "SM1"}), Limits(allows_private=True, id_field="sid"), "SM1"),
        (Answer(201, "no JSON"), Limits(allows_private=True, id_field="sid"), None),
        (Answer(201, "[1]"), Limits(allows_private=True, id_field="sid"), None),
        (Answer(201, {"sid": "x" * 300}), Limits(allows_private=True, id_field="sid"), "x" * 255),
        (Answer(201, headers={"X-Id": "7"}), Limits(allows_private=True, id_header="X-Id"), "7"),
        (Answer(201), Limits(allows_private=True, id_header="X-Id"), None),
    ],
)
def test_the_providers_id_is_kept(server: HttpServer, answer: Answer, limits: Limits, found: str | None) -> None:
    server.script(answer)
    assert post(server.url, json={}, limits=limits).provider_id == found


def test_json_forms_bodies_and_credentials_arrive(server: HttpServer) -> None:
    post(f"{server.url}/a?b=1", json={"t": "ü"}, limits=HERE)
    post(server.url, data={"To": "+1", "Body": "ü & co"}, auth=("me", "pass"), limits=HERE)
    post(server.url, data=b"\x00raw", headers={"X-Own": "1"}, limits=HERE)
    first, form, raw = server.requests
    assert (first.path, first.json(), first.headers["content-type"]) == ("/a?b=1", {"t": "ü"}, "application/json")
    assert form.form() == {"To": "+1", "Body": "ü & co"}
    assert form.headers["authorization"] == "Basic bWU6cGFzcw=="
    assert (raw.body, raw.headers["x-own"], raw.headers["host"]) == (b"\x00raw", "1", f"127.0.0.1:{server.port}")


@pytest.mark.parametrize("headers", [{"X-A": "a\r\nb: c"}, {"X-A\n": "a"}])
def test_a_header_that_cannot_be_sent_is_final(server: HttpServer, headers: dict[str, str]) -> None:
    assert post(server.url, json={}, headers=headers, limits=HERE).result is DEAD
    assert server.requests == []


def test_the_environments_proxies_are_not_asked(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert post(server.url, json={}, limits=HERE).result is ACCEPTED


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_a_url_to_this_machine_is_refused_however_it_is_written(server: HttpServer, host: str) -> None:
    outcome = post(f"http://{host}:{server.port}/", json={})
    assert (outcome.result, outcome.status_code) == (DEAD, None)
    assert "private address" in str(outcome.error)
    assert server.requests == []


@pytest.mark.parametrize(
    "url",
    [
        *("", "hooks.example", "/path", "ftp://hooks.example/", "file:///etc/passwd", "http://", "https:///x"),
        *("http://me:hush@hooks.example/", "http://hooks.example/a b", "http://hooks.example/\r\nX: y"),
        *("http://[::1/", "http://hooks.example:99999999/", f"http://hooks.example/{'x' * 2048}"),
    ],
)
def test_what_is_no_url_is_final_and_not_repeated(url: str) -> None:
    outcome = post(url, json={}, limits=HERE)
    assert outcome.result is DEAD
    assert "hush" not in str(outcome.error)


def test_a_name_that_does_not_resolve_is_tried_again() -> None:
    outcome = post("https://nobody.invalid/hook", json={}, limits=HERE)
    assert (outcome.result, outcome.status_code) == (RETRY, None)


def test_a_name_is_connected_to_at_its_address_and_asked_by_its_name(server: HttpServer) -> None:
    assert post(f"http://localhost:{server.port}/", json={}, limits=HERE).result is ACCEPTED
    assert server.requests[0].headers["host"] == f"localhost:{server.port}"


@pytest.fixture
def trusting(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Connections that trust the test's certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    connections.pools.cache_clear()
    yield
    connections.pools().clear()
    connections.pools.cache_clear()


@pytest.mark.usefixtures("trusting")
def test_a_certificate_must_be_that_of_the_name_and_not_of_the_address(certificate: Path) -> None:
    with http_server(certificate=certificate) as server:
        assert post(server.url, json={}, limits=HERE).result is ACCEPTED
        assert post(f"https://localhost:{server.port}/", json={}, limits=HERE).result is RETRY
        assert len(server.requests) == 1


def test_a_certificate_that_nobody_vouches_for_is_not_accepted(certificate: Path) -> None:
    with http_server(certificate=certificate) as server:
        assert post(server.url, json={}, limits=HERE).result is RETRY
        assert server.requests == []


@pytest.mark.usefixtures("trusting")
def test_the_deadline_also_ends_an_exchange_over_tls(certificate: Path) -> None:
    with http_server([Answer(fault="drip_head")], certificate=certificate) as server:
        assert post(server.url, json={}, limits=SOON).result is RETRY
