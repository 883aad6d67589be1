"""Fingerprints that only this installation can make: what they are made of cannot be found by trying."""

import hashlib
import hmac

from app.core.config import Settings


class Fingerprints:
    """Makes fingerprints for one purpose, with a key derived for it from the signing key."""

    def __init__(self, settings: Settings, purpose: str) -> None:
        self._key = hmac.new(settings.signing_keys()[0].encode(), purpose.encode(), hashlib.sha256).digest()

    def of(self, *parts: str) -> str:
        """The fingerprint of some texts, in hex. Where one ends and the next begins counts as well."""
        data = b"".join(f"{len(part)}:{part}".encode("utf-8", "replace") for part in parts)
        return hmac.new(self._key, data, hashlib.sha256).hexdigest()
