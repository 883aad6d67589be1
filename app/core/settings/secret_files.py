"""Reads secrets from files, such as Docker's secrets: `SMTP_PASSWORD_FILE` names a file that has the `SMTP_PASSWORD`.

Every setting of the type SecretStr has such a variable, also those that channels and sources declare.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from app.core.errors import ConfigurationError

SUFFIX = "_file"
MAX_BYTES = 64 * 1024


class SecretFiles(PydanticBaseSettingsSource):
    """The secrets whose files are named in the environment or in `.env`."""

    def __init__(self, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        named = [source.env_vars for source in reversed(sources) if isinstance(source, EnvSettingsSource)]
        self._variables = {name: value for variables in named for name, value in variables.items() if value}

    def __call__(self) -> dict[str, Any]:
        """Raises ConfigurationError, which names every file that cannot be used."""
        found: dict[str, str] = {}
        problems = []
        for name in secrets_of(self.settings_cls):
            try:
                found |= self._read(name)
            except ValueError as error:
                problems.append(f"  - {name.upper()}{SUFFIX.upper()} {error}")
        if problems:
            raise ConfigurationError("\n".join(["the service cannot start:", *problems]))
        return found

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Part of the base class's protocol."""
        return self._read(field_name).get(field_name), field_name, False

    def _read(self, name: str) -> dict[str, str]:
        """The value of a setting, if a file is named for it. Raises ValueError."""
        path = self._variables.get(f"{name}{SUFFIX}")
        if path is None:
            return {}
        if name in self._variables:
            raise ValueError(f"and {name.upper()} are both set: set one of the two")
        return {name: content_of(Path(path))}


def secrets_of(settings_cls: type[BaseSettings]) -> Iterator[str]:
    """The names of the settings that are secrets."""
    for name, field in settings_cls.model_fields.items():
        if SecretStr in (field.annotation, *get_args(field.annotation)):
            yield name


def content_of(path: Path) -> str:
    """The secret in a file, without the newline at its end. Raises ValueError, which does not repeat it."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"names {path}, which cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise ValueError(f"names {path}, which is over {MAX_BYTES} bytes: no secret is that long")
    try:
        secret = content.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"names {path}, which is not UTF-8 text") from error
    if not secret.strip():
        raise ValueError(f"names {path}, which is empty")
    return secret
