"""The metrics, for Prometheus. Not a part of the API for people: docs/metrics.md describes them."""

import asyncio

from fastapi import APIRouter, Request, Response

from app.api.deps import ServicesDep
from app.services.operations import metrics_service

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def read_metrics(request: Request, services: ServicesDep) -> Response:
    """All metrics of this service. Needs no thread of those for requests, so that it answers however busy they are."""
    headers = request.headers
    metrics_service.require_token(services.settings, headers.get("authorization", ""))
    show = metrics_service.page
    page = await asyncio.to_thread(show, services.gauges, services.database, headers.get("accept", ""))
    return Response(page.body, media_type=page.media_type)
