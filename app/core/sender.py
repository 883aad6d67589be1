"""Whom a limit counts as one sender."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

NOBODY = "unknown"  # a connection without an address, such as a socket in the file system
IPV6_PREFIX_BITS = 64  # one network of one customer (RFC 6177): its owner has all of its addresses


@lru_cache(maxsize=4096)
def network_of(address: str | None) -> str:
    """The network that a sender owns: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        found = ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or NOBODY
    ipv4 = found if isinstance(found, IPv4Address) else found.ipv4_mapped
    return str(ipv4 or f"{IPv6Address(_without_host(int(found)))}/{IPV6_PREFIX_BITS}")


def _without_host(address: int) -> int:
    bits = 128 - IPV6_PREFIX_BITS
    return address >> bits << bits
