"""What the page's form and its browser send."""

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, Request

from app.core.errors import PermissionDenied

MAX_FORM_BYTES = 1024


def minutes_of(form: bytes) -> int:
    """For how long to snooze; 0 for what is no such form."""
    fields = parse_qs(form[:MAX_FORM_BYTES].decode("utf-8", "replace"))
    given = fields.get("minutes", [""])[0]
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 6 else 0


async def get_minutes(request: Request) -> int:
    """For how long to snooze, of the form."""
    return minutes_of(await request.body())


async def require_same_origin(request: Request) -> None:
    """Raise PermissionDenied for what another site's page sent. https://www.w3.org/TR/fetch-metadata/"""
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise PermissionDenied("Another site sent this: open the link and press the button there.")


Minutes = Annotated[int, Depends(get_minutes)]
