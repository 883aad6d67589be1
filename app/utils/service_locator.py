"""The composition root: what the service is made of, built once by whoever starts it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any

from app.core.channel import CHANNELS, Channel
from app.core.clock import use_own_zone_data
from app.core.config import ChannelSettings, Settings
from app.core.errors import ConfigurationError
from app.core.rate_limit import RateLimits
from app.core.security import HASHING_REQUESTS, PageLinks, Passwords, Tokens
from app.db.embedded.server import EmbeddedPostgres
from app.db.session import Database, connect
from app.services.accounts.auth_service import Auth
from app.services.ports import Delivery, Paging

# Importing a channel registers it. A person who has set no order is reached by the first of these that leads anywhere.
for known in ("email.channel", "sms.channel", "push.channel", "webhook", "slack", "teams", "apprise"):
    import_module(f"app.integrations.channels.{known}")

CONNECTIONS_BESIDE_THREADS = 4 + HASHING_REQUESTS  # the worker's jobs, the health check, and one to spare


@dataclass(frozen=True, slots=True)
class Services:
    """The parts. Whoever needs one is handed that part, never all of them."""

    settings: Settings
    database: Database
    channels: Mapping[str, Channel]
    auth: Auth
    paging: Paging
    rate_limits: RateLimits

    @property
    def delivery(self) -> Delivery:
        lease = timedelta(seconds=self.settings.worker_lease_seconds)
        return Delivery(self.database, self.channels, self.paging, lease)


def build_services(settings: Settings, database: Database, **overrides: Any) -> Services:
    """Put the parts together. Tests override single parts: `build_services(settings, database, channels=...)`."""
    use_own_zone_data()
    channels: Mapping[str, Channel] = overrides.pop("channels", None) or build_channels(settings)
    parts: dict[str, Any] = {
        "auth": Auth(
            passwords=Passwords(settings.bcrypt_rounds),
            tokens=Tokens(settings),
            refresh_lifetime=timedelta(days=settings.refresh_token_expire_days),
            reset_lifetime=timedelta(minutes=settings.password_reset_expire_minutes),
            public_url=settings.public_url,
        ),
        "rate_limits": RateLimits(is_enabled=bool(settings.rate_limit_enabled)),
        "paging": Paging(
            channels=frozenset(channels),
            public_url=settings.public_url,
            links=PageLinks(settings),
            must_be_verified=bool(settings.require_verified_addresses),
            channel_settings=channel_settings(),
        ),
    }
    return Services(settings=settings, database=database, channels=channels, **{**parts, **overrides})


def build_channels(settings: Settings) -> dict[str, Channel]:
    """Every channel that is set up here, by name. Raises ConfigurationError."""
    own = channel_settings()
    found = {channel.name: channel.set_up(settings, own[channel.name]) for channel in CHANNELS}
    return {name: channel for name, channel in found.items() if channel is not None}


def require_a_channel(settings: Settings) -> None:
    """Raise ConfigurationError or ValidationError if a channel is set up wrongly, before anything else is done.

    In production also if nobody could be paged: a webhook alone needs no provider and is always there, but nobody is
    woken by one.
    """
    channels = build_channels(settings)
    if settings.is_production and channels.keys() <= {"webhook", "slack", "teams"}:
        raise ConfigurationError(
            "the service cannot start:\n"
            "  - no channel could page anybody: SMTP_HOST is missing, and so is every provider of sms and push"
        )


def longest_timeout(settings: Settings) -> tuple[str, float]:
    """The setting that says how long a call of a channel may take, and its seconds, of the one that takes longest."""
    own = channel_settings()
    values = [item for of in (settings, *(own[name] for name in build_channels(settings))) for item in of]
    timeouts = [(name.upper(), seconds) for name, seconds in values if name.endswith("_timeout_seconds")]
    return max(timeouts, key=lambda timeout: timeout[1])


def channel_settings() -> dict[str, ChannelSettings]:
    """The settings that channels declare themselves, by the channel's name."""
    return {channel.name: channel.settings_type() for channel in CHANNELS}


@contextmanager
def database_of(settings: Settings) -> Iterator[Database]:
    """The database of the settings; the embedded one, started or attached to, if they name none."""
    if settings.database_url is not None:
        yield from _connected(settings, settings.database_url.get_secret_value())
        return
    embedded = EmbeddedPostgres(settings.data_dir)
    with embedded as url:
        yield from _connected(settings, url, revive=embedded.start)


def _connected(settings: Settings, url: str, *, revive: Callable[[], object] | None = None) -> Iterator[Database]:
    overflow = settings.worker_threads + CONNECTIONS_BESIDE_THREADS
    database = connect(url, pool_size=settings.database_pool_size, overflow=overflow, revive=revive)
    try:
        yield database
    finally:
        database.dispose()
