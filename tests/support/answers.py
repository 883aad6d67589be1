"""What every error answer looks like."""

from typing import Any

from httpx2 import Response

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "message", "request_id"}
NAMED_BY = {401: "WWW-Authenticate", 405: "Allow"}


def problem(answer: Response, status: int, *, pointer: str | None = None) -> dict[str, Any]:
    """The problem that was answered: complete, and at the pointer if one is given."""
    assert answer.status_code == status, f"{answer.status_code}, not {status}: {answer.text[:500]}"
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found.keys() >= MEMBERS
    assert found["status"] == status
    assert found["detail"] == found["message"] != ""
    assert found["request_id"] == answer.headers["x-request-id"]
    assert NAMED_BY.get(status, "content-type") in answer.headers
    if status == 422:
        assert found["errors"]
        assert all(error.keys() == {"pointer", "message"} for error in found["errors"])
    if pointer is not None:
        assert pointer in [error["pointer"] for error in found["errors"]], found
    return found
