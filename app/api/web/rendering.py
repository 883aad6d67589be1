"""Renders the web pages, with headers that keep them private."""

import base64
import hashlib
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from app.api.web.text import in_words, linked

TEMPLATES = Path(__file__).parents[2] / "templates" / "web"
STYLE = (TEMPLATES / "style.css").read_text(encoding="utf-8")
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
SCRIPT = (TEMPLATES / "times.js").read_text(encoding="utf-8")
SCRIPT_VERSION = hashlib.sha256(SCRIPT.encode()).hexdigest()[:12]
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; script-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}
SCRIPT_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable"}  # its address changes with its text

_environment = Environment(
    loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True, auto_reload=False
)
_environment.globals["style"] = Markup(STYLE)  # noqa: S704 - our own file
_environment.globals["script_version"] = SCRIPT_VERSION
_environment.filters["linked"] = linked
_environment.filters["time"] = in_words


def page(template: str, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None, **values: Any) -> Response:
    """A page from one of the templates."""
    text = _environment.get_template(template).render(**values)
    return HTMLResponse(text, status, {**HEADERS, **(headers or {})})


def script() -> Response:
    """The script that shows times in the reader's zone."""
    return Response(SCRIPT, media_type="text/javascript", headers=SCRIPT_HEADERS)


def redirect(to: str) -> Response:
    """Redirect to another page. `to` is relative, because a proxy may have put the service under a prefix."""
    return RedirectResponse(to, HTTPStatus.SEE_OTHER, HEADERS)
