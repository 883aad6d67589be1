"""Shows the metrics of a worker that serves nothing else: `GET /metrics` on `WORKER_METRICS_PORT`."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader, RawIOBase
from threading import BoundedSemaphore, Lock, Thread
from time import monotonic
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

from app.core import metrics
from app.core.errors import ConfigurationError, NotAuthenticated, PermissionDenied
from app.services.operations import metrics_service
from app.utils.service_locator import Services

log = structlog.get_logger()

PLAIN = "text/plain; charset=utf-8"
SIDE_BY_SIDE = 8
HEAD_SECONDS, ANSWER_SECONDS = 5.0, 5.0  # for the whole of each
GIVE_WAY_SECONDS = 1.0


class MetricsServer(ThreadingHTTPServer):
    """Answers a few requests side by side. If all are busy, the oldest one that has not sent its head gives way."""

    daemon_threads = True

    def __init__(self, services: Services, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.services = services
        self._free = BoundedSemaphore(SIDE_BY_SIDE)
        self._reading: list[socket.socket] = []
        self._lock = Lock()
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self._drop_a_reading_one()
            if not self._free.acquire(timeout=GIVE_WAY_SECONDS):
                self.shutdown_request(request)
                return
        with self._lock:
            self._reading.append(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.has_read(request)
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base's names
        """A client that breaks off is nobody's concern."""
        log.info("worker_metrics_interrupted")

    def has_read(self, connection: socket.socket) -> bool:
        """Note that a head is complete. False if the connection had to give way before."""
        with self._lock:
            if connection not in self._reading:
                return False
            self._reading.remove(connection)
            return True

    def _drop_a_reading_one(self) -> None:
        with self._lock:
            if self._reading:
                with suppress(OSError):  # it has gone by itself
                    self._reading.pop(0).shutdown(socket.SHUT_RDWR)


class PunctualReads(RawIOBase):
    """Reads from a socket until a deadline, however slowly the bytes come."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._ends_at = monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        seconds = self._ends_at - monotonic()
        if seconds <= 0:
            raise TimeoutError
        self._connection.settimeout(seconds)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = HEAD_SECONDS

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = BufferedReader(PunctualReads(self.connection, HEAD_SECONDS))

    def parse_request(self) -> bool:
        is_read = super().parse_request() and self.server.has_read(self.connection)
        self.connection.settimeout(ANSWER_SECONDS)
        return is_read

    def do_GET(self) -> None:
        services, headers = self.server.services, self.headers
        if self.path.partition("?")[0] != "/metrics":
            self._answer(HTTPStatus.NOT_FOUND, b"This worker only has /metrics.\n")
            return
        try:
            with bound_contextvars(**self._sender()):
                metrics_service.require_token(services.settings, headers.get("Authorization", ""))
        except (NotAuthenticated, PermissionDenied) as refusal:
            metrics.AUTH_FAILURES.of("metrics_token").add()
            is_closed = isinstance(refusal, PermissionDenied)
            self._answer(HTTPStatus.FORBIDDEN if is_closed else HTTPStatus.UNAUTHORIZED, f"{refusal}\n".encode())
        else:
            page = metrics_service.page(services.gauges, services.database, headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, page.body, page.media_type)

    do_HEAD = do_GET  # noqa: N815 - the base's name

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the base refuses: a head that is not HTTP, and methods that have no `do_...` here."""
        is_method = code == HTTPStatus.NOT_IMPLEMENTED
        status = HTTPStatus.METHOD_NOT_ALLOWED if is_method else HTTPStatus(code)
        self._answer(status, f"{status.phrase}.\n".encode())

    def version_string(self) -> str:
        """What the header `Server` says: nothing about Python."""
        return "worker"

    def log_message(self, *_: Any) -> None:
        """Scrapes are not worth a line."""

    def _sender(self) -> dict[str, str]:
        return {"sender": self.client_address[0]} if self.server.services.settings.log_senders else {}

    def _answer(self, status: HTTPStatus, body: bytes, media_type: str = PLAIN) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def showing_metrics(services: Services) -> Iterator[None]:
    """Show the metrics while the block runs, if `WORKER_METRICS_PORT` is set. Raises ConfigurationError."""
    settings = services.settings
    if settings.worker_metrics_port is None:
        yield
        return
    try:
        server = MetricsServer(services, settings.host, settings.worker_metrics_port)
    except OSError as error:
        address = f"{settings.host}:{settings.worker_metrics_port}"
        raise ConfigurationError(f"WORKER_METRICS_PORT: cannot listen on {address}: {error.strerror}") from error
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    log.info("worker_metrics_shown", port=settings.worker_metrics_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
