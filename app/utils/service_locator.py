"""The composition root: what the service is made of, built once by whoever starts it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.core.config import Settings
from app.core.rate_limit import RateLimits
from app.core.security import Passwords, Tokens
from app.db.embedded import EmbeddedPostgres
from app.db.session import Database, connect
from app.integrations.channels.email import EmailChannel, FileTransport, SmtpTransport, Transport
from app.services.auth_service import Auth
from app.services.delivery_service import Delivery
from app.services.ports import Channel, Paging

CONNECTIONS_BESIDE_THREADS = 4  # the worker's jobs, the health check, and one to spare


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
        return Delivery(self.database, self.channels, timedelta(seconds=self.settings.worker_lease_seconds))


def build_services(settings: Settings, database: Database, **overrides: Any) -> Services:
    """Put the parts together. Tests override single parts: `build_services(settings, database, channels=...)`."""
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
        "paging": Paging(channels=frozenset(channels), public_url=settings.public_url),
    }
    return Services(settings=settings, database=database, channels=channels, **{**parts, **overrides})


def build_channels(settings: Settings) -> dict[str, Channel]:
    """Every channel that is set up here, by name."""
    email = EmailChannel(sender=settings.smtp_from, transport=_mail_transport(settings))
    return {email.name: email}


def _mail_transport(settings: Settings) -> Transport:
    if settings.smtp_host is None:
        return FileTransport(settings.data_dir / "mail")
    return SmtpTransport(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        timeout_seconds=settings.smtp_timeout_seconds,
        user=settings.smtp_user,
        password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
    )


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
