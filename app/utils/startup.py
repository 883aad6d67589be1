"""Prepares the start: checks or migrates the schema, makes the first administrator, and logs what is not set up."""

import gc
import secrets
import sys
from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from app.core.config import Settings
from app.core.security import Passwords
from app.core.settings.network import ANY, FORMER_NAME, former_proxies
from app.crud import crud_user
from app.db import migrations
from app.db.session import Database
from app.integrations.addresses import is_this_machine
from app.models import User
from app.schemas.user import UserCreate
from app.services.accounts import user_service
from app.services.delivery.readiness_service import WHOLE_ENOUGH
from app.services.operations import settings_record_service
from app.utils import settings_shown
from app.utils.service_locator import Services, longest_timeout

log = structlog.get_logger()

DEFAULT_ADMIN = "admin@example.com"
GENERATED_PASSWORD_BYTES = 12
HOW_TO_MAKE_AN_ADMIN = (
    "run `python -m app create-admin EMAIL`, or set FIRST_SUPERUSER and FIRST_SUPERUSER_PASSWORD and start again"
)
HOW_TO_PROMOTE = (
    "FIRST_SUPERUSER is an account that is not an administrator: run `python -m app create-admin EMAIL`, which sets a "
    "new password"
)


@dataclass(frozen=True, slots=True)
class NewAdmin:
    """An administrator, the generated password if there is one, and whether the account existed before."""

    user: User
    made_up_password: str | None
    is_promoted: bool


def prepare(settings: Settings, database: Database) -> None:
    """Migrate or check the schema, and make the first administrator. Raises ConfigurationError."""
    prepare_schema(settings, database)
    _make_first_admin(settings, database)


def prepare_schema(settings: Settings, database: Database) -> None:
    """Migrate or check the schema. A worker alone needs no more. Raises ConfigurationError."""
    if settings.migrate_on_start:
        migrations.upgrade(database)
    else:
        migrations.require_current(database)


def make_admin(session: Session, email: str, password: str | None, passwords: Passwords) -> NewAdmin:
    """Make an administrator, or promote the account with this address. Without a password, generates one."""
    made_up = None if password else secrets.token_urlsafe(GENERATED_PASSWORD_BYTES)
    chosen = password or made_up or ""
    existing = crud_user.by_email(session, email)
    if existing is not None:
        return NewAdmin(user_service.promote(session, existing.id, chosen, passwords), made_up, is_promoted=True)
    new = UserCreate(email=email, password=chosen, is_superuser=True)
    return NewAdmin(user_service.create(session, new, passwords), made_up, is_promoted=False)


def _make_first_admin(settings: Settings, database: Database) -> None:
    passwords = Passwords(settings.bcrypt_rounds)
    email = settings.first_superuser or DEFAULT_ADMIN
    password = settings.first_superuser_password
    with database.transaction() as session:
        crud_user.lock_first_admin(session)
        if settings.first_superuser is None and crud_user.active_admins(session):
            return
        if settings.first_superuser is None and settings.is_production:
            log.error("no_administrator", cure=HOW_TO_MAKE_AN_ADMIN)  # a generated password would end up in the log
            return
        if crud_user.by_email(session, email) is not None and settings.first_superuser is not None:
            if not crud_user.active_admins(session):  # somebody may have signed up with the address
                log.error("no_administrator", cure=HOW_TO_PROMOTE)
            return
        made = make_admin(session, email, password.get_secret_value() if password else None, passwords)
    if made.made_up_password is not None:
        show_once(email, made.made_up_password)


def record_settings(services: Services, role: str) -> None:
    """Record in the audit log how the settings in force differ from those at the last start in this role."""
    found = settings_shown.shown([services.settings, *services.paging.channel_settings.values()], services.auth.tokens)
    with services.database.transaction() as session:
        settings_record_service.record(session, role, found.values, found.secrets)


def show_once(email: str, password: str) -> None:
    """Show a generated password to the operator: on the terminal, never in the log."""
    lines = ["", f"  Administrator: {email}", f"  Password:      {password}", "  This password is shown only once.", ""]
    print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201


def settle() -> None:
    """Take all objects that exist now for ones that stay: the garbage collector no longer looks at them.

    It stops every thread while it looks: a tenth of a second for the 200,000 objects of the application.
    """
    gc.collect()
    gc.freeze()


def warn(settings: Settings) -> None:
    """Log what is not set up on this installation."""
    if settings.smtp_host is None and settings.is_production:
        log.error("smtp_not_configured", cure="set SMTP_HOST: without it, nobody can recover a password by mail either")
    elif settings.smtp_host is None:
        log.warning("mail_goes_to_files", directory=str(settings.data_dir / "mail"), cure="set SMTP_HOST")
    if settings.elastic_webhook_token is None:
        log.warning("webhook_is_open", cure="set ELASTIC_WEBHOOK_TOKEN")
    if settings.is_production and is_this_machine(settings.public_url):
        log.error("links_lead_to_this_machine", public_url=settings.public_url, cure="set PUBLIC_URL")
    if settings.is_production and settings.may_be_read_on_the_way():
        log.warning("database_connection_not_encrypted", cure="add ?sslmode=verify-full to DATABASE_URL")
    if settings.is_production and settings.metrics_token is None:
        log.warning("metrics_are_closed", cure="set METRICS_TOKEN, and give it to Prometheus")
    name, seconds = longest_timeout(settings)
    if settings.worker_lease_seconds * WHOLE_ENOUGH <= seconds:
        least = int(seconds / WHOLE_ENOUGH) + 1
        cure = f"set WORKER_LEASE_SECONDS to {least} or more, or lower {name}"
        log.error("lease_is_short", lease_seconds=settings.worker_lease_seconds, timeout_seconds=seconds, cure=cure)


def warn_server(settings: Settings) -> None:
    """Log what is set up in a doubtful way for a process that serves."""
    if former_proxies():
        log.warning("setting_renamed", was=FORMER_NAME, cure="set TRUSTED_PROXIES instead")
    if settings.is_production and ANY in settings.proxies:
        cure = "set TRUSTED_PROXIES to the addresses of your proxies: now every client can claim any address, and HTTPS"
        log.warning("every_proxy_trusted", cure=cure)
