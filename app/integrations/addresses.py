"""Checks where a URL that somebody gave may lead: not to this machine or its private network."""

import socket
from ipaddress import ip_address
from queue import Empty, Queue
from threading import Thread

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from app.integrations.special_addresses import ipv4_within, is_metadata, is_public

MAX_URL = 2048

Resolved = list[tuple[int, str]] | OSError


def parsed(url: str, *, schemes: tuple[str, ...] = ("http", "https")) -> Url:
    """The parts of a URL that can be posted to. Raises ValueError with a sentence that does not repeat the URL."""
    if len(url) > MAX_URL or any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("This is not a URL: it is too long, or contains spaces or control characters.")
    try:
        parts = parse_url(url)
    except LocationParseError as error:
        raise ValueError("This is not a URL.") from error
    if parts.scheme not in schemes or not parts.host:
        raise ValueError(
            f"The URL must begin with {' or '.join(f'{scheme}://' for scheme in schemes)} and name a host."
        )
    if parts.auth is not None:
        raise ValueError("The URL must not contain a user name or a password.")
    return parts


def host_of(url: str) -> str:
    """The host name of a URL in lower case, or an empty text."""
    try:
        return (parse_url(url).host or "").strip("[]")
    except LocationParseError:
        return ""


def is_this_machine(url: str) -> bool:
    """True if a URL leads to the very machine that opens it."""
    host = host_of(url)
    try:
        address = ip_address(host)
    except ValueError:
        return _is_localhost(host)
    within = ipv4_within(address)
    return any(of is not None and (of.is_loopback or of.is_unspecified) for of in (address, within))


def require_public_literal(parts: Url) -> None:
    """Raise ValueError if the host is an IP address that is not public. A name is looked up when sending."""
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


def may_be_called(address: str, *, allows_private: bool) -> bool:
    """True if something may be sent to the address, which is in the form of a resolver's answer."""
    target = ip_address(address.partition("%")[0])
    return not is_metadata(target) and (allows_private or is_public(target))


def resolve(host: str, port: int, *, seconds: float) -> list[str]:
    """The addresses of a host, best first. Raises OSError; TimeoutError if the system's resolver takes too long.

    The resolver cannot be interrupted, so it runs on in its own thread. An address in digits does not need it.
    """
    if _is_in_digits(host):
        return [host]
    answers: Queue[Resolved] = Queue()
    Thread(target=_look_up, args=(host, port, answers), daemon=True).start()
    try:
        found = answers.get(timeout=max(seconds, 0.001))
    except Empty:
        raise TimeoutError(f"The host's name was not resolved within {seconds:g} s.") from None
    if isinstance(found, OSError):
        raise found
    return list(dict.fromkeys(address for _, address in found))


def _is_in_digits(host: str) -> bool:
    try:
        return ip_address(host) is not None and "%" not in host
    except ValueError:
        return False


def _look_up(host: str, port: int, answers: "Queue[Resolved]") -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        answers.put([(family, str(target[0])) for family, _, _, _, target in found])
    except OSError as error:
        answers.put(error)
    except UnicodeError:
        answers.put(OSError("The host's name cannot be looked up."))
