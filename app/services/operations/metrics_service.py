"""Shows the metrics to whoever may see them."""

from dataclasses import dataclass

import structlog

from app.core import exposition, metrics
from app.core.config import Settings
from app.core.errors import NotAuthenticated, PermissionDenied
from app.core.security import same_secret
from app.db.session import Database
from app.services.operations.gauges_service import Gauges

log = structlog.get_logger()

CLOSED = "Metrics are closed in production until METRICS_TOKEN is set. Set it here, and send it as a bearer token."
REFUSED = "The metrics token is missing or wrong. Send METRICS_TOKEN: `Authorization: Bearer <token>`."


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """The metrics as they are sent."""

    body: bytes
    media_type: str


def require_token(settings: Settings, authorization: str) -> None:
    """Raise NotAuthenticated without the right token, and PermissionDenied in production if none is set."""
    if settings.metrics_token is None:
        if settings.is_production:
            raise PermissionDenied(CLOSED)
        return
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "bearer" or not same_secret(given.strip(), settings.metrics_token.get_secret_value()):
        log.warning("metrics_token_refused")
        raise NotAuthenticated(REFUSED)


def page(gauges: Gauges, database: Database, accept: str) -> MetricsPage:
    """All metrics now, in the format that an Accept header asks for. Takes two seconds at most."""
    sample(database)
    is_open_metrics = exposition.wants_open_metrics(accept)
    text = exposition.render(metrics.registry, gauges.readings(), is_open_metrics=is_open_metrics)
    return MetricsPage(text.encode(), exposition.OPEN_METRICS if is_open_metrics else exposition.TEXT)


def sample(database: Database) -> None:
    """Note what this process uses now, for whichever process is asked next."""
    metrics.POOL_IN_USE.set(database.connections_in_use())
    metrics.POOL_LIMIT.set(database.most_connections)
