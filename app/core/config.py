"""Settings: environment variables, or lines of `.env`. Every one has a safe default."""

import hashlib
import hmac
from functools import lru_cache
from typing import Self

from pydantic import model_validator

from app.core.errors import ConfigurationError
from app.core.settings.accounts import AccountSettings
from app.core.settings.database import DatabaseSettings
from app.core.settings.limits import LimitSettings
from app.core.settings.metrics import MetricsSettings
from app.core.settings.network import ANY, NetworkSettings
from app.core.settings.paging import PagingSettings
from app.core.settings.providers import ProviderSettings
from app.core.settings.section import ChannelSettings
from app.core.settings.server import ServerSettings
from app.core.settings.signing import SECRET_FILE, SigningSettings, shared_secret
from app.core.settings.sources import SourceSettings
from app.core.vocabulary import Environment

__all__ = ["SECRET_FILE", "SECTIONS", "ChannelSettings", "Settings", "get_settings"]

# Problems are listed in this order.
SECTIONS = (
    SigningSettings,
    DatabaseSettings,
    AccountSettings,
    LimitSettings,
    SourceSettings,
    ServerSettings,
    MetricsSettings,
    NetworkSettings,
    PagingSettings,
    ProviderSettings,
)


class Settings(
    SigningSettings,
    DatabaseSettings,
    AccountSettings,
    LimitSettings,
    SourceSettings,
    ServerSettings,
    MetricsSettings,
    NetworkSettings,
    PagingSettings,
    ProviderSettings,
):
    """What an operator can set, except the settings of single channels. The variable has the upper-case name."""

    @model_validator(mode="after")
    def _fill_defaults_of_the_environment(self) -> Self:
        development = self.environment is Environment.DEVELOPMENT
        if self.open_signup is None:
            self.open_signup = development
        if self.migrate_on_start is None:
            self.migrate_on_start = development
        if self.rate_limit_enabled is None:
            self.rate_limit_enabled = not development
        if self.require_verified_addresses is None:
            self.require_verified_addresses = not development
        if self.force_https is None:
            self.force_https = not development
        if development and not self.allowed_hosts:
            self.allowed_hosts = [ANY]
        if not self.public_url:
            self.public_url = self.own_url
        return self

    def signing_keys(self) -> tuple[str, ...]:
        """The keys of `SECRET_KEY`, or one that is made once under `DATA_DIR`. The first one signs, all verify."""
        return self.set_keys() or (shared_secret(self.data_dir / SECRET_FILE),)

    def derived_keys(self, purpose: bytes) -> tuple[bytes, ...]:
        """A key for one purpose from each of the signing keys, in their order."""
        return tuple(hmac.new(key.encode(), purpose, hashlib.sha256).digest() for key in self.signing_keys())

    def problems(self) -> list[str]:
        return [problem for section in SECTIONS for problem in section.problems(self)]

    def production_problems(self) -> list[str]:
        return [problem for section in SECTIONS for problem in section.production_problems(self)]

    def check(self) -> None:
        """Raise ConfigurationError, which names every problem, if the service must not start with these values."""
        problems = self.problems()
        if self.is_production:
            problems += self.production_problems()
        _require_none(problems)

    def check_serving(self) -> None:
        """Raise ConfigurationError if a process must not serve with these values. A worker alone may start."""
        if self.is_production:
            _require_none([problem for section in SECTIONS for problem in section.serving_problems(self)])


def _require_none(problems: list[str]) -> None:
    if problems:
        raise ConfigurationError("the service cannot start:\n" + "\n".join(f"  - {p}" for p in problems))


@lru_cache
def get_settings() -> Settings:
    """The settings of this process, read once. Raises ConfigurationError if the service cannot start with them."""
    settings = Settings()
    settings.check()
    return settings
