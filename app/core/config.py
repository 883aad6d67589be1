"""Settings: environment variables, or lines of `.env`. Every one has a default that is safe."""

import json
import os
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from app.core.errors import ConfigurationError
from app.core.phone import known_region
from app.core.vocabulary import Environment, Severity

MIN_SECRET_BYTES = 32  # RFC 7518, section 3.2: an HS256 key has at least the size of the hash
MIN_SECRET_CHARACTERS = 10  # different ones: fewer is a repeated or typed-in word
SECRET_FILE = "secret_key"  # noqa: S105 - the name of a file
MIN_PASSWORD_LENGTH = 8  # NIST SP 800-63B, section 5.1.1.1

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


class ChannelSettings(BaseSettings):
    """The settings of one channel, declared in its file and read from where the others are."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True)


class Settings(BaseSettings):
    """What an operator can set, beside the settings of single channels. The upper-case name is the variable's name."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True)

    environment: Environment = Environment.DEVELOPMENT
    host: str = "127.0.0.1"
    port: Port = 8000
    web_concurrency: Annotated[int, Field(ge=1, le=64)] = 1
    data_dir: Path = Path("var")
    public_url: WebUrl = ""
    backend_cors_origins: Annotated[list[str], NoDecode] = []
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    max_connections: Annotated[int, Field(ge=1024, le=65536)] = 1024
    request_memory_mib: Annotated[int, Field(ge=16, le=65536)] = 64

    database_url: SecretStr | None = None
    database_pool_size: Annotated[int, Field(ge=2, le=100)] = 10
    migrate_on_start: bool | None = None

    secret_key: SecretStr | None = None
    algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    access_token_expire_minutes: Annotated[int, Field(ge=1, le=60 * 24)] = 60
    refresh_token_expire_days: Annotated[int, Field(ge=1, le=365)] = 14
    password_reset_expire_minutes: Annotated[int, Field(ge=1, le=60 * 24)] = 30
    bcrypt_rounds: Annotated[int, Field(ge=4, le=16)] = 12
    open_signup: bool | None = None
    first_superuser: str | None = None
    first_superuser_password: SecretStr | None = None
    rate_limit_enabled: bool | None = None

    elastic_webhook_token: SecretStr | None = None
    webhook_default_severity: Severity = Severity.HIGH

    worker_enabled: bool = True
    worker_threads: Annotated[int, Field(ge=1, le=64)] = 16
    worker_lease_seconds: Annotated[int, Field(ge=10, le=3600)] = 60
    shutdown_grace_seconds: Annotated[int, Field(ge=1, le=300)] = 20
    dead_man_url: WebUrl | None = None
    dead_man_interval_seconds: Annotated[int, Field(ge=5, le=3600)] = 60
    page_link_hours: Annotated[int, Field(ge=1, le=24 * 30)] = 72
    require_verified_addresses: bool | None = None

    smtp_host: str | None = None
    smtp_port: Port = 587
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_from: str = "incidents@localhost"
    smtp_tls: Literal["none", "starttls", "tls"] = "starttls"
    smtp_timeout_seconds: Annotated[float, Field(gt=0, le=50)] = 10.0

    phone_default_region: Annotated[str, AfterValidator(known_region)] | None = None
    twilio_account_sid: str | None = None
    twilio_auth_token: SecretStr | None = None
    twilio_phone_number: str | None = None

    @field_validator("backend_cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if isinstance(value, str):
            value = json.loads(value) if value.lstrip().startswith("[") else value.split(",")
        if isinstance(value, list):
            return [origin.strip().rstrip("/") for origin in map(str, value) if origin.strip()]
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

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
        if not self.public_url:
            self.public_url = self.own_url
        return self

    @property
    def own_url(self) -> str:
        """Where the service listens."""
        return f"http://{self.host}:{self.port}"

    @property
    def is_production(self) -> bool:
        return self.environment is Environment.PRODUCTION

    def signing_key(self) -> str:
        """The key of the access tokens: `SECRET_KEY`, or one made once under `DATA_DIR`."""
        if self.secret_key is not None:
            return self.secret_key.get_secret_value()
        return _shared_secret(self.data_dir / SECRET_FILE)

    def check(self) -> None:
        """Raise ConfigurationError, naming every problem, if the service must not start like this."""
        problems = list(_problems(self))
        if self.is_production:
            problems += _production_problems(self)
        if problems:
            raise ConfigurationError("the service cannot start:\n" + "\n".join(f"  - {p}" for p in problems))


def _problems(settings: Settings) -> list[str]:
    found = []
    if settings.secret_key is not None and _weakness(settings.secret_key.get_secret_value()):
        found.append(f"SECRET_KEY {_weakness(settings.secret_key.get_secret_value())}")
    if settings.database_url is not None and not _is_postgresql(settings.database_url.get_secret_value()):
        found.append("DATABASE_URL must be such as postgresql://user:password@127.0.0.1:5432/incidents")
    if (settings.first_superuser is None) != (settings.first_superuser_password is None):
        found.append("FIRST_SUPERUSER and FIRST_SUPERUSER_PASSWORD go together: set both or neither")
    password = settings.first_superuser_password
    if password is not None and len(password.get_secret_value()) < MIN_PASSWORD_LENGTH:
        found.append(f"FIRST_SUPERUSER_PASSWORD is shorter than {MIN_PASSWORD_LENGTH} characters")
    return found


def _production_problems(settings: Settings) -> list[str]:
    found = []
    if settings.secret_key is None:
        found.append("SECRET_KEY is missing: make one with `openssl rand -hex 32`")
    if settings.database_url is None:
        found.append("DATABASE_URL is missing: the embedded database is for development only")
    if settings.elastic_webhook_token is None:
        found.append("ELASTIC_WEBHOOK_TOKEN is missing: anybody could open incidents")
    return found


def _is_postgresql(url: str) -> bool:
    """True of what is a URL for psycopg2."""
    try:
        return make_url(url).drivername in ("postgres", "postgresql", "postgresql+psycopg2")
    except (ArgumentError, ValueError):
        return False


def _weakness(key: str) -> str | None:
    if len(key.encode()) < MIN_SECRET_BYTES:
        return f"is shorter than {MIN_SECRET_BYTES} bytes: make one with `openssl rand -hex 32`"
    if len(set(key)) < MIN_SECRET_CHARACTERS:
        return "is too simple: make one with `openssl rand -hex 32`"
    return None


def _shared_secret(path: Path) -> str:
    """The secret in the file, made by whichever process comes first. A link appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(MIN_SECRET_BYTES))
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    secret = path.read_text().strip()
    if weakness := _weakness(secret):
        raise ConfigurationError(f"the secret in {path} {weakness}")
    return secret


@lru_cache
def get_settings() -> Settings:
    """The settings of this process, read once. Raises ConfigurationError when they cannot work."""
    settings = Settings()
    settings.check()
    return settings
