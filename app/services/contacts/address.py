"""Decides how much of an address others may see."""

from urllib.parse import urlsplit

SHOWN_DIGITS = 2
HIDDEN = "***"


def masked(address: str) -> str:
    """An address by which its owner knows it and nobody else could write to it."""
    if "://" in address:
        return _masked_url(address)
    name, at, domain = address.rpartition("@")
    if at:
        return f"{name[:1]}{HIDDEN}@{domain}"
    return f"{HIDDEN}{address[-SHOWN_DIGITS:]}" if len(address) > 2 * SHOWN_DIGITS else HIDDEN


def _masked_url(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:  # brackets that are no IPv6 address
        return HIDDEN
    return f"{parts.scheme}://{parts.hostname}/{HIDDEN}" if parts.scheme and parts.hostname else HIDDEN
