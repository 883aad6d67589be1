"""The composition root: what the service is made of, built once by whoever starts it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from app.core import metrics
from app.core.channel import CHANNELS, Channel
from app.core.clock import use_own_zone_data
from app.core.config import ChannelSettings, Settings
from app.core.errors import ConfigurationError
from app.core.fingerprint import Fingerprints
from app.core.page_links import PageLinks
from app.core.rate_limit import RateLimits
from app.core.security import HASHING_REQUESTS, Passwords, Tokens
from app.core.settings.secret_list import parts_of
from app.core.source import SOURCES, Source, SourceType
from app.db.embedded.server import EmbeddedPostgres
from app.db.session import Database, connect, shown_url
from app.integrations.discovery import import_all
from app.services.accounts.auth_service import Auth
from app.services.accounts.guess_service import Guesses
from app.services.delivery.ports import Delivery
from app.services.operations import health_checks_service
from app.services.operations.gauges_service import Gauges
from app.services.operations.health_checks_service import Installation
from app.services.operations.probe_service import Probe
from app.services.operations.webhook_token_service import OWN_SOURCE
from app.services.policies.unmatched_service import BY_HAND
from app.services.ports import Paging

for kind in ("channels", "sources"):  # each registers itself
    import_all(f"app.integrations.{kind}")

metrics.declare(channels=CHANNELS.names(), senders=SOURCES.names(), others=(BY_HAND, OWN_SOURCE))

GATHERING_CONNECTIONS = 10  # of the threads in which gathered requests are run
# The plan, the heartbeat, the resets of circuit breakers, the log level, the health check, the metrics, one to spare.
CONNECTIONS_BESIDE_THREADS = 7 + HASHING_REQUESTS


@dataclass(frozen=True, slots=True)
class Services:
    """The parts. Each caller gets the part it needs, never all of them."""

    settings: Settings
    database: Database
    channels: Mapping[str, Channel]
    sources: Mapping[str, Source]
    auth: Auth
    paging: Paging
    delivery: Delivery
    rate_limits: RateLimits
    guesses: Guesses
    health: Probe
    gauges: Gauges


def build_services(settings: Settings, database: Database, **overrides: Any) -> Services:
    """Build the parts. Tests override single ones: `build_services(settings, database, channels=...)`."""
    use_own_zone_data()
    own: Mapping[str, ChannelSettings] = overrides.pop("channel_settings", None) or channel_settings()
    channels: Mapping[str, Channel] = overrides.pop("channels", None) or build_channels(settings, own)
    paging: Paging = overrides.pop("paging", None) or build_paging(settings, channels, own)
    parts: dict[str, Any] = {
        "sources": build_sources(settings),
        "auth": Auth(
            passwords=Passwords(settings.bcrypt_rounds),
            tokens=Tokens(settings),
            refresh_lifetime=timedelta(days=settings.refresh_token_expire_days),
            reset_lifetime=timedelta(minutes=settings.password_reset_expire_minutes),
            public_url=settings.public_url,
        ),
        "rate_limits": RateLimits(is_enabled=bool(settings.rate_limit_enabled)),
        "guesses": Guesses(database, Fingerprints(settings, "guesses"), is_enabled=bool(settings.rate_limit_enabled)),
        "health": build_probe(settings, database, channels),
        "gauges": Gauges(database),
        "delivery": Delivery(database, channels, paging, timedelta(seconds=settings.worker_lease_seconds)),
    }
    return Services(settings, database, channels, paging=paging, **{**parts, **overrides})


def build_probe(settings: Settings, database: Database, channels: Iterable[str]) -> Probe:
    """What looks at the installation for `/health/ready`."""
    is_embedded = settings.database_url is None
    installation = Installation(database, sorted(channels), settings.data_dir if is_embedded else None)
    return Probe(partial(health_checks_service.look, installation))


def build_paging(settings: Settings, channels: Mapping[str, Channel], own: Mapping[str, ChannelSettings]) -> Paging:
    """What planning needs to know about these settings, channels, and the channels' own settings."""
    return Paging(
        channels=frozenset(channels),
        public_url=settings.public_url,
        links=PageLinks(settings),
        must_be_verified=bool(settings.require_verified_addresses),
        unmatched=settings.unmatched_incidents,
        channel_settings=own,
    )


def build_channels(settings: Settings, own: Mapping[str, ChannelSettings]) -> dict[str, Channel]:
    """Every channel that is set up here, by name, from its own settings. Raises ConfigurationError."""
    found = {channel.name: channel.set_up(settings, own[channel.name]) for channel in CHANNELS}
    return {name: channel for name, channel in found.items() if channel is not None}


def build_sources(settings: Settings, known: Iterable[SourceType] = SOURCES) -> dict[str, Source]:
    """Every known source of alerts with its secrets, by name."""
    secrets = {s.name: s.token(settings, s.settings_type()) for s in known}
    tokens = {name: parts_of(secret) if secret is not None else () for name, secret in secrets.items()}
    return {s.name: Source(s.name, tokens[s.name], s.parse, s.drops_429) for s in known}


def require_a_channel(settings: Settings) -> None:
    """Raise ConfigurationError or ValidationError if a channel is set up wrongly, before anything else is done.

    In production also if no channel can wake anybody: webhooks need no provider and are always set up, but wake nobody.
    """
    channels = build_channels(settings, channel_settings())
    if settings.is_production and not any(CHANNELS[name].needs_provider for name in channels):
        raise ConfigurationError(
            "the service cannot start:\n  - no channel can page anybody: set SMTP_HOST, or a provider for sms or push"
        )


def longest_timeout(settings: Settings) -> tuple[str, float]:
    """The longest time-out of any channel: the setting's name and its seconds."""
    own = channel_settings()
    values = [item for of in (settings, *(own[name] for name in build_channels(settings, own))) for item in of]
    timeouts = [(name.upper(), seconds) for name, seconds in values if name.endswith("_timeout_seconds")]
    return max(timeouts, key=lambda timeout: timeout[1])


def channel_settings() -> dict[str, ChannelSettings]:
    """Each channel's own settings, by the channel's name."""
    return {channel.name: channel.settings_type() for channel in CHANNELS}


@contextmanager
def database_of(settings: Settings) -> Iterator[Database]:
    """The database that the settings name; without one, the embedded database, which is started or attached to."""
    if settings.database_url is not None:
        yield from _connected(settings, settings.database_url.get_secret_value())
        return
    embedded = EmbeddedPostgres(settings.data_dir)
    with embedded as url:
        yield from _connected(settings, url, revive=embedded.start)


def name_of_database(settings: Settings) -> str:
    """Which database the settings mean, for an operator: without its password."""
    if settings.database_url is None:
        return f"the embedded one under {settings.data_dir.resolve()}"
    return shown_url(settings.database_url.get_secret_value())


def _connected(settings: Settings, url: str, *, revive: Callable[[], object] | None = None) -> Iterator[Database]:
    overflow = settings.worker_threads + CONNECTIONS_BESIDE_THREADS + GATHERING_CONNECTIONS
    overflow += settings.database_pool_size  # a request that counts a guess does so on a second connection
    database = connect(
        url,
        pool_size=settings.database_pool_size,
        overflow=overflow,
        revive=revive,
        has_trace_comments=settings.database_trace_comments,
    )
    try:
        yield database
    finally:
        database.dispose()
