"""What services are handed of this installation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from app.core.channel import CHANNELS, Channel, ChannelType
from app.core.config import ChannelSettings
from app.core.security import PageLinks
from app.db.session import Database
from app.services.delivery.breaker import Breakers


@dataclass(frozen=True, slots=True)
class Paging:
    """What planning a page needs to know: which channels are set up, and where links lead."""

    channels: frozenset[str]
    public_url: str
    links: PageLinks
    must_be_verified: bool = False
    channel_settings: Mapping[str, ChannelSettings] = field(default_factory=dict)

    def listed(self) -> list[ChannelType]:
        """The channels that a person can choose from here."""
        return [channel for channel in CHANNELS if not channel.is_optional or channel.name in self.channels]

    def settings_of(self, channel: ChannelType) -> ChannelSettings:
        """The settings that a channel was set up with."""
        return self.channel_settings.get(channel.name) or channel.settings_type()


@dataclass(frozen=True, slots=True)
class Delivery:
    """What sending needs: where the outbox is, which channels there are, how long a worker may hold a message."""

    database: Database
    channels: Mapping[str, Channel]
    paging: Paging
    lease: timedelta
    breakers: Breakers = field(default_factory=Breakers)
