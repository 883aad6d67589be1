"""Push to a browser: RFC 8030 (delivery), RFC 8188 and 8291 (encryption), RFC 8292 (sender)."""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import http_ece
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from http_ece import ECEException

from app.core.channel import Envelope, Outcome
from app.core.vocabulary import AttemptOutcome
from app.integrations.addresses import host_of, parsed, require_public_literal
from app.integrations.channels.push.text import body_of, link_of
from app.integrations.channels.push.vapid import decoded, encoded, proof
from app.integrations.http import Limits, post, post_or_plainer

TTL_SECONDS = 4 * 3600  # a browser that is offline for longer gets no push
MAX_PAYLOAD_BYTES = 3900  # RFC 8291, section 4: 4096 with the header and the tag
GONE = frozenset({404, 410})  # RFC 8030, section 7.3
POINT_BYTES, AUTH_BYTES = 65, 16
ENCODING = "aes128gcm"
EXTRAS = {"Topic", "Urgency"}  # RFC 8030, sections 5.3 and 5.4: optional headers


@dataclass(frozen=True, slots=True)
class WebPush:
    """Encrypts a message for one browser and hands it to that browser's push service."""

    key: EllipticCurvePrivateKey
    contact: str
    timeout_seconds: float
    allows_private: bool = False

    def send(self, envelope: Envelope) -> Outcome:
        try:
            subscription = json.loads(envelope.address)
            endpoint = str(subscription["endpoint"])
            encrypted = _encrypted(_payload(envelope), subscription["keys"])
            headers = _headers(envelope) | self._proof(endpoint)
        except (LookupError, ValueError, TypeError, AttributeError, ECEException) as error:
            return Outcome(
                AttemptOutcome.DEAD, error=f"The address is not a Web Push subscription: {type(error).__name__}."
            )
        limits = Limits(self.timeout_seconds, allows_private=self.allows_private, gone=GONE, id_header="Location")
        plain = {name: value for name, value in headers.items() if name not in EXTRAS}
        return post_or_plainer(
            limits,
            lambda limits: post(endpoint, data=encrypted, headers=headers, limits=limits),
            lambda limits: post(endpoint, data=encrypted, headers=plain, limits=limits),
            is_refused=lambda outcome: outcome.status_code == HTTPStatus.BAD_REQUEST,
        )

    def provider(self, address: str) -> str:
        try:
            return host_of(str(json.loads(address)["endpoint"]))
        except (ValueError, KeyError, TypeError):
            return ""

    def _proof(self, endpoint: str) -> dict[str, str]:
        parts = parsed(endpoint)
        return proof(self.key, f"{parts.scheme}://{parts.netloc}", self.contact)


def _encrypted(payload: bytes, keys: dict[str, str]) -> bytes:
    """The payload, encrypted for this browser only (RFC 8291)."""
    body: bytes = http_ece.encrypt(
        payload,
        private_key=generate_private_key(SECP256R1()),
        dh=decoded(keys["p256dh"]),
        auth_secret=decoded(keys["auth"]),
        version=ENCODING,
    )
    return body


def topic_of(incident_id: int) -> str:
    """A topic shared by all messages of an incident: always 24 characters, because services decode it as base64url.

    RFC 8030, section 5.4, allows up to 32 characters of that alphabet. No base64 is 1 long modulo 4, and Apple refuses
    a topic that is, as `incident-1000` would be.
    """
    return f"inc-{incident_id:020d}"


def _headers(envelope: Envelope) -> dict[str, str]:
    """The headers for the push service. For an offline browser it keeps only an incident's newest message."""
    topic = {"Topic": topic_of(envelope.incident_id)} if envelope.incident_id is not None else {}
    return {
        "Content-Type": "application/octet-stream",
        "Content-Encoding": ENCODING,
        "TTL": str(TTL_SECONDS),
        "Urgency": "high",
        **topic,
    }


def _payload(envelope: Envelope) -> bytes:
    """The JSON for the browser's service worker: `title`, `body`, `url` and `incident_id`."""
    said = {"title": envelope.subject, "url": link_of(envelope), "incident_id": envelope.incident_id}

    def payload(body: str) -> bytes:
        return json.dumps({**said, "body": body}, ensure_ascii=False).encode()

    return payload(body_of(envelope, lambda text: len(payload(text)) <= MAX_PAYLOAD_BYTES))


def clean_subscription(address: str, *, allows_private: bool) -> str:
    """A browser's `PushSubscription.toJSON()`, reduced to what is needed. Raises ValueError."""
    try:
        given = json.loads(address)
        endpoint, keys = given["endpoint"], given["keys"]
        point, auth = decoded(keys["p256dh"]), decoded(keys["auth"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            "A Web Push subscription must be a JSON object with endpoint, keys.p256dh and keys.auth."
        ) from error
    _require_endpoint(endpoint, allows_private=allows_private)
    _require_keys(point, auth)
    cleaned = {"endpoint": endpoint, "keys": {"p256dh": encoded(point), "auth": encoded(auth)}}
    return json.dumps(cleaned, separators=(",", ":"), ensure_ascii=False)


def _require_endpoint(endpoint: Any, *, allows_private: bool) -> None:
    if not isinstance(endpoint, str) or not endpoint.isascii():
        raise ValueError("The endpoint of a Web Push subscription must be a URL.")
    parts = parsed(endpoint, schemes=("http", "https") if allows_private else ("https",))
    if not allows_private:
        require_public_literal(parts)


def _require_keys(point: bytes, auth: bytes) -> None:
    try:
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except ValueError as error:
        raise ValueError("keys.p256dh is not a point of the curve P-256.") from error
    if len(point) != POINT_BYTES or len(auth) != AUTH_BYTES:
        raise ValueError(f"keys.p256dh must have {POINT_BYTES} bytes and keys.auth {AUTH_BYTES}.")
