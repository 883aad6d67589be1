"""The push channel: its addresses are kept, and nothing is sent by it yet."""

from typing import Literal

from app.core.channel import Channel, register
from app.core.config import ChannelSettings, Settings


@register
class Push:
    """The channel type."""

    name = "push"
    settings_type = ChannelSettings
    own_address: Literal["email", "phone_number"] | None = None
    is_optional = False

    def clean_address(self, address: str, own: ChannelSettings) -> str:
        return address

    def set_up(self, settings: Settings, own: ChannelSettings) -> Channel | None:
        return None
