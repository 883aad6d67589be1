"""Masks addresses: decides how much of one others may see."""

from urllib.parse import urlsplit

SHOWN_DIGITS = 2
HIDDEN = "***"


def masked(address: str) -> str:
    """The address, masked so that its owner recognizes it but nobody else could use it."""
    if "://" in address:
        return _masked_url(address)
    name, at, domain = address.rpartition("@")
    if at:
        return f"{name[:1]}{HIDDEN}@{domain}"
    return f"{HIDDEN}{address[-SHOWN_DIGITS:]}" if len(address) > 2 * SHOWN_DIGITS else HIDDEN


def _masked_url(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:  # brackets without an IPv6 address
        return HIDDEN
    return f"{parts.scheme}://{parts.hostname}/{HIDDEN}" if parts.scheme and parts.hostname else HIDDEN
