"""Whether the service can work, and where to go from here."""

from fastapi import APIRouter, Request, Response

from app import __version__
from app.api.deps import SessionDep
from app.api.errors import problem, problems
from app.api.routing import TransactionalRoute
from app.core.clock import zone_data_version
from app.crud.base import now
from app.schemas.health import Health, ServiceInfo, WorkerHealth

router = APIRouter(tags=["health"], route_class=TransactionalRoute)

LINKS = {"docs": "/docs", "redoc": "/redoc", "openapi": "/v1/openapi.json", "health": "/health", "api": "/v1"}


@router.get("/")
def read_root() -> ServiceInfo:
    """Say what this is. Name, version, links."""
    return ServiceInfo(name="Incident Management System", version=__version__, links=LINKS)


@router.get("/health", response_model=Health, responses=problems(503))
def read_health(request: Request, session: SessionDep) -> Health | Response:
    """Tell whether the service can work. It can while the database answers and the worker's ticks come through."""
    now(session)
    state: WorkerHealth = request.app.state.worker_health()
    if state.status == "stalled":
        detail = "The worker has not come through for a minute: pages are late."
        return problem(request, 503, detail, code="worker_stalled", database="ok", worker=state.model_dump(mode="json"))
    return Health(status="ok", version=__version__, tzdata=zone_data_version(), database="ok", worker=state)
