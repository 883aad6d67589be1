"""Cuts an alert's body to the size limit of an incident's metadata."""

from typing import Any

from app.core.bounded_json import bounded
from app.schemas.types import MAX_METADATA_BYTES


def metadata_from(body: dict[str, Any]) -> dict[str, Any]:
    """The body as an incident stores it: whole if it fits, else cut and marked with `"_truncated": true`."""
    return bounded(body, MAX_METADATA_BYTES)
