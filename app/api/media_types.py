"""Checks the media type of a request body."""

from email.message import Message as Headers

from fastapi import Request
from fastapi.routing import APIRoute

from app.core.errors import UnsupportedMediaType

ANY_TYPE = "*/*"
JSON = "application/json"


def accepted_media_types(route: APIRoute) -> frozenset[str]:
    """The media types that the operation accepts: JSON, unless it lists its own. Empty: anything."""
    listed = (route.openapi_extra or {}).get("requestBody", {}).get("content", {})
    return frozenset(listed) or frozenset({JSON} if route.body_field else ())


async def require_media_type(request: Request, accepted: frozenset[str]) -> None:
    """Raise UnsupportedMediaType for a body whose Content-Type the operation does not accept."""
    if not accepted or ANY_TYPE in accepted or not await request.body():
        return
    header = Headers()
    header["content-type"] = request.headers.get("content-type", "")
    given = header.get_content_type()
    is_json = given.startswith("application/") and given.endswith("+json") and JSON in accepted
    if "content-type" not in request.headers or not (given in accepted or is_json):
        raise UnsupportedMediaType(f"Content-Type must be {' or '.join(sorted(accepted))}.")
