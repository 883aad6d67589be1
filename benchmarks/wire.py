"""HTTP requests: as bytes for the load generator, and single ones for setting up."""

import json
import urllib.request
from typing import Any

HOST = "127.0.0.1"


def get(path: str, token: str = "") -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{_authorization(token)}\r\n".encode()


def post(path: str, token: str = "", body: dict[str, Any] | None = None) -> bytes:
    """A POST request, with JSON if there is a body."""
    content = b"" if body is None else json.dumps(body).encode()
    kind = "" if body is None else "Content-Type: application/json\r\n"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\n{_authorization(token)}{kind}Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _authorization(token: str) -> str:
    return f"Authorization: Bearer {token}\r\n" if token else ""


def call(url: str, body: dict[str, Any] | None = None, token: str = "", *, timeout: float = 30.0) -> Any:
    """GET, or POST if there is a body; answers what JSON comes back. Raises urllib.error.URLError."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, headers)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)
