"""What all settings are made of: where they are read from, and the types that several share."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=0, le=65535)]


def _web_url(url: str) -> str:
    """The URL as it is given, or nothing. Raises ValueError, which does not repeat it: its path may be a secret."""
    if not url:
        return url
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("must not have spaces or control characters in it")
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that are no IPv6 address, or a port that is none
        is_whole = False
    if not is_whole:
        raise ValueError("must be a whole URL with http:// or https:// and a host, such as https://pager.example.com")
    return url


WebUrl = Annotated[str, AfterValidator(_web_url)]


class Section(BaseSettings):
    """Settings of one subject. The upper-case name is the variable's name."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True)

    def problems(self) -> list[str]:
        """Why the service must not start like this, a sentence each."""
        return []

    def production_problems(self) -> list[str]:
        """Why it must not start like this in production."""
        return []


class ChannelSettings(BaseSettings):
    """The settings of one channel, declared in its file and read from where the others are."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True)
