"""Renders the page behind a link, and the headers that keep it to itself."""

import base64
import hashlib
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

TEMPLATES = Path(__file__).parents[2] / "templates"
STYLE = (TEMPLATES / "page_link.css").read_text(encoding="utf-8")
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}

_environment = Environment(
    loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True, auto_reload=False
)


def page(status: int, headers: dict[str, str] | None = None, **values: Any) -> Response:
    """The page with these values."""
    template = _environment.get_template("page_link.html")
    text = template.render(**values, style=Markup(STYLE), at=_in_words)  # noqa: S704 - our own file
    return HTMLResponse(text, status, {**HEADERS, **(headers or {})})


def redirect(to: str) -> Response:
    """To another page of a link. `to` is relative: a proxy may have put us under a prefix."""
    return RedirectResponse(to, HTTPStatus.SEE_OTHER, HEADERS)


def _in_words(at: datetime) -> str:
    return f"{at:%d %B %Y, %H:%M} UTC"
