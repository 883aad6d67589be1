"""The level of the log of all processes, without a restart."""

from fastapi import APIRouter

from app.api.deps import AdminUser, ServicesDep, SessionDep
from app.api.transaction import TransactionalRoute
from app.schemas.log_level import LogLevelRead, LogLevelUpdate
from app.services.operations import log_level_service

router = APIRouter(prefix="/log-level", tags=["log level"], route_class=TransactionalRoute)


@router.get("")
def read_log_level(user: AdminUser, services: ServicesDep, session: SessionDep) -> LogLevelRead:
    """Read the level of the log. For administrators."""
    return log_level_service.in_force(session, services.settings.log_level)


@router.put("")
def set_log_level(body: LogLevelUpdate, user: AdminUser, services: ServicesDep, session: SessionDep) -> LogLevelRead:
    """Set the level of the log for all processes, for some minutes. For administrators.

    Each process that serves and each worker follows within 2 seconds, and so does one that starts later. What libraries
    could say of secrets stays out of the log at every level.
    """
    return log_level_service.put(session, body, services.settings.log_level, by=user)


@router.delete("")
def reset_log_level(user: AdminUser, services: ServicesDep, session: SessionDep) -> LogLevelRead:
    """Go back to `LOG_LEVEL` at once. Answers with it. Repeating it changes nothing. For administrators."""
    return log_level_service.reset(session, services.settings.log_level)
