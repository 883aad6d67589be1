"""The OpenAPI document: adds what the routes do not declare themselves."""

import re
from typing import Any

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.utils import get_openapi

from app.api.errors import problems
from app.api.query_parameters import API
from app.api.webhooks import SCHEMES
from app.schemas.base import Problem

REF_TEMPLATE = "#/components/schemas/{model}"
FIRST_SENTENCE = re.compile(r"(.+?)\.(?:\s+|$)(.*)", re.DOTALL)
FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")  # FastAPI's error forms, which this service does not use
NEXT_PAGE = {"description": 'The next page, if there is one: `<url>; rel="next"` (RFC 8288)'}
REPLAYED = {"description": "`true` if this is the answer to an earlier request with the same key"}
DESCRIPTION = """Decides who is paged when production breaks, makes sure that they are, and keeps the record.

Log in at `/v1/auth/login/access-token` (or with the **Authorize** button) and send the access token as
`Authorization: Bearer <token>`. Errors are RFC 9457 problems. Lists are arrays; a `Link: <…>; rel="next"` header leads
to the next page. Times are RFC 3339 in UTC. Unknown fields and unknown query parameters are refused. A field that only
the server sets is ignored, so that an answer can be edited and sent back. Every path also answers with a trailing
slash.
"""
TAGS = [
    {"name": "auth", "description": "Signing up, logging in and out, recovering a password"},
    {"name": "users", "description": "Accounts and rights"},
    {"name": "incidents", "description": "The lifecycle and the record of incidents"},
    {"name": "escalation", "description": "Escalation policies, and the escalation of an incident"},
    {"name": "notifications", "description": "Notification preferences and deliveries"},
    {"name": "webhooks", "description": "Alerts from monitoring systems"},
    {"name": "health", "description": "Whether the service can work"},
]


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=TAGS
        )
        _complete_components(schema["components"])
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                _summarize(operation)
                _add_headers(operation)
                _add_general_problems(operation, is_api=path.startswith(API), uses_database=path != "/")
        app.openapi_schema = schema
    return app.openapi_schema


def _complete_components(components: dict[str, Any]) -> None:
    problem = Problem.model_json_schema(ref_template=REF_TEMPLATE)
    components["schemas"] |= {**problem.pop("$defs", {}), "Problem": problem}
    for name in FASTAPIS_OWN:
        components["schemas"].pop(name, None)
    schemes = {scheme.scheme_name: jsonable_encoder(scheme.model, exclude_none=True) for scheme in SCHEMES}
    components["securitySchemes"] |= schemes


def _summarize(operation: dict[str, Any]) -> None:
    """The docstring's first sentence is the summary, the rest the description."""
    found = FIRST_SENTENCE.fullmatch(operation["description"])
    if found is None:
        raise ValueError(f"{operation['operationId']}: the docstring must consist of sentences")
    operation["summary"], rest = found.groups()
    operation["description"] = rest or operation["description"]


def _add_headers(operation: dict[str, Any]) -> None:
    names = {parameter["name"] for parameter in operation.get("parameters", [])}
    said = {"Link": NEXT_PAGE} if "cursor" in names else {}
    said |= {"Idempotency-Replayed": REPLAYED} if "Idempotency-Key" in names else {}
    if said:
        [answer] = [response for status, response in operation["responses"].items() if status.startswith("2")]
        answer["headers"] = {name: {**header, "schema": {"type": "string"}} for name, header in said.items()}


def _add_general_problems(operation: dict[str, Any], *, is_api: bool, uses_database: bool) -> None:
    """The errors that follow from an operation's inputs. Routes name the others."""
    parameters = operation.get("parameters", [])
    has_body = "requestBody" in operation
    apply = {
        401: "security" in operation,
        409: any(parameter["name"] == "Idempotency-Key" for parameter in parameters),
        413: has_body,
        415: has_body,
        422: is_api or has_body or any(parameter["in"] in ("query", "header") for parameter in parameters),
        503: uses_database,
    }
    responses = operation["responses"]
    responses.pop("422", None)  # FastAPI's own
    responses |= {str(status): text for status, text in problems(*(s for s, holds in apply.items() if holds)).items()}
    operation["responses"] = dict(sorted(responses.items()))
