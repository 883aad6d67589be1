"""Health checks and the service's identity."""

from fastapi import APIRouter

from app import __version__
from app.api.constant import constant
from app.api.deps import SessionDep, WorkerHealthDep
from app.api.problems import problems
from app.api.transaction import TransactionalRoute
from app.core.errors import WorkerStalled
from app.schemas.health import Health, ServiceInfo
from app.services.operations import health_service

router = APIRouter(tags=["health"], route_class=TransactionalRoute)

STALLED = WorkerStalled(  # an example for OpenAPI
    "The worker has completed no tick for a minute, so pages are late. Check the service's log.",
    database="ok",
    worker={"status": "stalled", "last_tick_at": "2026-01-05T03:04:05Z"},
)
LINKS = {"docs": "/docs", "redoc": "/redoc", "openapi": "/v1/openapi.json", "health": "/health"}


@router.get("/")
@constant
async def read_root() -> ServiceInfo:
    """Identify the service. Name, version and links."""
    return ServiceInfo(name="Incident Management System", version=__version__, links=LINKS)


@router.get("/health", responses=problems(STALLED))
def read_health(worker: WorkerHealthDep, session: SessionDep) -> Health:
    """Check the health of this process. It is healthy while the database answers and the worker completes its ticks."""
    return health_service.require_work(session, worker)
