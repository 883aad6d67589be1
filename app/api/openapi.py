"""The OpenAPI document: what the routes cannot say themselves."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.schemas.base import Problem

REF_TEMPLATE = "#/components/schemas/{model}"
DESCRIPTION = """Decides who is woken when production breaks, makes sure that they are, and keeps the record.

Log in at `/v1/auth/login/access-token` (or with the **Authorize** button) and send the access token as
`Authorization: Bearer <token>`. Errors are RFC 9457 problems. Lists are arrays; a `Link: <…>; rel="next"` header leads
to the next page. Times are RFC 3339 in UTC. A field that is not known is refused.
"""
TAGS = [
    {"name": "auth", "description": "Signing up, logging in and out, recovering a password"},
    {"name": "users", "description": "Accounts and rights"},
    {"name": "incidents", "description": "The lifecycle and the record of incidents"},
    {"name": "escalation", "description": "Who is paged for what, and when"},
    {"name": "notifications", "description": "How people want to be reached, and how each delivery went"},
    {"name": "webhooks", "description": "Alerts from monitoring systems"},
    {"name": "health", "description": "Whether the service can work"},
]


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=TAGS
        )
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        problem = Problem.model_json_schema(ref_template=REF_TEMPLATE)
        schemas |= problem.pop("$defs", {})
        schemas["Problem"] = problem
        app.openapi_schema = schema
    return app.openapi_schema
