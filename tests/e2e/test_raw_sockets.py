"""Whatever bytes arrive: no answer is a defect, no process ends, and the next request is answered."""

import json
import random
import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests

from tests.e2e.conftest import LiveServer

pytestmark = pytest.mark.slow

CRLF = b"\r\n"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: closing resets the connection
SEEDS = range(4)
CASES_OF_A_SEED = 96
PATHS = [
    *(b"/health", b"/v1/alerts/elastic", b"/v1/auth/login/access-token", b"/v1/incidents", b"/v1/users/me"),
    *(b"/p/1.2.3.x", b"/reset-password", b"/v1/openapi.json", b"/docs", b"/nothing"),
]
METHODS = [*b"GET POST PUT PATCH DELETE HEAD OPTIONS TRACE CONNECT BREW get".split(b" "), b""]
LINES = [
    *(b"", b"GET", b"GET /", b"GET / HTTP/9.9", b"GET / HTTP/1", b"GET  /  HTTP/1.1", b"\x00", b"\xff\xfe / HTTP/1.1"),
    *(
        b"GET http://[::1 HTTP/1.1",
        b"GET //evil.example/%00 HTTP/1.1",
        b"GET /%zz HTTP/1.1",
        b"GET /../../etc HTTP/1.1",
    ),
    *(
        b"GET * HTTP/1.1",
        b"GET /v1/users/me?\xff HTTP/1.1",
        b"GET /\xff\xfe HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"GET /health HTTP/1.0",
        b"GET /health?" + b"a=1&" * 3000 + b" HTTP/1.1",
    ),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of TLS
]
HEADERS = [
    *(
        b"Host",
        b"Host:",
        b": x",
        b"Host: a\x00b",
        b"Host: [::1",
        b"Host: x]:y@/",
        b"Host: x\rY: z",
        b"X : y",
        b" folded",
        b"\tfolded",
        b"X: \xff\xfe",
    ),
    *(b"Content-Length: -1", b"Content-Length: 99999999999999999999", b"Content-Length: 5, 6", b"Content-Length: x"),
    *(b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: 5\r\nTransfer-Encoding: chunked"),
    *(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: identity"),
    *(
        b"Expect: 100-continue",
        b"Expect: nonsense",
        b"Connection: close, upgrade",
        b"Upgrade: h2c",
        b"Upgrade: websocket",
    ),
    *(
        b"Authorization: Bearer",
        b"Authorization: Basic \xff",
        b"X-Request-ID: " + b"a" * 5000,
        b"Cookie: " + b"a=b;" * 500,
    ),
    *(b"X-Forwarded-For: ,,\x00,", b"X-Forwarded-For: " + b"1.2.3.4," * 500, b"X-Forwarded-Proto: \xff"),
    *(b"Content-Type: application/json; charset=\xff", b"Content-Type: multipart/form-data; boundary="),
]
HUGE = [b"X-Huge: " + b"a" * 70_000, CRLF.join(b"X-%d: y" % number for number in range(400)), b"a" * 40_000]
CHUNKS = [
    *(
        b"5\r\nhello\r\n0\r\n\r\n",
        b"-1\r\n\r\n",
        b"zz\r\nhello\r\n",
        b"ffffffffffffffff\r\nx",
        b"5\r\nhel",
        b"5\nhello\n0\n\n",
    ),
    *(
        b"5;" + b"e" * 50_000,
        b"0\r\nX-Trailer: " + b"t" * 50_000,
        b"5\r\nhelloXX0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"\x00",
    ),
]
BODIES = [b"", b"{", b"\x00" * 100, b"\xff" * 100, b'{"a": ' * 2000, b"a=%zz&b=\x00", b"null", b"[" * 5000]
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r]*\r\n(.*?)\r\n\r\n", re.DOTALL)
DOCUMENTED = {408: {"request_timeout"}, 503: {"overloaded"}}


def whole(random_: random.Random, *, path: bytes = b"", body: bytes = b"") -> bytes:
    """A request as it should be."""
    head = b"POST " + (path or random_.choice(PATHS)) + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def odd_line(random_: random.Random) -> bytes:
    line = random_.choice([*LINES, random_.choice(METHODS) + b" " + random_.choice(PATHS) + b" HTTP/1.1"])
    return line + CRLF + b"Host: x\r\n\r\n"


def odd_header(random_: random.Random) -> bytes:
    chosen = CRLF.join(random_.sample(HEADERS, random_.randint(1, 4)))
    return random_.choice(METHODS) + b" " + random_.choice(PATHS) + b" HTTP/1.1\r\n" + chosen + CRLF * 2 + b"hello"


def huge_header(random_: random.Random) -> bytes:
    return b"GET " + random_.choice(PATHS) + b" HTTP/1.1\r\nHost: x\r\n" + random_.choice(HUGE) + CRLF * 2


def bad_chunks(random_: random.Random) -> bytes:
    head = b"POST " + random_.choice(PATHS) + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(random_.choices(CHUNKS, k=random_.randint(1, 3)))


def odd_body(random_: random.Random) -> bytes:
    return whole(random_, body=random_.choice(BODIES))


def mutated(random_: random.Random) -> bytes:
    """A whole request in which some bytes are others."""
    sent = bytearray(whole(random_, body=b'{"username": "a@b.example", "password": "x"}'))
    for _ in range(random_.randint(1, 12)):
        sent[random_.randrange(len(sent))] = random_.choice([0, 10, 13, 32, 58, 127, 255, random_.randrange(256)])
    return bytes(sent)


def pipelined(random_: random.Random) -> bytes:
    """Whole requests with garbage among them."""
    made = [random_.choice(KINDS[:-1])(random_) if random_.random() < 0.4 else whole(random_) for _ in range(8)]
    return b"".join(made)


def garbage(random_: random.Random) -> bytes:
    return random_.randbytes(random_.randint(1, 3000))


KINDS: list[Callable[[random.Random], bytes]] = [
    *(odd_line, odd_header, huge_header, bad_chunks, odd_body, mutated, garbage, pipelined),
]


def exchange(server: LiveServer, sent: bytes, random_: random.Random) -> bytes:
    """Send in one of several manners. Returns what was answered."""
    address = ("127.0.0.1", int(server.env["PORT"]))
    with socket.create_connection(address, timeout=10) as connection, suppress(OSError):
        manner = random_.choice(["at once", "at once", "slowly", "half", "reset", "deaf"])
        if manner == "slowly":
            for piece in _pieces(sent):
                connection.sendall(piece)
                time.sleep(0.01)
        else:
            connection.sendall(sent[: len(sent) // 2] if manner == "half" else sent)
        if manner == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            return b""
        if manner == "deaf":
            return b""
        return _answer(connection)
    return b""


def _pieces(sent: bytes) -> Iterator[bytes]:
    size = max(1, len(sent) // 10)
    return (sent[start : start + size] for start in range(0, len(sent), size))


def _answer(connection: socket.socket) -> bytes:
    """What comes until nothing more does: the other side may wait for the rest of a request."""
    connection.settimeout(0.2)
    received = b""
    with suppress(OSError):
        while piece := connection.recv(65536):
            received += piece
    return received


def require_no_defect(received: bytes, sent: bytes) -> Counter[int]:
    """Each answer is one that is documented. Returns their statuses."""
    found: Counter[int] = Counter()
    for match in STATUS.finditer(received):
        status = int(match[1])
        found[status] += 1
        if status >= 500 or status in DOCUMENTED:
            body = received[match.end() :].partition(b"HTTP/1.1 ")[0]
            code = json.loads(body)["code"] if body.startswith(b"{") else body
            assert code in DOCUMENTED.get(status, ()), (status, sent[:500], received[:1000])
    return found


@pytest.fixture
def server_settings() -> dict[str, str]:
    return {"WEB_CONCURRENCY": "2"}


def test_no_bytes_break_the_service(live_server: LiveServer, tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process(live_server.pid).children()}
    statuses: Counter[int] = Counter()
    for seed in SEEDS:
        random_ = random.Random(seed)
        for number in range(CASES_OF_A_SEED):
            sent = KINDS[number % len(KINDS)](random_)
            statuses += require_no_defect(exchange(live_server, sent, random_), sent)
        assert requests.get(f"{live_server.url}/health", timeout=30).status_code == 200
    assert {child.pid for child in psutil.Process(live_server.pid).children()} == before
    assert {400, 401, 404, 422, 431} <= statuses.keys()  # it was heard, in many ways
    logged = (tmp_path / "service.log").read_text()
    assert "request_failed" not in logged
    assert "Traceback" not in logged


def test_a_body_that_stalls_holds_nobody_up(live_server: LiveServer) -> None:
    """Many of them, more than there are threads: whoever sends a whole request is answered meanwhile."""
    head = b"POST /v1/auth/login/access-token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    address = ("127.0.0.1", int(live_server.env["PORT"]))
    stalled = [socket.create_connection(address, timeout=10) for _ in range(100)]
    try:
        for connection in stalled:
            connection.sendall(head + b'Content-Length: 1000\r\n\r\n{"username": ')
        for _ in range(20):
            assert requests.get(f"{live_server.url}/health", timeout=5).status_code == 200
    finally:
        for connection in stalled:
            connection.close()
