"""Pressing the buttons of the page behind a link, and reading it."""

from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

Linker = Callable[..., str]
Reader = Callable[[dict[str, Any]], dict[str, Any]]

ACTIONS = ("acknowledge", "snooze", "escalate", "resolve", "comment")
XSS = '<script>alert("x")</script>'
MINUTES = {"minutes": "30"}
COMMENT = {"comment": "Looking into it."}


def page(answer: Response, status: int = 200) -> str:
    """The text of a page, with the headers that every one has."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in answer.headers["x-robots-tag"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    text: str = answer.text
    return text


def press(client: TestClient, link: str, action: str, **options: Any) -> Response:
    data = {"snooze": MINUTES, "comment": COMMENT}.get(action)
    return client.post(f"{link}/{action}", follow_redirects=False, **{"data": data, **options})


def buttons(text: str) -> set[str]:
    return {action for action in ACTIONS if f'/{action}">' in text}
