"""Passwords (bcrypt), access tokens (JWT) and opaque single-use tokens."""

import hashlib
import hmac
import os
import re
import secrets
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property
from uuid import UUID

from jose import JWTError, jwt
from passlib.context import CryptContext

from app.core.clock import utcnow
from app.core.config import Settings
from app.core.errors import NotAuthenticated

OPAQUE_TOKEN_BYTES = 32
MAX_VERIFIED = 20_000  # tokens whose signature is remembered
HASHING_THREADS = 2  # in each process: a hash takes a core for a quarter of a second
HASHING_REQUESTS = 8  # requests side by side that may need one
NICENESS = 5  # of those threads: alerts and pages come first
OPAQUE_TOKEN = re.compile(r"([-\w]{43})(?![A-Za-z0-9])", re.ASCII)  # 43: 32 bytes in base64
MAX_ID = 2**31 - 1  # PostgreSQL's integer


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of an access token: the user and the login session."""

    user_id: int
    session_id: UUID


def _step_back() -> None:
    """Let every other thread go first, where threads have priorities of their own."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


@cache
def _hashing() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(HASHING_THREADS, "password", _step_back)


os.register_at_fork(after_in_child=_hashing.cache_clear)  # a copy of this process has none of its threads


class Passwords:
    """Hashes and verifies passwords of any length with bcrypt over SHA-256, in threads that do nothing else."""

    def __init__(self, rounds: int) -> None:
        self._context = CryptContext(schemes=["bcrypt_sha256"], bcrypt_sha256__rounds=rounds)

    def hash(self, password: str) -> str:
        return _hashing().submit(self._hash, password).result()

    def verify(self, password: str, hashed: str | None) -> bool:
        """True if the password is the hashed one. Without a hash it takes as long, and is False."""
        matches = _hashing().submit(self._matches, password, hashed).result()
        return matches and hashed is not None

    def _hash(self, password: str) -> str:
        return self._context.hash(password)

    def _matches(self, password: str, hashed: str | None) -> bool:
        return self._context.verify(password, hashed or self._nobodys_hash)

    @cached_property
    def _nobodys_hash(self) -> str:
        return self._context.hash(secrets.token_hex())


class Tokens:
    """Signs and reads access tokens. One algorithm, and `exp` and `sub` are required."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.signing_key()
        self._algorithm = settings.algorithm
        self.lifetime = timedelta(minutes=settings.access_token_expire_minutes)
        self._verified: dict[str, tuple[Claims, float]] = {}  # a signature that was right stays right

    def issue(self, claims: Claims) -> str:
        at = utcnow()
        payload = {
            "sub": str(claims.user_id),
            "sid": str(claims.session_id),
            "iat": at,
            "exp": at + self.lifetime,
            "jti": secrets.token_hex(8),
        }
        return jwt.encode(payload, self._key, algorithm=self._algorithm)

    def read(self, token: str) -> Claims:
        """The claims of a valid token. Raises NotAuthenticated for any other string."""
        known = self._verified.get(token)
        if known is not None and known[1] > utcnow().timestamp():
            return known[0]
        claims, expires_at = self._verify(token)
        if len(self._verified) >= MAX_VERIFIED:
            self._verified.clear()
        self._verified[token] = claims, expires_at
        return claims

    def _verify(self, token: str) -> tuple[Claims, float]:
        """The claims of a token whose signature is right, and when it expires, in unix seconds."""
        required = {"require_exp": True, "require_sub": True}
        try:
            payload = jwt.decode(token, self._key, algorithms=[self._algorithm], options=required)
            claims = Claims(int(payload["sub"]), UUID(payload["sid"]))
        except (JWTError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise NotAuthenticated("The access token is invalid or has expired.") from error
        if not 0 < claims.user_id <= MAX_ID:
            raise NotAuthenticated("The access token is invalid or has expired.")
        return claims, float(payload["exp"])

    def seal(self, data: bytes) -> str:
        """A fingerprint that only this installation can make, so that guessable texts cannot be tried on it."""
        return hmac.new(self._key.encode(), b"seal:" + data, hashlib.sha256).hexdigest()


def without_punctuation(text: str, token: re.Pattern[str]) -> str:
    """The token at the start of the text, without punctuation copied with the link; else the text itself."""
    found = token.match(text)
    return found[1] if found else text


def new_opaque_token() -> str:
    """A random token to hand out; only its `fingerprint` is stored."""
    return secrets.token_urlsafe(OPAQUE_TOKEN_BYTES)


def fingerprint(token: str) -> str:
    """SHA-256 in hex. Enough for a token of 256 random bits: there is nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def same_secret(given: str, expected: str) -> bool:
    """Compare in constant time."""
    return secrets.compare_digest(given.encode("utf-8", "replace"), expected.encode())
