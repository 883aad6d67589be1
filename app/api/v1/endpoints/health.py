"""Whether the service can work, and where to go from here."""

from fastapi import APIRouter

from app import __version__
from app.api.deps import SessionDep, WorkerHealthDep
from app.api.errors import problems
from app.api.transaction import TransactionalRoute
from app.schemas.health import Health, ServiceInfo
from app.services.operations import health_service

router = APIRouter(tags=["health"], route_class=TransactionalRoute)

LINKS = {"docs": "/docs", "redoc": "/redoc", "openapi": "/v1/openapi.json", "health": "/health"}


@router.get("/")
async def read_root() -> ServiceInfo:
    """Say what this is. Name, version, links."""
    return ServiceInfo(name="Incident Management System", version=__version__, links=LINKS)


@router.get("/health", responses=problems(503))
def read_health(worker: WorkerHealthDep, session: SessionDep) -> Health:
    """Tell whether the service can work. It can while the database answers and the worker's ticks come through."""
    return health_service.require_work(session, worker)
