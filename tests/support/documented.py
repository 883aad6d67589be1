"""Errors that are answered are errors that the OpenAPI document names: status, code and headers."""

import re
from typing import Any

from httpx2 import Response

from tests.support.operations import OPERATIONS, Operation

PARAMETER = re.compile(r"\\\{\w+\\\}")
TOO_LARGE = 413
BROKEN = 500  # a defect, which no operation announces


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(PARAMETER.sub("[^/]+", re.escape(path)))


# Those without a parameter first: /v1/users/me is no /v1/users/{user_id}.
_known = sorted(((_pattern(o.path), o) for o in OPERATIONS), key=lambda known: known[1].path.count("{"))


def operation_of(method: str, path: str) -> Operation | None:
    """The operation that answers a request; None if the document has none."""
    path = path.rstrip("/") or "/"
    return next((o for pattern, o in _known if o.method == method and pattern.fullmatch(path)), None)


def codes(operation: Operation, status: int) -> dict[str, Any]:
    """The examples of an operation's error by their codes."""
    content = operation.spec["responses"].get(str(status), {}).get("content", {})
    return dict(content.get("application/problem+json", {}).get("examples", {}))


def require_documented(answer: Response) -> None:
    """What a client does with every answer: fail if the document does not name its error."""
    operation = operation_of(answer.request.method, answer.request.url.path)
    if operation is None or answer.status_code < 400 or answer.status_code == BROKEN:
        return
    if answer.status_code == TOO_LARGE and not operation.media_types:
        return  # it was sent a body that nobody asked for
    answer.read()
    code, known = answer.json()["code"], codes(operation, answer.status_code)
    assert code in known, f"{operation}: {answer.status_code} {code} is not documented: {answer.text[:500]}"
