"""How OpenAPI documents errors: the codes of each response, with an example of each that is true.

A route names the errors that its handler raises: `responses=problems(NotFound, InvalidTransition)`. A class stands for
its usual words, an instance for its own. `app.api.openapi` adds what follows from an operation's inputs.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from app.api.errors import MEDIA_TYPE, extra_of, members, status_of
from app.api.problem_examples import GENERAL, MEANINGS, USUAL
from app.core.errors import DomainError
from app.core.vocabulary import ErrorCode

Example = dict[str, Any]
Responses = dict[int | str, dict[str, Any]]

EXAMPLES = "x-examples"  # of a response, until `documented` makes the whole of it
REQUEST_ID = "3f2b1a907c1d4f6e8a530242ac120002"
HEADERS = {
    401: ("WWW-Authenticate", "How to authenticate"),
    429: ("Retry-After", "Seconds to wait"),
    503: ("Retry-After", "Seconds to wait"),
}
_usual = {type(error): error for error in USUAL}


def problems(*raised: DomainError | type[DomainError]) -> Responses:
    """The error responses of a route."""
    return merged(*(_response(_usual[error] if isinstance(error, type) else error) for error in raised))


def general(code: ErrorCode) -> Responses:
    """The response of an error that no handler raises."""
    status, detail = GENERAL[code]
    return one(status, detail, code)


def one(status: int, detail: str, code: ErrorCode, **extra: Any) -> Responses:
    """The response of one error."""
    example = {"status": status, "detail": detail, "code": code, **extra}
    return {status: {"description": MEANINGS[code], EXAMPLES: [example]}}


def merged(*parts: Responses) -> Responses:
    """All responses. Of two examples for one code the first counts."""
    found: Responses = {}
    for part in parts:
        for status, response in part.items():
            known = found.setdefault(status, {**response, EXAMPLES: []})
            codes = {example["code"] for example in known[EXAMPLES]}
            known[EXAMPLES] += [example for example in response.get(EXAMPLES, []) if example["code"] not in codes]
    return found


def documented(examples: Iterable[Example], *, instance: str) -> dict[str, Any]:
    """A response as the document shows it."""
    shown = {example["code"]: _shown(example, instance) for example in examples}
    status = next(iter(shown.values()))["value"]["status"]
    schema = {"$ref": "#/components/schemas/Problem"}
    meanings = [f"`{code}`: {example['summary']}" for code, example in shown.items()]
    response = {
        "description": ". ".join(meanings),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": shown}},
    }
    if status in HEADERS:
        name, meaning = HEADERS[status]
        response["headers"] = {name: {"description": meaning, "schema": {"type": "string"}}}
    return response


def _response(error: DomainError) -> Responses:
    return one(status_of(error), str(error), error.code, **extra_of(error))


def _shown(example: Mapping[str, Any], instance: str) -> dict[str, Any]:
    code, given = example["code"], dict(example)
    said = members(
        given.pop("status"), given.pop("detail"), code=given.pop("code"), instance=instance, request_id=REQUEST_ID
    )
    return {"summary": MEANINGS[code], "value": {**said, **given}}
