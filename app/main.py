"""The application: middleware, routers, lifespan."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial

import structlog
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app import __version__
from app.api import capacity, docs, error_handlers, http_metrics, openapi, route_table, searching
from app.api.middleware.body_limit import BodyLimit, BodyLimits
from app.api.middleware.reach import AllowedHosts, HttpsOnly
from app.api.middleware.request_context import RequestContext
from app.api.middleware.request_limits import Quotas, RequestLimits
from app.api.middleware.security_headers import SecurityHeaders
from app.api.middleware.trailing_slash import TrailingSlash
from app.api.v1 import api
from app.api.v1.endpoints import health, metrics
from app.api.web import page_link, password_reset
from app.core import descriptors
from app.core.config import Settings, get_settings
from app.core.logging import configure_logging
from app.core.request_limits import counter_of
from app.core.settings.network import ANY
from app.core.source import SOURCES, SourceType
from app.core.vocabulary import Phase
from app.integrations.opentelemetry import recording
from app.schemas.health import WorkerHealth
from app.server.draining import drained
from app.utils.measuring import measuring
from app.utils.service_locator import Services, build_services, database_of, require_a_channel
from app.utils.startup import prepare, record_settings, settle, warn, warn_server
from app.worker import following_log_level, looking_out, working

log = structlog.get_logger()

MIB = 1024 * 1024
MAX_BODY_BYTES = MIB
# FastAPI's own spans would have paths and queries with secrets in them, and it knows nothing of the short ways.
NO_TELEMETRY = TelemetryConfig(tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False)
EXPOSED_HEADERS = ["Link", "X-Request-ID", "Idempotency-Replayed", "Retry-After", "RateLimit", "RateLimit-Policy"]


def create_app(
    settings: Settings | None = None, services: Services | None = None, sources: Iterable[SourceType] = SOURCES
) -> FastAPI:
    """The application of these settings; with `services` it starts and stops nothing itself."""
    settings = settings or get_settings()
    configure_logging(settings)
    app = FastAPI(
        title="Incident Management System",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # as FastAPI answers it, it is made on the event loop
        redirect_slashes=False,
        telemetry=NO_TELEMETRY,
        generate_unique_id_function=_operation_id,
        lifespan=_lifespan,
    )
    app.state.settings, app.state.services, app.state.worker_health = settings, services, _no_worker
    app.state.phase = Phase.STARTING
    app.include_router(api.router_of(sources), prefix="/v1")
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(page_link.router)
    app.include_router(password_reset.router)
    docs.install(app)
    error_handlers.install(app)
    route_table.install(app)

    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]  # as FastAPI's docs do
    _add_middleware(app, settings)
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """The last one added is the first to see a request."""
    app.add_middleware(TrailingSlash)
    app.add_middleware(BodyLimit, limits=BodyLimits(MAX_BODY_BYTES, settings.request_memory_mib * MIB))
    if settings.rate_limit_enabled:
        app.add_middleware(RequestLimits, quotas=Quotas.of(settings), counter=counter_of(settings))
    if settings.backend_cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.backend_cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
        )
    if settings.force_https:
        app.add_middleware(HttpsOnly, public_url=settings.public_url)
    if ANY not in settings.served_hosts:
        app.add_middleware(AllowedHosts, hosts=settings.served_hosts)
    app.add_middleware(RequestContext, meter=http_metrics.meter_of(app), logs_senders=settings.log_senders)
    app.add_middleware(SecurityHeaders, is_production=settings.is_production)
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.proxies)


def _no_worker() -> WorkerHealth:
    return WorkerHealth(status="disabled", last_tick_at=None)


def _operation_id(route: APIRoute) -> str:
    return route.name


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    # No more threads than connections: a request in a thread never waits for one.
    capacity.set_up(capacity.Threads(settings.database_pool_size))
    searching.set_up(settings.database_pool_size)
    if app.state.services is not None:
        app.state.phase = Phase.SERVING
        yield
        return
    descriptors.raise_limit()
    settings.check_serving()
    require_a_channel(settings)
    with database_of(settings) as database, recording(settings.otel_exporter_otlp_endpoint):
        prepare(settings, database)
        warn(settings)
        warn_server(settings)
        app.state.services = build_services(settings, database)
        record_settings(app.state.services, "service")
        log.info("service_started", version=__version__, environment=settings.environment)
        lookout, log_level = looking_out(app.state.services.health.checks), following_log_level(app.state.services)
        measured = measuring(database, capacity.oldest_wait)
        async with log_level, measured, _working(app, app.state.services), lookout:
            settle()
            app.state.phase = Phase.SERVING
            with drained(settings.drain_seconds, partial(setattr, app.state, "phase", Phase.DRAINING)):
                yield
        log.info("service_stopped")


@asynccontextmanager
async def _working(app: FastAPI, services: Services) -> AsyncIterator[None]:
    if not services.settings.worker_enabled:
        yield
        return
    async with working(services) as worker:
        app.state.worker_health = worker.health
        yield


app = create_app()
