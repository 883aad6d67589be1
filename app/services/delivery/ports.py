"""The parts of this installation that sending needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from app.core.channel import Channel
from app.db.session import Database
from app.services.delivery.breaker import Breakers
from app.services.ports import Paging


@dataclass(frozen=True, slots=True)
class Delivery:
    """What sending needs: the outbox, the channels, and how long a worker may hold a message."""

    database: Database
    channels: Mapping[str, Channel]
    paging: Paging
    lease: timedelta
    breakers: Breakers = field(default_factory=Breakers)
