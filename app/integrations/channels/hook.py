"""Shared parts of webhook, Slack and Teams, whose address is a URL from its owner."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from app.core.config import ChannelSettings
from app.core.facts import PageFacts
from app.integrations.addresses import parsed, require_public_literal
from app.integrations.http import Limits

COUNTED = " and 1000000 more"


class HookSettings(ChannelSettings):
    """Where URLs may lead, and the total time for one message."""

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
    """The checked URL. One with a secret path needs TLS. Raises ValueError with the reason."""
    is_private_allowed = settings_of(own).webhook_allow_private_addresses
    schemes = ("https",) if is_secret and not is_private_allowed else ("http", "https")
    parts = parsed(address, schemes=schemes)
    if not is_private_allowed:
        require_public_literal(parts)
    return address


def rest_of(pages: Sequence[PageFacts], *, limit: int) -> str:
    """The numbers of the incidents without a line in the message. Over the limit they are only counted."""
    text = "Also: " + ", ".join(f"#{page.incident.id}" for page in pages)
    if len(text) <= limit:
        return text
    kept = text[: limit - len(COUNTED)].rpartition(",")[0]
    return f"{kept} and {len(pages) - kept.count('#')} more"


def line_of(page: PageFacts, *, limit: int) -> str:
    """One incident of a bundle, its number first, so that a long title cannot push it out."""
    incident = page.incident
    said = f"#{incident.id} [{incident.severity.upper()}] {incident.service}: {incident.title}"
    return shortened(said, limit)


def shortened(text: str, limit: int) -> str:
    """The text without unprintable characters, cut to the limit with an ellipsis."""
    return cut("\n".join(map(_printable, text.split("\n"))).strip(), limit)


def cut(text: str, limit: int) -> str:
    """The text, cut to the limit with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _printable(line: str) -> str:
    """The line without unprintable characters. Most lines have none."""
    return line if line.isprintable() else "".join(map(_shown, line))


def _shown(character: str) -> str:
    """Replace tabs and other kinds of space by spaces, so that words stay apart."""
    if character.isprintable():
        return character
    return " " if character.isspace() else ""
