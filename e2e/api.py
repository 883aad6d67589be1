"""The service over HTTP, as one user sees it."""

from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import requests

from e2e.expectations import holds, same

TIMEOUT_SECONDS = 30
SHOWN_CHARACTERS = 300

Json = dict[str, Any]
Wanted = int | tuple[int, ...]

# How to take back what was answered with 201.
UNDO = {
    "/v1/auth/signup": "DELETE /v1/users/{}",
    "/v1/users": "DELETE /v1/users/{}",
    "/v1/api-keys": "DELETE /v1/api-keys/{}",
    "/v1/incidents": "POST /v1/incidents/{}/resolve",
    "/v1/alerts/elastic": "POST /v1/incidents/{}/resolve",
    "/v1/escalation/policies": "DELETE /v1/escalation/policies/{}",
}


@dataclass
class Record:
    """What this run asked of the service, and the requests that undo what it made."""

    asked: set[tuple[str, str]] = field(default_factory=set)
    undo: dict[str, None] = field(default_factory=dict)

    def keep(self, method: str, path: str, answer: requests.Response) -> None:
        self.asked.add((method, path))
        if answer.ok:
            self.undo.pop(f"{method} {path}", None)
        if answer.ok and method == "DELETE":
            self.undo.pop(f"POST {path}/resolve", None)
        if answer.ok and path.endswith("/reopen"):
            self.undo[f"POST {path.replace('/reopen', '/resolve')}"] = None
        if answer.status_code == requests.codes.created:
            made = answer.json()
            ids = [item.get("id") or item.get("incident_id") for item in made.get("results", [made])]
            self.undo.update({UNDO[path.rstrip("/")].format(found): None for found in ids if found})


@dataclass(frozen=True)
class Api:
    """The service as one user sees it, or nobody (id 0). All of a run share its record."""

    url: str
    record: Record = field(default_factory=Record)
    session: requests.Session = field(default_factory=requests.Session)
    id: int = 0
    email: str = ""

    def answer(self, request: str, body: object = None, *, wants: Wanted = 200, **options: Any) -> requests.Response:
        """Ask `METHOD /path`. Raises Failed if the answer has another status, or none of the wanted ones."""
        method, _, address = request.partition(" ")
        options = {"json": body, "timeout": TIMEOUT_SECONDS, "allow_redirects": False, **options}
        answer = self.session.request(method, self.url + address, **options)
        self.record.keep(method, urlsplit(address).path, answer)
        said = f"{answer.status_code} {answer.text[:SHOWN_CHARACTERS]}"
        holds(
            answer.status_code in (wants if isinstance(wants, tuple) else (wants,)),
            f"{request} is answered with {wants}, not with {said}",
        )
        return answer

    def call(self, request: str, body: object = None, **options: Any) -> Any:
        """What the service answers, as JSON."""
        return self.answer(request, body, **options).json()

    def refused(
        self, request: str, body: object = None, *, status: int, code: str, pointer: str | None = None, **options: Any
    ) -> Json:
        """Ask for what must be refused with a complete RFC 9457 problem, and return that."""
        answer = self.answer(request, body, wants=status, **options)
        same(answer.headers.get("Content-Type"), "application/problem+json", "the content type")
        problem: Json = answer.json()
        same(problem["status"], status, "status in the problem")
        same(problem["code"], code, "code")
        same(problem["instance"], urlsplit(request.partition(" ")[2]).path, "instance")
        same(problem["request_id"], answer.headers["X-Request-ID"], "request_id")
        same(problem["message"], problem["detail"], "message")
        holds(problem["type"] and problem["title"] and problem["detail"], "type, title and detail are not empty")
        if pointer is not None:
            named = [error["pointer"] for error in problem["errors"] if error["message"]]
            holds(pointer in named, f"{pointer} is among {named}")
        return problem

    def pages(self, request: str) -> list[Json]:
        """A whole list, page after page by the Link header."""
        found: list[Json] = []
        while request:
            answer = self.answer(request)
            found += answer.json()
            following = urlsplit(answer.links.get("next", {}).get("url", ""))
            request = f"GET {following.path}?{following.query}" if following.query else ""
        return found

    def bearing(self, token: str, user: Json) -> "Api":
        """The service as the user of this access token sees it."""
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token}"
        return replace(self, session=session, id=user["id"], email=user["email"])
