"""All routers of version 1."""

from fastapi import APIRouter

from app.api.v1.endpoints import (
    auth,
    elastic_webhook,
    escalation,
    incidents,
    notification_preferences,
    notification_templates,
    notifications,
    users,
    workers,
)

api_router = APIRouter()
api_router.include_router(auth.router)
api_router.include_router(users.router)
api_router.include_router(incidents.router)
api_router.include_router(escalation.router)
api_router.include_router(notification_preferences.router)
api_router.include_router(notification_templates.router)
api_router.include_router(notifications.router)
api_router.include_router(elastic_webhook.router)
api_router.include_router(workers.router)
