"""Shows the metrics of a worker that serves nothing else: `GET /metrics` on `WORKER_METRICS_PORT`."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread
from typing import Any

import structlog

from app.core.errors import ConfigurationError, NotAuthenticated, PermissionDenied
from app.services.operations import metrics_service
from app.utils.service_locator import Services

log = structlog.get_logger()

PLAIN = "text/plain; charset=utf-8"
SIDE_BY_SIDE = 8


class MetricsServer(ThreadingHTTPServer):
    """Answers a few requests side by side, and hangs up on more."""

    daemon_threads = True

    def __init__(self, services: Services, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.services = services
        self._free = BoundedSemaphore(SIDE_BY_SIDE)
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base's names
        """A client that breaks off is nobody's concern."""
        log.info("worker_metrics_interrupted")


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = 5.0

    def do_GET(self) -> None:
        services, headers = self.server.services, self.headers
        if self.path.partition("?")[0] != "/metrics":
            self._answer(HTTPStatus.NOT_FOUND, b"This worker only has /metrics.\n")
            return
        try:
            metrics_service.require_token(services.settings, headers.get("Authorization", ""))
        except NotAuthenticated as refusal:
            self._answer(HTTPStatus.UNAUTHORIZED, f"{refusal}\n".encode())
        except PermissionDenied as refusal:
            self._answer(HTTPStatus.FORBIDDEN, f"{refusal}\n".encode())
        else:
            page = metrics_service.page(services.gauges, services.database, headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, page.body, page.media_type)

    def version_string(self) -> str:
        """What the header `Server` says: nothing about Python."""
        return "worker"

    def log_message(self, *_: Any) -> None:
        """Scrapes are not worth a line."""

    def _answer(self, status: HTTPStatus, body: bytes, media_type: str = PLAIN) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
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
