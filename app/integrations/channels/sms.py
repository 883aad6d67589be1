"""The sms channel: its addresses are kept, and nothing is sent by it yet."""

from typing import Literal

from pydantic import TypeAdapter, ValidationError

from app.core.channel import Channel, register
from app.core.config import ChannelSettings, Settings
from app.schemas.types import PhoneNumber

_number: TypeAdapter[str] = TypeAdapter(PhoneNumber)


@register
class Sms:
    """The channel type."""

    name = "sms"
    settings_type = ChannelSettings
    own_address: Literal["email", "phone_number"] | None = "phone_number"
    is_optional = False

    def clean_address(self, address: str, own: ChannelSettings) -> str:
        try:
            return _number.validate_python(address)
        except ValidationError as error:
            raise ValueError("This is not a phone number.") from error

    def set_up(self, settings: Settings, own: ChannelSettings) -> Channel | None:
        return None
