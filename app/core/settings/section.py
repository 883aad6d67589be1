"""The base of all settings: where they are read from, and the types that several share."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.core.settings.secret_files import SecretFiles

Port = Annotated[int, Field(ge=0, le=65535)]


def _web_url(url: str) -> str:
    """The URL, unchanged; it may be empty. Raises ValueError, which does not repeat it: its path may be a secret."""
    if not url:
        return url
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("must not contain spaces or control characters")
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets without an IPv6 address, or an invalid port
        is_whole = False
    if not is_whole:
        raise ValueError("must be a full URL with http:// or https:// and a host, such as https://pager.example.com")
    return url


WebUrl = Annotated[str, AfterValidator(_web_url)]


class EnvironmentSettings(BaseSettings):
    """Settings from environment variables, lines of `.env`, and files that those name for secrets."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - a directory, which nobody can name here
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        files = SecretFiles(settings_cls, env_settings, dotenv_settings)
        return init_settings, env_settings, dotenv_settings, files


class Section(EnvironmentSettings):
    """Settings of one subject. The upper-case name is the variable's name."""

    def problems(self) -> list[str]:
        """Why the service refuses to start with these values, a sentence each."""
        return []

    def production_problems(self) -> list[str]:
        """Why it refuses to start with these values in production."""
        return []

    def serving_problems(self) -> list[str]:
        """Why a process that serves refuses to start with these values in production. A worker alone may."""
        return []


class ChannelSettings(EnvironmentSettings):
    """The settings of one channel, declared in its file and read from the same places as the others."""
