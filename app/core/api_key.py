"""The form of API keys: `ims_`, 43 random characters, and a checksum of six.

The prefix lets secret scanners find a key that was published, and the checksum tells a key from what only looks like
one. So a key that was mistyped or cut off is refused without a look at the database.
"""

import hashlib
import re
import secrets
import string
import zlib
from dataclasses import dataclass

from app.core.errors import NotAuthenticated

PREFIX = "ims_"
DIGITS = string.digits + string.ascii_letters
SECRET_CHARACTERS = 43  # 256 bits: log2(62) * 43
CHECKSUM_CHARACTERS = 6  # the 32 bits of a CRC
SHOWN_CHARACTERS = 12  # of the whole key, to recognize it by; 208 bits stay secret
KEY = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{SECRET_CHARACTERS + CHECKSUM_CHARACTERS}}}", re.ASCII)
MISTYPED = "The API key is mistyped or cut off. Copy it again, or make a new one."


@dataclass(frozen=True, slots=True)
class KeyProof:
    """What a well-formed API key proves with: its fingerprint, which is all that is stored of it."""

    fingerprint: str


def new() -> str:
    """A key to hand out once."""
    start = PREFIX + "".join(secrets.choice(DIGITS) for _ in range(SECRET_CHARACTERS))
    return start + _checksum(start)


def shown(key: str) -> str:
    """The start of a key, by which people recognize it."""
    return key[:SHOWN_CHARACTERS]


def is_one(token: str) -> bool:
    """True if a bearer token claims to be an API key."""
    return token.startswith(PREFIX)


def read(key: str) -> KeyProof:
    """The proof of a well-formed key. Raises NotAuthenticated."""
    if not KEY.fullmatch(key) or _checksum(key[:-CHECKSUM_CHARACTERS]) != key[-CHECKSUM_CHARACTERS:]:
        raise NotAuthenticated(MISTYPED)
    return proof_of(key)


def proof_of(key: str) -> KeyProof:
    """SHA-256 is enough for 256 random bits: there is nothing to guess."""
    return KeyProof(hashlib.sha256(key.encode()).hexdigest())


def _checksum(text: str) -> str:
    """CRC-32 in base 62."""
    rest, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM_CHARACTERS):
        rest, digit = divmod(rest, len(DIGITS))
        digits = DIGITS[digit] + digits
    return digits
