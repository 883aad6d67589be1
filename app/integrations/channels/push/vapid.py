"""Identifies the sender of a Web Push: VAPID (RFC 8292), a JWT signed with the operator's P-256 key."""

import base64
import binascii
import re
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from jose import jwt

from app.core.clock import utcnow
from app.core.errors import ConfigurationError
from app.integrations.addresses import is_this_machine

TOKEN_SECONDS = 12 * 3600  # RFC 8292, section 2: no more than 24 h
KEY_BYTES = 32
MAIL = re.compile(r"mailto:[^\s<>@]+@((?:[\w-]+\.)+[\w-]+)")
NO_KEY = "WEB_PUSH_PRIVATE_KEY is not a key: make one with `python -m app vapid-key`"
NO_CONTACT = (
    "WEB_PUSH_CONTACT must be an address that push services can reach, such as mailto:operator@example.com or "
    "https://pager.example.com: Apple and others refuse every message without one"
)


def vapid_key(private_key: str, contact: str | None) -> EllipticCurvePrivateKey:
    """The key of WEB_PUSH_PRIVATE_KEY. Raises ConfigurationError, also for a contact that push services refuse."""
    if contact is None:
        raise ConfigurationError(
            "WEB_PUSH_CONTACT is missing: push services need it for complaints. Use a mailto: address"
        )
    try:
        key = _key(decoded(private_key))
    except (ValueError, TypeError):
        raise ConfigurationError(NO_KEY) from None  # the error could contain the secret
    if not _is_reachable(contact):
        raise ConfigurationError(NO_CONTACT)
    return key


def _key(raw: bytes) -> EllipticCurvePrivateKey:
    """The key from 32 bytes or from a DER document. Raises ValueError, TypeError."""
    if len(raw) == KEY_BYTES:
        return derive_private_key(int.from_bytes(raw, "big"), SECP256R1())
    key = load_der_private_key(raw, None)
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise TypeError("not of the curve P-256")
    return key


def _is_reachable(contact: str) -> bool:
    """True for a mailto: or https: URL (RFC 8292, section 2.1) that does not lead to this machine."""
    mail = MAIL.fullmatch(contact)
    if mail is not None:
        return not is_this_machine(f"https://{mail[1]}")
    try:
        parts = urlsplit(contact)
        host = parts.hostname or ""
    except ValueError:
        return False
    is_url = parts.scheme == "https" and "." in host and not re.search(r"\s", contact)
    return is_url and not is_this_machine(contact)


def proof(key: EllipticCurvePrivateKey, audience: str, contact: str) -> dict[str, str]:
    """The header that identifies us, valid for that push service only."""
    expires_at = int(utcnow().timestamp()) + TOKEN_SECONDS
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    token = jwt.encode({"aud": audience, "sub": contact, "exp": expires_at}, pem, algorithm="ES256")
    return {"Authorization": f"vapid t={token},k={public_key(key)}"}


def public_key(key: EllipticCurvePrivateKey) -> str:
    """The public key in the format of browsers."""
    return encoded(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def new_private_key() -> str:
    """A new WEB_PUSH_PRIVATE_KEY: 32 bytes in base64url."""
    return encoded(generate(SECP256R1()).private_numbers().private_value.to_bytes(KEY_BYTES, "big"))


def decoded(text: str) -> bytes:
    """Base64url, padded or not. Raises ValueError."""
    stripped = text.rstrip("=")
    if not stripped.isascii() or "+" in stripped or "/" in stripped:
        raise binascii.Error
    return base64.b64decode(stripped + "=" * (-len(stripped) % 4), altchars=b"-_", validate=True)


def encoded(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
