"""The parts of this installation that planning needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.core.channel import CHANNELS, ChannelType
from app.core.config import ChannelSettings
from app.core.page_links import PageLinks
from app.core.vocabulary import UnmatchedIncidents


@dataclass(frozen=True, slots=True)
class Paging:
    """What planning a page needs: the channels that are set up, and the base of links.

    `unmatched` says whether the administrators are paged about an incident that no policy matches.
    """

    channels: frozenset[str]
    public_url: str
    links: PageLinks
    must_be_verified: bool = False
    unmatched: UnmatchedIncidents = UnmatchedIncidents.PAGE_ADMINS_FOR_ALERTS
    channel_settings: Mapping[str, ChannelSettings] = field(default_factory=dict)

    def listed(self) -> list[ChannelType]:
        """The channels that people can choose from here."""
        return [channel for channel in CHANNELS if not channel.is_optional or channel.name in self.channels]

    def settings_of(self, channel: ChannelType) -> ChannelSettings:
        """The settings of a channel."""
        return self.channel_settings.get(channel.name) or channel.settings_type()
