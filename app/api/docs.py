"""Swagger UI and ReDoc from our own static files: no CDN, no inline script, a strict Content-Security-Policy."""

from functools import lru_cache
from pathlib import Path

import fastapi_standalone_docs
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from app.api import capacity
from app.api.media_types import JSON

STATIC = Path(fastapi_standalone_docs.__file__).parent / "static"
SWAGGER_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
# ReDoc writes its styles at run time and searches in a worker that it creates.
REDOC_CSP = SWAGGER_CSP.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'") + "; worker-src blob:"

SWAGGER_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Incident Management System: Swagger UI</title>
  <link rel="icon" href="/static/fastapi/favicon.png">
  <link rel="stylesheet" href="/static/swagger/swagger-ui.css">
</head>
<body>
  <div id="swagger-ui"></div>
  <script src="/static/swagger/swagger-ui-bundle.js"></script>
  <script src="/docs/init.js"></script>
</body>
</html>
"""
SWAGGER_SCRIPT = """window.ui = SwaggerUIBundle({
  url: "/v1/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  validatorUrl: null,  // no badge from another host
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""
REDOC_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Incident Management System: ReDoc</title>
  <link rel="icon" href="/static/fastapi/favicon.png">
</head>
<body style="margin: 0">
  <redoc spec-url="/v1/openapi.json"></redoc>
  <script src="/static/redoc/redoc.standalone.js"></script>
</body>
</html>
"""

router = APIRouter(include_in_schema=False)


@router.api_route("/v1/openapi.json", methods=["GET", "HEAD"])
async def openapi_document(request: Request) -> Response:
    """The OpenAPI document. A thread makes it once: that takes a fifth of a second, and alerts do not wait for it."""
    return Response(await capacity.run(_document_of, request.app), media_type=JSON)


@lru_cache(maxsize=1)
def _document_of(app: FastAPI) -> bytes:
    return bytes(JSONResponse(app.openapi()).body)


@router.get("/docs")
async def swagger_ui() -> HTMLResponse:
    """Try the API in a browser."""
    return HTMLResponse(SWAGGER_PAGE, headers={"Content-Security-Policy": SWAGGER_CSP})


@router.get("/docs/init.js")
async def swagger_script() -> Response:
    """What starts Swagger UI: a file of its own, because the policy allows no inline script."""
    return Response(SWAGGER_SCRIPT, media_type="text/javascript")


@router.get("/redoc")
async def redoc() -> HTMLResponse:
    """Read the API reference."""
    return HTMLResponse(REDOC_PAGE, headers={"Content-Security-Policy": REDOC_CSP})


@router.get("/redoc/logo-mini.svg")
async def redoc_logo() -> FileResponse:
    """The logo, where ReDoc looks for it: below its page."""
    return FileResponse(STATIC / "redoc" / "logo-mini.svg")


def install(app: FastAPI) -> None:
    """Serve the pages and their assets."""
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
