"""Which addresses a URL may lead to, however it is written."""

import socket
from ipaddress import ip_address
from threading import Event

import pytest

from app.integrations.addresses import (
    MAX_URL,
    host_of,
    is_this_machine,
    may_be_called,
    parsed,
    require_public_literal,
    resolve,
)
from app.integrations.special_addresses import ipv4_within, is_metadata, is_public


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "100.127.255.255", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1"),
        *("198.18.0.1", "203.0.113.1", "::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "fec0::1"),
        *("::ffff:10.0.0.1", "::ffff:127.0.0.1", "2002:7f00:1::", "2002:a00:1::", "64:ff9b::7f00:1"),
        *("192.0.0.9", "192.0.0.192", "192.88.99.1", "192.31.196.1", "192.52.193.1", "192.175.48.1", "168.63.129.16"),
        *("::ffff:168.63.129.16", "64:ff9b::a83f:8110", "2002:a83f:8110::", "100.100.100.200", "fd00:ec2::254"),
        *("2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:1::1", "2001:4:112::1", "2001:20::1", "2001:30::1"),
        *("2620:4f:8000::1", "3fff::1", "5f00::1", "4000::1", "::ffff:0:808:808", "::8.8.8.8", "100:0:0:1::1"),
        *("64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "2001:db8::1", "2001::1", "::7f00:1", "100::1"),
    ],
)
def test_an_address_that_is_not_public_is_known(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_a_public_address_is_known(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "https://[fd00::1]/", "http://localhost/", "http://a.localhost/"])
def test_a_private_address_in_a_url_is_found_without_looking_it_up(url: str) -> None:
    with pytest.raises(ValueError, match="not allowed here"):
        require_public_literal(parsed(url))


def test_a_name_is_looked_up_within_the_time_there_is() -> None:
    assert "127.0.0.1" in resolve("localhost", 80, seconds=10)
    with pytest.raises(OSError, match=r"."):
        resolve("x" * 300, 80, seconds=10)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://hooks.example/step", "hooks.example"),
        ("https://HOOKS.example:8443/step?key=1", "hooks.example"),
        ("http://[2001:db8::1]:80/", "2001:db8::1"),
        ("/step", ""),
        ("http://hooks.example:port/", ""),
    ],
)
def test_the_host_of_a_url_is_its_name_without_anything_else(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000/", True),
        ("http://127.8.9.10/", True),
        ("http://[::1]/", True),
        ("http://0.0.0.0/", True),
        ("http://[::]/", True),
        ("http://localhost:8000/", True),
        ("http://pager.localhost/", True),
        ("http://10.0.0.1/", False),
        ("https://pager.example.com/", False),
        ("https://notlocalhost/", False),
        ("https://localhost.example.com/", False),
        ("/step", False),
    ],
)
def test_a_url_to_this_machine_is_known(url: str, expected: bool) -> None:
    assert is_this_machine(url) is expected


def test_a_url_is_taken_apart() -> None:
    parts = parsed("https://hooks.example:8443/step?key=1")
    assert (parts.scheme, parts.host, parts.port, parts.request_uri) == ("https", "hooks.example", 8443, "/step?key=1")
    assert parsed("HTTP://hooks.example").scheme == "http"
    assert parsed("ftp://hooks.example/", schemes=("ftp",)).scheme == "ftp"


def test_a_url_has_a_longest_length() -> None:
    longest = "http://hooks.example/".ljust(MAX_URL, "x")
    assert parsed(longest).host == "hooks.example"
    with pytest.raises(ValueError, match=r"^This is not a URL: it is too long"):
        parsed(longest + "x")


@pytest.mark.parametrize("character", [" ", "\x00", "\t", "\n", "\r", "\x1f", "\x7f"])
def test_a_url_has_no_spaces_and_no_control_characters(character: str) -> None:
    with pytest.raises(ValueError, match=r"^This is not a URL: .* contains spaces or control characters\.$"):
        parsed(f"http://hooks.example/a{character}b")
    assert parsed("http://hooks.example/a!b~").host == "hooks.example"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://hooks.example:port/", "This is not a URL."),
        ("hooks.example", "The URL must begin with http:// or https:// and name a host."),
        ("ftp://hooks.example/", "The URL must begin with http:// or https:// and name a host."),
        ("http:///step", "The URL must begin with http:// or https:// and name a host."),
        ("http://me:hush@hooks.example/", "The URL must not contain a user name or a password."),
        ("http://me@hooks.example/", "The URL must not contain a user name or a password."),
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_repeating_it(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parsed(url)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://localhost/", "The URL leads to this machine, which is not allowed here."),
        ("http://10.0.0.1/", "The URL leads to a private address, which is not allowed here."),
        ("http://[fe80::1%25eth0]/", "The URL leads to a private address, which is not allowed here."),
        ("http://[::1]/", "The URL leads to a private address, which is not allowed here."),
    ],
)
def test_a_url_to_a_private_address_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        require_public_literal(parsed(url))
    assert str(caught.value) == reason


@pytest.mark.parametrize("url", ["http://8.8.8.8/", "http://[2606:4700::1111]/", "http://hooks.example/"])
def test_a_public_address_or_a_name_may_be_in_a_url(url: str) -> None:
    require_public_literal(parsed(url))


def test_the_addresses_of_a_host_come_once_each() -> None:
    assert resolve("127.0.0.1", 80, seconds=10) == ["127.0.0.1"]
    assert resolve("::1", 80, seconds=10) == ["::1"]


def test_a_host_that_cannot_be_looked_up_says_so() -> None:
    with pytest.raises(OSError, match=r"^The host's name cannot be looked up\.$"):
        resolve("x" * 300, 80, seconds=10)


def test_the_resolvers_own_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(socket.gaierror, match="Name or service not known"):
            resolve("hooks.example", 80, seconds=10)


def test_a_lookup_ends_when_the_time_does(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = Event()

    def never(*_: object, **__: object) -> object:
        answered.wait()
        raise socket.gaierror

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", never)
        with pytest.raises(TimeoutError, match=r"^The host's name was not resolved within 0.05 s\.$"):
            resolve("hooks.example", 80, seconds=0.05)
        answered.set()


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"),
        *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "fe80::a9fe:a9fe%eth0"),
        *("64:ff9b:1::a9fe:a9fe", "::a9fe:a9fe", "::ffff:0:a9fe:a9fe", "2001:0:4136:e378:8000:63bf:5601:5601"),
    ],
)
def test_where_a_cloud_tells_its_secrets_is_never_called(address: str) -> None:
    """Not even where private addresses are allowed, or by the operator's own gateway. Decided only: nothing is sent."""
    assert not may_be_called(address, allows_private=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "fd00::1", "8.8.8.8"])
def test_where_private_addresses_are_allowed_the_others_are_called(address: str) -> None:
    assert may_be_called(address, allows_private=True)


@pytest.mark.parametrize(("address", "expected"), [("8.8.8.8", True), ("2606:4700::1111", True), ("10.0.0.1", False)])
def test_where_private_addresses_are_not_allowed_public_ones_are_called(address: str, expected: bool) -> None:
    assert may_be_called(address, allows_private=False) is expected


@pytest.mark.parametrize("url", ["http://[::ffff:127.0.0.1]/", "http://[::ffff:0.0.0.0]:80/", "http://127.8.8.8/"])
def test_this_machine_is_known_also_as_it_hides_in_ipv6(url: str) -> None:
    assert is_this_machine(url)


@pytest.mark.parametrize(
    ("address", "within"),
    [
        ("8.8.8.8", None),
        ("2606:4700::1111", None),
        ("::ffff:8.8.8.8", "8.8.8.8"),  # mapped
        ("64:ff9b::808:404", "8.8.4.4"),  # NAT64
        ("::8.8.4.4", "8.8.4.4"),  # compatible
        ("::ffff:0:808:404", "8.8.4.4"),  # translated
        ("2002:808:404:1::7", "8.8.4.4"),  # 6to4
        ("2001:0:4136:e378:8000:63bf:f7f7:fbfb", "8.8.4.4"),  # Teredo
    ],
)
def test_the_ipv4_address_within_an_ipv6_address_is_found(address: str, within: str | None) -> None:
    found = ipv4_within(ip_address(address))
    assert (str(found) if found else None) == within


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("169.254.169.254", True),
        ("::ffff:169.254.169.254", True),
        ("2002:a9fe:a9fe::", True),
        ("fd00:ec2::254", True),
        ("fe80::a9fe:a9fe", True),
        ("fe80::a9fe:a9fe%eth0", True),
        ("169.254.169.253", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::255", False),
    ],
)
def test_where_a_cloud_tells_its_secrets_is_known(address: str, expected: bool) -> None:
    assert is_metadata(ip_address(address)) is expected
