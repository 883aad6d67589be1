"""Health checks and the service's identity.

No handler here takes a thread: the threads for requests may all wait for a database that hangs.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter

from app import __version__
from app.api.constant import constant
from app.api.deps import PhaseDep, ServicesDep, WorkerHealthDep
from app.api.problems import problems
from app.api.transaction import TransactionalRoute
from app.core.errors import NotReady, WorkerStalled
from app.schemas.health import Alive, Health, Readiness, ServiceInfo
from app.services.operations import health_service

Handler = TypeVar("Handler", bound=Callable[..., Any])

router = APIRouter(tags=["health"], route_class=TransactionalRoute)

STALLED = WorkerStalled(  # an example for OpenAPI
    "The worker has completed no tick for a minute, so pages are late. Check the service's log.",
    database="ok",
    worker={"status": "stalled", "last_tick_at": "2026-01-05T03:04:05Z"},
)
NOT_READY = NotReady(  # an example for OpenAPI
    "The database does not answer (no answer).",
    checks={
        "database": {"status": "failed", "latency_ms": 2000.0, "detail": "The database does not answer (no answer)."}
    },
)
LINKS = {"docs": "/docs", "redoc": "/redoc", "openapi": "/v1/openapi.json", "health": "/health"}


def answers(path: str, **options: Any) -> Callable[[Handler], Handler]:
    """The route of a health check. Some load balancers ask by HEAD: the server sends them no body."""

    def add(handler: Handler) -> Handler:
        router.head(path, include_in_schema=False, **options)(handler)
        return router.get(path, **options)(handler)

    return add


@router.get("/")
@constant
async def read_root() -> ServiceInfo:
    """Identify the service. Name, version and links."""
    return ServiceInfo(name="Incident Management System", version=__version__, links=LINKS)


@answers("/health/live")
@constant
async def read_liveness() -> Alive:
    """Check that this process answers. It looks at nothing else: if this fails, restart the process."""
    return Alive(status="ok")


@answers("/health/ready", responses=problems(NOT_READY))
async def read_readiness(phase: PhaseDep, services: ServicesDep) -> Readiness:
    """Check whether this process should get requests. The answer says how each part of the installation is.

    Only the database, its schema, and a process that starts or ends make it 503. Everything else, such as a dead worker
    or a failing provider, is `degraded` with 200: alerts are still taken.
    """
    return health_service.require_ready(await services.health.checks(), phase)


@answers("/health", responses=problems(STALLED))
async def read_health(worker: WorkerHealthDep, services: ServicesDep) -> Health:
    """Check the health of this process. It is healthy while the database answers and the worker completes its ticks."""
    return health_service.require_work(await services.health.checks(fresh_seconds=0), worker)
