"""The workers that send the pages."""

from fastapi import APIRouter

from app.api.deps import AdminUser, SessionDep
from app.api.transaction import TransactionalRoute
from app.schemas.worker import WorkerRead
from app.services.operations import health_service

router = APIRouter(prefix="/workers", tags=["health"], route_class=TransactionalRoute)


@router.get("")
def list_workers(user: AdminUser, session: SessionDep) -> list[WorkerRead]:
    """List the workers of the last day. Shows which are alive, and which providers fail. For administrators."""
    return health_service.workers(session)
