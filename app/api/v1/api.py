"""All routers of version 1."""

from collections.abc import Iterable

from fastapi import APIRouter

from app.api.v1.endpoints import (
    alert_webhooks,
    api_keys,
    audit,
    auth,
    channels,
    escalation,
    incidents,
    log_level,
    notification_preferences,
    notification_templates,
    notifications,
    sessions,
    users,
    workers,
)
from app.core.source import SourceType


def router_of(sources: Iterable[SourceType]) -> APIRouter:
    """Every route of version 1, including a webhook for each source of alerts."""
    router = APIRouter()
    router.include_router(auth.router)
    router.include_router(users.router)
    router.include_router(sessions.router)
    router.include_router(api_keys.router)
    router.include_router(incidents.router)
    router.include_router(escalation.router)
    router.include_router(notification_preferences.router)
    router.include_router(notification_templates.router)
    router.include_router(notifications.router)
    router.include_router(alert_webhooks.router_of(sources))
    router.include_router(workers.router)
    router.include_router(channels.router)
    router.include_router(log_level.router)
    router.include_router(audit.router)
    return router
