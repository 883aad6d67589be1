"""The OpenAPI document: adds what the routes do not declare themselves."""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.utils import get_openapi

from app.api.deps import skips_too_far
from app.api.errors import UNPROCESSABLE
from app.api.key_scopes import key_refusal, scope_for
from app.api.media_types import ANY_TYPE
from app.api.permission import KEYS, bearer
from app.api.problem_examples import MEANINGS, MISSING, NOTHING_THERE
from app.api.problems import EXAMPLES, Responses, documented, general, merged, one, problems
from app.api.query_parameters import ANY_QUERY, API, unknown_parameter
from app.api.webhooks import SCHEMES
from app.core.errors import (
    IdempotencyKeyReused,
    InvalidInput,
    NotAuthenticated,
    Overloaded,
    PermissionDenied,
    UnsupportedMediaType,
)
from app.core.vocabulary import ErrorCode
from app.schemas.base import Problem
from app.schemas.user import LoginForm

NESTED_TOO_DEEPLY = InvalidInput("The body is nested too deeply.", pointer="")
UNKNOWN_PARAMETER = "colour"  # no operation has it
REF_TEMPLATE = "#/components/schemas/{model}"
FIRST_SENTENCE = re.compile(r"(.+?)\.(?:\s+|$)(.*)", re.DOTALL)
FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")  # FastAPI's error forms, which this service does not use
NEXT_PAGE = {"description": 'The next page, if there is one: `<url>; rel="next"` (RFC 8288)'}
REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "title": "X-Request-Id"},
    "description": "An id for the logs of both sides: up to 128 letters, digits, dots, hyphens and underscores. "
    "The answer repeats it; without such an id the service makes one",
}
REPLAYED = {"description": "`true` if this is the answer to an earlier request with the same key"}
DESCRIPTION = """Decides who is paged when production breaks, makes sure that they are, and keeps the record.

Log in at `/v1/auth/login/access-token` (or with the **Authorize** button) and send the access token as
`Authorization: Bearer <token>`. Lists are arrays; a `Link: <…>; rel="next"` header leads to the next page. Times are
RFC 3339 in UTC. Unknown fields and unknown query parameters are refused, except by webhooks. A field that only the
server sets is ignored, so that an answer can be edited and sent back. Every path below `/v1` also answers with a
trailing slash.

A machine sends an API key (`POST /v1/api-keys`) instead of the access token. Each operation names the scope that the
key needs; without one, it is for people only.

Errors are RFC 9457 problems. Each response lists its codes, with an example of each. Beside those there are 404
`not_found` and 405 `method_not_allowed` for what is not listed here, and 500 `internal` for a defect. In production
there is also 403 `https_required` for plain HTTP, and 421 `host_not_served` or 400 `bad_request` for a Host header that
does not name this service. Where requests are limited, answers carry `RateLimit-Policy` and `RateLimit`, and a client
that makes too many gets 429 `too_many_requests` with `Retry-After`. Every answer has an `X-Request-ID`, which is in the
log as well.
"""
TAGS = [
    {"name": "auth", "description": "Signing up, logging in and out, recovering a password"},
    {"name": "users", "description": "Accounts and rights"},
    {"name": "api keys", "description": "Keys for machines"},
    {"name": "incidents", "description": "The lifecycle and the record of incidents"},
    {"name": "escalation", "description": "Escalation policies, and the escalation of an incident"},
    {"name": "notifications", "description": "Notification preferences and deliveries"},
    {"name": "webhooks", "description": "Alerts from monitoring systems"},
    {"name": "log level", "description": "How much all processes log"},
    {"name": "audit", "description": "Who changed what"},
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
            for method, operation in operations.items():
                _summarize(operation)
                _let_keys_in(operation, method, path)
                _add_headers(operation)
                _add_problems(operation, path, key_refusal(scope_for(method.upper(), path)))
                _add_request_id(operation)
        app.openapi_schema = schema
    return app.openapi_schema


def _complete_components(components: dict[str, Any]) -> None:
    for model in (Problem, LoginForm):
        schema = jsonable_encoder(model.model_json_schema(ref_template=REF_TEMPLATE), exclude_none=True)
        components["schemas"] |= {**schema.pop("$defs", {}), model.__name__: schema}
    listed = "\n".join(f"- `{code}`: {MEANINGS[code]}" for code in ErrorCode)
    components["schemas"]["ErrorCode"]["description"] += f"\n\n{listed}"
    for name in FASTAPIS_OWN:
        components["schemas"].pop(name, None)
    schemes = {scheme.scheme_name: jsonable_encoder(scheme.model, exclude_none=True) for scheme in (KEYS, *SCHEMES)}
    components["securitySchemes"] |= schemes


def _summarize(operation: dict[str, Any]) -> None:
    """The docstring's first sentence is the summary, the rest the description."""
    found = FIRST_SENTENCE.fullmatch(operation["description"])
    if found is None:
        raise ValueError(f"{operation['operationId']}: the docstring must consist of sentences")
    operation["summary"], rest = found.groups()
    operation["description"] = rest or operation["description"]


def _let_keys_in(operation: dict[str, Any], method: str, path: str) -> None:
    """Where an access token is wanted, an API key with the right scope will do, unless the operation is for people."""
    scope = scope_for(method.upper(), path)
    if scope is not None and _wants_access_token(operation):
        operation["security"].append({KEYS.scheme_name: [scope]})


def _add_headers(operation: dict[str, Any]) -> None:
    names = {parameter["name"] for parameter in operation.get("parameters", [])}
    said = {"Link": NEXT_PAGE} if "cursor" in names else {}
    said |= {"Idempotency-Replayed": REPLAYED} if "Idempotency-Key" in names else {}
    if said:
        [answer] = [response for status, response in operation["responses"].items() if status.startswith("2")]
        answer["headers"] = {name: {**header, "schema": {"type": "string"}} for name, header in said.items()}


def _add_request_id(operation: dict[str, Any]) -> None:
    """Every request may bring its id. It comes last, so that a generated client asks for it last."""
    operation.setdefault("parameters", []).append(deepcopy(REQUEST_ID))


def _add_problems(operation: dict[str, Any], path: str, key_refusal: PermissionDenied) -> None:
    """Document the errors that the route names, and those that follow from the operation's inputs."""
    given = operation["responses"]
    if EXAMPLES not in given.get("422", {}):
        given.pop("422", None)  # FastAPI's own
    named: Responses = {int(status): response for status, response in given.items() if EXAMPLES in response}
    found = merged(named, *_problems_of_bearers(operation, key_refusal), *_general_problems(operation, path))
    parameters = operation.get("parameters", [])
    values = {p["name"]: p["schema"]["examples"][0] for p in parameters if p["in"] == "path"}
    for status, response in found.items():
        examples = [{**shown, "detail": shown["detail"] or _missing(values)} for shown in response[EXAMPLES]]
        given[str(status)] = documented(examples, instance=path.format(**values))
    operation["responses"] = dict(sorted(given.items()))


def _missing(values: Mapping[str, Any]) -> str:
    """What 404 says of a path with these parameters."""
    named = [MISSING[name] for name in values if name in MISSING]
    return named[-1] if named else NOTHING_THERE


def _problems_of_bearers(operation: dict[str, Any], key_refusal: PermissionDenied) -> Iterator[Responses]:
    """How an operation refuses whoever may not call it. An API key is refused even where every person is let in."""
    if "security" in operation:
        yield problems(NotAuthenticated)
    if _wants_access_token(operation):
        yield problems(key_refusal)


def _wants_access_token(operation: dict[str, Any]) -> bool:
    return {bearer.scheme_name: []} in operation.get("security", [])


def _general_problems(operation: dict[str, Any], path: str) -> Iterator[Responses]:
    """The errors that follow from an operation's inputs. Routes name the others."""
    parameters = {parameter["name"]: parameter for parameter in operation.get("parameters", [])}
    kinds = operation.get("requestBody", {}).get("content", {})
    takes_any_query = operation.pop(ANY_QUERY, False)
    takes_any_type = kinds.pop(ANY_TYPE, None) is not None  # said in words: generated clients cannot send it
    if "Idempotency-Key" in parameters:
        yield problems(IdempotencyKeyReused, NESTED_TOO_DEEPLY)
    if kinds:
        yield general(ErrorCode.REQUEST_TIMEOUT)
        yield general(ErrorCode.BODY_TOO_LARGE)
        if not takes_any_type:
            yield problems(UnsupportedMediaType(f"Content-Type must be {' or '.join(sorted(kinds))}."))
    yield from _invalid_input(parameters, path, takes_any_query=takes_any_query)
    yield general(ErrorCode.HEADERS_TOO_LARGE)
    yield problems(Overloaded)
    if path != "/":
        yield general(ErrorCode.DATABASE_UNAVAILABLE)


def _invalid_input(parameters: Mapping[str, Any], path: str, *, takes_any_query: bool) -> Iterator[Responses]:
    """How an operation below /v1 refuses what it is given."""
    if not path.startswith(API):
        return
    declared = sorted(name for name, parameter in parameters.items() if parameter["in"] == "query")
    if not takes_any_query:
        said = unknown_parameter(UNKNOWN_PARAMETER, declared)
        yield _invalid(said, UNKNOWN_PARAMETER)
    elif declared:
        yield _invalid(f"{declared[0]} is missing.", declared[0])
    if "cursor" in parameters:
        yield problems(skips_too_far())
    yield general(ErrorCode.UNSTORABLE_VALUE)


def _invalid(detail: str, pointer: str) -> Responses:
    where = [{"pointer": pointer, "message": detail}]
    return one(UNPROCESSABLE, detail, ErrorCode.VALIDATION_ERROR, errors=where)
