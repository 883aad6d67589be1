"""Which addresses of the network a URL that somebody gave may lead to: not this machine, nor what is beside it."""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from queue import Empty, Queue
from threading import Thread

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address
NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")  # RFC 8215
MAX_URL = 2048

Address = IPv4Address | IPv6Address
Resolved = list[tuple[int, str]] | OSError


def parsed(url: str, *, schemes: tuple[str, ...] = ("http", "https")) -> Url:
    """The parts of a URL that can be posted to. Raises ValueError with a sentence that does not repeat it."""
    if len(url) > MAX_URL or any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("This is not a URL: it is too long, or has spaces or control characters in it.")
    try:
        parts = parse_url(url)
    except LocationParseError as error:
        raise ValueError("This is not a URL.") from error
    if parts.scheme not in schemes or not parts.host:
        raise ValueError(
            f"The URL must begin with {' or '.join(f'{scheme}://' for scheme in schemes)} and name a host."
        )
    if parts.auth is not None:
        raise ValueError("The URL must not have a user's name or a password in it.")
    return parts


def host_of(url: str) -> str:
    """The host's name of a URL, in lower case; empty if it has none."""
    try:
        return (parse_url(url).host or "").strip("[]")
    except LocationParseError:
        return ""


def is_this_machine(url: str) -> bool:
    """True if a URL leads nowhere but to the machine of whoever follows it."""
    host = host_of(url)
    try:
        address = ip_address(host)
    except ValueError:
        return _is_localhost(host)
    return address.is_loopback or address.is_unspecified


def require_public_literal(parts: Url) -> None:
    """Raise ValueError if the host is written as an address that is not public. A name is looked up when sending."""
    host = (parts.host or "").strip("[]")
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        if _is_localhost(host):
            raise ValueError("The URL leads to this machine, which is not allowed here.") from None
        return
    if not is_public(address):
        raise ValueError("The URL leads to a private address, which is not allowed here.")


def _is_localhost(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def is_public(address: Address) -> bool:
    """False for loopback, private, link-local, shared (RFC 6598), multicast, reserved: also as they hide in IPv6."""
    hidden = _hidden(address)
    if hidden is not None:
        return is_public(hidden)
    if isinstance(address, IPv6Address) and (address in NAT64_LOCAL or address.is_site_local):
        return False
    is_special = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    return address.is_global and not is_special


def _hidden(address: Address) -> IPv4Address | None:
    """The IPv4 address that packets to an IPv6 address end at."""
    if isinstance(address, IPv4Address):
        return None
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def resolve(host: str, port: int, *, seconds: float) -> list[str]:
    """The addresses of a host, best first. Raises OSError; TimeoutError if the system's resolver takes too long.

    The resolver cannot be told to stop: it is left behind in a thread of its own.
    """
    answers: Queue[Resolved] = Queue()
    Thread(target=_look_up, args=(host, port, answers), daemon=True).start()
    try:
        found = answers.get(timeout=max(seconds, 0.001))
    except Empty:
        raise TimeoutError(f"The name was not resolved within {seconds:g} s.") from None
    if isinstance(found, OSError):
        raise found
    return list(dict.fromkeys(address for _, address in found))


def _look_up(host: str, port: int, answers: "Queue[Resolved]") -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        answers.put([(family, str(target[0])) for family, _, _, _, target in found])
    except OSError as error:
        answers.put(error)
    except UnicodeError:
        answers.put(OSError("The host's name cannot be looked up."))
