"""The keys that sign access tokens, the algorithm, and how long tokens live."""

import os
import secrets
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from app.core.errors import ConfigurationError
from app.core.settings.secret_list import no_part, parts_of, weak_part
from app.core.settings.section import Section

MIN_SECRET_BYTES = 32  # RFC 7518, section 3.2: an HS256 key has at least the size of the hash
MIN_SECRET_CHARACTERS = 10  # distinct ones: a key with fewer is a repeated or typed-in word
SECRET_FILE = "secret_key"  # noqa: S105 - the name of a file


class SigningSettings(Section):
    """The access tokens' keys, algorithm and lifetime."""

    secret_key: SecretStr | None = None
    algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    access_token_expire_minutes: Annotated[int, Field(ge=1, le=60 * 24)] = 60
    refresh_token_expire_days: Annotated[int, Field(ge=1, le=365)] = 14

    def problems(self) -> list[str]:
        if self.secret_key is None:
            return []
        return no_part("SECRET_KEY", self.secret_key) + weak_part("SECRET_KEY", self.secret_key, _weakness)

    def production_problems(self) -> list[str]:
        if self.secret_key is None:
            return ["SECRET_KEY is missing: make one with `openssl rand -hex 32`"]
        return weak_part("SECRET_KEY", self.secret_key, _pattern)

    def set_keys(self) -> tuple[str, ...]:
        """The keys of `SECRET_KEY`: the first one signs, all of them verify."""
        return () if self.secret_key is None else parts_of(self.secret_key)


def _weakness(key: str) -> str | None:
    if len(key.encode()) < MIN_SECRET_BYTES:
        return f"is shorter than {MIN_SECRET_BYTES} bytes: make one with `openssl rand -hex 32`"
    if len(set(key)) < MIN_SECRET_CHARACTERS:
        return "is too simple: make one with `openssl rand -hex 32`"
    return None


def _pattern(key: str) -> str | None:
    if _weakness(key) is None and _has_little_variety(key):
        return "repeats itself or counts up or down: make one with `openssl rand -hex 32`"
    return None


def _has_little_variety(key: str) -> bool:
    """True if over half of the key repeats earlier characters, or counts up or down."""
    triples = [key[i : i + 3] for i in range(len(key) - 2)]
    steps = [abs(ord(after) - ord(before)) for before, after in pairwise(key)]
    return len(set(triples)) * 2 < len(triples) or sum(step <= 1 for step in steps) * 2 > len(steps)


def shared_secret(path: Path) -> str:
    """The secret in the file. The first process makes it; a hard link appears whole or not at all."""
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
