"""Push to a browser: RFC 8030 (delivery), RFC 8188 and 8291 (encryption), RFC 8292 (who sends it)."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02, VapidException
from pywebpush import WebPusher, WebPushException

from app.core.channel import Envelope, Outcome
from app.core.clock import utcnow
from app.core.errors import ConfigurationError
from app.core.vocabulary import AttemptOutcome
from app.integrations.addresses import host_of, parsed, require_public_literal
from app.integrations.channels.push.text import body_of, link_of
from app.integrations.http import Limits, post

TTL_SECONDS = 4 * 3600  # a browser that is offline for longer learns of it from other channels
TOKEN_SECONDS = 12 * 3600  # RFC 8292, section 2: no more than 24 h
MAX_PAYLOAD_BYTES = 3900  # RFC 8291, section 4: 4096 with the header and the tag
GONE = frozenset({404, 410})  # RFC 8030, section 7.3
POINT_BYTES, AUTH_BYTES = 65, 16
ENCODING = "aes128gcm"


@dataclass(frozen=True, slots=True)
class WebPush:
    """Encrypts a message for one browser and hands it to that browser's push service."""

    key: Vapid02
    contact: str
    timeout_seconds: float
    allows_private: bool = False

    def send(self, envelope: Envelope) -> Outcome:
        try:
            subscription = json.loads(envelope.address)
            endpoint = str(subscription["endpoint"])
            encrypted = WebPusher(subscription).encode(_payload(envelope), ENCODING)["body"]
            headers = _headers(envelope) | self._proof(endpoint)
        except (LookupError, ValueError, TypeError, AttributeError, WebPushException, VapidException) as error:
            return Outcome(AttemptOutcome.DEAD, error=f"This is not a subscription: {type(error).__name__}.")
        limits = Limits(self.timeout_seconds, allows_private=self.allows_private, gone=GONE, id_header="Location")
        return post(endpoint, data=encrypted, headers=headers, limits=limits)

    def provider(self, address: str) -> str:
        try:
            return host_of(str(json.loads(address)["endpoint"]))
        except (ValueError, KeyError, TypeError):
            return ""

    def _proof(self, endpoint: str) -> dict[str, str]:
        """The header that says who sends this, to that push service only."""
        parts = parsed(endpoint)
        expires_at = int(utcnow().timestamp()) + TOKEN_SECONDS
        audience = f"{parts.scheme}://{parts.netloc}"
        signed: dict[str, str] = self.key.sign({"aud": audience, "sub": self.contact, "exp": expires_at})
        return signed


def _headers(envelope: Envelope) -> dict[str, str]:
    """What the push service reads. Of one incident's messages it keeps the newest for a browser that is offline."""
    topic = {"Topic": f"incident-{envelope.incident_id}"} if envelope.incident_id is not None else {}
    return {
        "Content-Type": "application/octet-stream",
        "Content-Encoding": ENCODING,
        "TTL": str(TTL_SECONDS),
        "Urgency": "high",
        **topic,
    }


def _payload(envelope: Envelope) -> bytes:
    """What the browser's service worker reads: JSON of `title`, `body`, `url` and `incident_id`."""
    said = {"title": envelope.subject, "url": link_of(envelope), "incident_id": envelope.incident_id}

    def payload(body: str) -> bytes:
        return json.dumps({**said, "body": body}, ensure_ascii=False).encode()

    return payload(body_of(envelope, lambda text: len(payload(text)) <= MAX_PAYLOAD_BYTES))


def clean_subscription(address: str, *, allows_private: bool) -> str:
    """A browser's `PushSubscription.toJSON()`, without what is not needed. Raises ValueError."""
    try:
        given = json.loads(address)
        endpoint, keys = given["endpoint"], given["keys"]
        point, auth = _decoded(keys["p256dh"]), _decoded(keys["auth"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            "A Web Push subscription is a JSON object with endpoint, keys.p256dh and keys.auth."
        ) from error
    _require_endpoint(endpoint, allows_private=allows_private)
    _require_keys(point, auth)
    cleaned = {"endpoint": endpoint, "keys": {"p256dh": _encoded(point), "auth": _encoded(auth)}}
    return json.dumps(cleaned, separators=(",", ":"), ensure_ascii=False)


def _require_endpoint(endpoint: Any, *, allows_private: bool) -> None:
    if not isinstance(endpoint, str) or not endpoint.isascii():
        raise ValueError("The endpoint of a subscription is a URL.")
    parts = parsed(endpoint, schemes=("http", "https") if allows_private else ("https",))
    if not allows_private:
        require_public_literal(parts)


def _require_keys(point: bytes, auth: bytes) -> None:
    try:
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except ValueError as error:
        raise ValueError("keys.p256dh is not a point of the curve P-256.") from error
    if len(point) != POINT_BYTES or len(auth) != AUTH_BYTES:
        raise ValueError(f"keys.p256dh has {POINT_BYTES} bytes and keys.auth {AUTH_BYTES}.")


def vapid_key(private_key: str, contact: str | None) -> Vapid02:
    """The key of WEB_PUSH_PRIVATE_KEY, tried out. Raises ConfigurationError."""
    if contact is None:
        raise ConfigurationError("WEB_PUSH_CONTACT is missing: push services want a mailto: address to complain to")
    try:
        key = Vapid02.from_string(private_key)
        is_of_curve = isinstance(key.private_key.curve, SECP256R1)
    except (ValueError, AttributeError, UnsupportedAlgorithm):
        is_of_curve = False
    if not is_of_curve:
        raise ConfigurationError("WEB_PUSH_PRIVATE_KEY is not a key: make one with `python -m app vapid-key`")
    try:
        key.sign({"aud": "https://push.example.com", "sub": contact})
    except VapidException as error:
        raise ConfigurationError("WEB_PUSH_CONTACT must be like mailto:operator@example.com") from error
    return key


def public_key(key: Vapid02) -> str:
    """What a browser needs as `applicationServerKey`: the point in base64url."""
    return _encoded(key.public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def new_private_key() -> str:
    """A new WEB_PUSH_PRIVATE_KEY: 32 bytes in base64url."""
    key = Vapid02()
    key.generate_keys()
    return _encoded(key.private_key.private_numbers().private_value.to_bytes(32, "big"))


def _decoded(text: str) -> bytes:
    """Base64url, padded or not. Raises ValueError."""
    stripped = text.rstrip("=")
    if not stripped.isascii() or "+" in stripped or "/" in stripped:
        raise binascii.Error
    return base64.b64decode(stripped + "=" * (-len(stripped) % 4), altchars=b"-_", validate=True)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
