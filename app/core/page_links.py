"""The links that pages carry: whoever has one may see one incident and act on it as one person."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.core.config import Settings
from app.core.errors import LinkExpired, UnknownLink

LINK_SIGNATURE_BYTES = 16  # NIST SP 800-107, section 5.3.4: an HMAC may be cut to half of its length
LINK_TOKEN = re.compile(r"([0-9]+\.[0-9]+\.[0-9]+\.[-\w]{22})(?![A-Za-z0-9])", re.ASCII)  # 22: the signature in base64
UNKNOWN_LINK = (
    "This link is not valid. It may have been cut off when it was copied. Open the link in the message itself, or copy "
    "it again to its very end."
)
EXPIRED_LINK = (
    "This link to incident #{id} has expired: a link works for {hours} hours. Open the link in the newest message "
    "about the incident. If you have none, ask a colleague to acknowledge it, or use the API."
)


@dataclass(frozen=True, slots=True)
class PageLink:
    """The rights of a page's link: see one incident and act on it as one person. `user_id` is None for no account."""

    incident_id: int
    user_id: int | None


class PageLinks:
    """Signs and reads the links that pages carry: `<incident>.<user or 0>.<expiry, unix seconds>.<signature>`.

    Short enough for an SMS. They work for this one purpose only, because their keys are derived for it. The first key
    signs; a link that any of them signed works.
    """

    def __init__(self, settings: Settings) -> None:
        self._keys = settings.derived_keys(b"page link")
        self._base = f"{settings.public_url.rstrip('/')}/p"
        self._lifetime = timedelta(hours=settings.page_link_hours)

    def url(self, link: PageLink, *, at: datetime) -> str:
        """The URL of the page about an incident, valid for `PAGE_LINK_HOURS` from `at`."""
        payload = f"{link.incident_id}.{link.user_id or 0}.{int((at + self._lifetime).timestamp())}"
        return f"{self._base}/{payload}.{_signature(self._keys[0], payload)}"

    def read(self, token: str, *, at: datetime) -> PageLink:
        """The rights of a token. Raises UnknownLink for one that is not ours, LinkExpired for an expired one."""
        payload, _, signature = token.rpartition(".")
        if not self._has_signed(payload, signature):
            raise UnknownLink(UNKNOWN_LINK)
        incident_id, user_id, expires_at = (int(part) for part in payload.split("."))
        if at.timestamp() > expires_at:
            hours = self._lifetime // timedelta(hours=1)
            raise LinkExpired(EXPIRED_LINK.format(id=incident_id, hours=hours))
        return PageLink(incident_id, user_id or None)

    def _has_signed(self, payload: str, signature: str) -> bool:
        """True if one of the keys made the signature."""
        given = signature.encode("utf-8", "replace")
        return any(hmac.compare_digest(_signature(key, payload).encode(), given) for key in self._keys)


def _signature(key: bytes, payload: str) -> str:
    digest = hmac.new(key, payload.encode("utf-8", "replace"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:LINK_SIGNATURE_BYTES]).rstrip(b"=").decode()
