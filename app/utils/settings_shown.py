"""Shows the settings in force as the audit log keeps them: of a text that may be a secret, only a fingerprint."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from app.core.security import Tokens

FINGERPRINT_CHARACTERS = 16
# Texts that are shown. All others count as secrets, so that a new setting is one until it is named here.
SHOWN = frozenset(
    {
        "algorithm", "allowed_hosts", "backend_cors_origins", "data_dir", "first_superuser", "host", "log_level",
        "phone_default_region", "public_url", "sms_gateway_content_type", "sms_gateway_id_path", "smtp_from",
        "smtp_host", "smtp_tls", "smtp_user", "trusted_proxies", "twilio_base_url", "twilio_phone_number",
        "web_push_contact",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """Settings by their names, and the names of those that are secrets."""

    values: Mapping[str, Any]
    secrets: frozenset[str]


def shown(parts: Iterable[BaseSettings], tokens: Tokens) -> Shown:
    """All settings of these parts that have a value."""
    values: dict[str, Any] = {}
    secrets: set[str] = set()
    for name, value in _of(parts):
        if value is None or value == "":
            continue
        if _is_open(name, value):
            values[name.upper()] = _plain(value)
        else:
            values[name.upper()] = _fingerprint(name, value, tokens)
            secrets.add(name.upper())
    return Shown(values, frozenset(secrets))


def _of(parts: Iterable[BaseSettings]) -> Iterator[tuple[str, Any]]:
    for part in parts:
        yield from part


def _is_open(name: str, value: Any) -> bool:
    return isinstance(value, bool | int | float | Enum) or (name in SHOWN and not isinstance(value, SecretStr))


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def _fingerprint(name: str, value: Any, tokens: Tokens) -> str:
    text = value.get_secret_value() if isinstance(value, SecretStr) else repr(value)
    sealed = tokens.seal(f"setting:{name}:{text}".encode("utf-8", "replace"))
    return f"fingerprint {sealed[:FINGERPRINT_CHARACTERS]}"
