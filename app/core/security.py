"""Passwords (bcrypt), access tokens (JWT), bearer tokens in general, and opaque single-use tokens."""

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

from app.core import api_key
from app.core.api_key import KeyProof
from app.core.clock import utcnow
from app.core.config import Settings
from app.core.errors import NotAuthenticated

OPAQUE_TOKEN_BYTES = 32
KEY_NAME_CHARACTERS = 8
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


Bearer = Claims | KeyProof  # what a bearer token shows: a login session, or an API key


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
    """Signs and reads access tokens, and seals. One algorithm, and `exp` and `sub` are required.

    The first key signs. What any of the keys has signed counts, so that a key can be replaced while its tokens live.
    """

    def __init__(self, settings: Settings) -> None:
        self._keys = {_name_of(key): key for key in settings.signing_keys()}
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
        name, key = next(iter(self._keys.items()))
        return jwt.encode(payload, key, algorithm=self._algorithm, headers={"kid": name})

    def read(self, token: str) -> Bearer:
        """Who sends a valid access token or a well-formed API key. Raises NotAuthenticated for any other string."""
        known = self._verified.get(token)
        if known is not None and known[1] > utcnow().timestamp():
            return known[0]
        if api_key.is_one(token):
            return api_key.read(token)
        claims, expires_at = self._verify(token)
        if len(self._verified) >= MAX_VERIFIED:
            self._verified.clear()
        self._verified[token] = claims, expires_at
        return claims

    def _verify(self, token: str) -> tuple[Claims, float]:
        """The claims of a token whose signature is right, and when it expires, in unix seconds."""
        required = {"require_exp": True, "require_sub": True}
        try:
            payload = jwt.decode(token, self._keys_of(token), algorithms=[self._algorithm], options=required)
            claims = Claims(int(payload["sub"]), UUID(payload["sid"]))
        except (JWTError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise NotAuthenticated("The access token is invalid or has expired.") from error
        if not 0 < claims.user_id <= MAX_ID:
            raise NotAuthenticated("The access token is invalid or has expired.")
        return claims, float(payload["exp"])

    def _keys_of(self, token: str) -> tuple[str, ...]:
        """The key that a token names. One that names none is from an earlier release: any of the keys may fit."""
        name = jwt.get_unverified_header(token).get("kid")
        return tuple(self._keys.values()) if name is None else (self._keys[name],)

    def seal(self, data: bytes) -> str:
        """A fingerprint that only this installation can make, so that guessable texts cannot be tried on it."""
        return self.seals(data)[0]

    def seals(self, data: bytes) -> tuple[str, ...]:
        """The seals by all of the keys, the one in use first."""
        return tuple(hmac.new(key.encode(), b"seal:" + data, hashlib.sha256).hexdigest() for key in self._keys.values())

    def has_sealed(self, data: bytes, seal: str) -> bool:
        """True if the seal of this data is one that any of the keys has made."""
        return any(same_secret(seal, made) for made in self.seals(data))


def _name_of(key: str) -> str:
    """What tokens call the key that signed them. It says nothing about the key."""
    return hmac.new(key.encode(), b"name of a key", hashlib.sha256).hexdigest()[:KEY_NAME_CHARACTERS]


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
