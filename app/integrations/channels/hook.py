"""What webhook, Slack and Teams have in common: the address is a URL that its owner gave."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from app.core.config import ChannelSettings
from app.core.facts import PageFacts
from app.integrations.addresses import parsed, require_public_literal
from app.integrations.http import Limits

COUNTED = " and 1000000 more"


class HookSettings(ChannelSettings):
    """Where URLs may lead, and how long one message may take in all."""

    webhook_allow_private_addresses: bool = False
    webhook_timeout_seconds: Annotated[float, Field(gt=0, le=50)] = 10.0

    def limits(self, *, gone: frozenset[int], answer_characters: int = 0) -> Limits:
        return Limits(
            timeout_seconds=self.webhook_timeout_seconds,
            allows_private=self.webhook_allow_private_addresses,
            gone=gone,
            answer_characters=answer_characters,
        )


def settings_of(own: ChannelSettings) -> HookSettings:
    return own if isinstance(own, HookSettings) else HookSettings()


def clean_url(address: str, own: ChannelSettings, *, is_secret: bool = False) -> str:
    """The URL as it is given; one whose path is a secret needs TLS. Raises ValueError with what is wrong with it."""
    is_private_allowed = settings_of(own).webhook_allow_private_addresses
    schemes = ("https",) if is_secret and not is_private_allowed else ("http", "https")
    parts = parsed(address, schemes=schemes)
    if not is_private_allowed:
        require_public_literal(parts)
    return address


def rest_of(pages: Sequence[PageFacts], *, limit: int) -> str:
    """Names, by their numbers, the incidents for which a message has no line left; over the limit it counts them."""
    text = "Also: " + ", ".join(f"#{page.incident.id}" for page in pages)
    if len(text) <= limit:
        return text
    kept = text[: limit - len(COUNTED)].rpartition(",")[0]
    return f"{kept} and {len(pages) - kept.count('#')} more"


def line_of(page: PageFacts, *, limit: int) -> str:
    """One incident of a bundle, its number first: a long title must not push that out."""
    incident = page.incident
    said = f"#{incident.id} [{incident.severity.upper()}] {incident.service}: {incident.title}"
    return shortened(said, limit)


def shortened(text: str, limit: int) -> str:
    """The text, or its beginning and an ellipsis: at most so many characters, none that cannot be shown."""
    return cut("".join(map(_shown, text)).strip(), limit)


def cut(text: str, limit: int) -> str:
    """The text, or its beginning and an ellipsis: at most so many characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _shown(character: str) -> str:
    """Tabs and the spaces of other scripts are spaces: without them two words would be one."""
    if character == "\n" or character.isprintable():
        return character
    return " " if character.isspace() else ""
