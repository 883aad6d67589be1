"""Addresses that are not on the public Internet, whatever this version of Python says about them.

IPv4: https://www.iana.org/assignments/iana-ipv4-special-registry
IPv6: https://www.iana.org/assignments/iana-ipv6-special-registry, and everything outside global unicast (2000::/3)
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

SPECIAL_IPV4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network (RFC 791)
        "10.0.0.0/8",  # private use (RFC 1918)
        "100.64.0.0/10",  # shared address space (RFC 6598)
        "127.0.0.0/8",  # loopback (RFC 1122)
        "169.254.0.0/16",  # link local (RFC 3927)
        "172.16.0.0/12",  # private use (RFC 1918)
        "192.0.0.0/24",  # IETF protocol assignments (RFC 6890)
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.31.196.0/24",  # AS112 (RFC 7535)
        "192.52.193.0/24",  # AMT (RFC 7450)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "192.168.0.0/16",  # private use (RFC 1918)
        "192.175.48.0/24",  # AS112 (RFC 7534)
        "198.18.0.0/15",  # benchmarking (RFC 2544)
        "198.51.100.0/24",  # documentation (RFC 5737)
        "203.0.113.0/24",  # documentation (RFC 5737)
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved (RFC 1112), and the limited broadcast (RFC 8190)
        "168.63.129.16/32",  # Azure's platform: a public address, but reachable from every virtual machine of Azure
    )
)
GLOBAL_UNICAST = IPv6Network("2000::/3")
SPECIAL_IPV6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # IETF protocol assignments (RFC 2928): Teredo, benchmarking, AMT, ORCHID and others
        "2001:db8::/32",  # documentation (RFC 3849)
        "2620:4f:8000::/48",  # AS112 (RFC 7534)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
# Where clouds hand out a machine's credentials. Refused even where private addresses are allowed.
METADATA = frozenset(
    {
        IPv4Address("169.254.169.254"),  # AWS, Azure, Google, Oracle, DigitalOcean, OpenStack and others
        IPv4Address("169.254.170.2"),  # AWS: the roles of containers
        IPv4Address("169.254.170.23"),  # AWS: the identities of pods
        IPv4Address("169.254.0.23"),  # Tencent
        IPv4Address("169.254.42.42"),  # Scaleway
        IPv4Address("168.63.129.16"),  # Azure
        IPv4Address("100.100.100.200"),  # Alibaba
        IPv4Address("192.0.0.192"),  # Oracle
        IPv6Address("fd00:ec2::254"),  # AWS
        IPv6Address("fd00:ec2::23"),  # AWS: the identities of pods
        IPv6Address("fd20:ce::254"),  # Google
        IPv6Address("fd00:42::42"),  # Scaleway
        IPv6Address("fe80::a9fe:a9fe"),  # OpenStack
    }
)

MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291: the last 32 bits are the IPv4 address
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: likewise
LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")  # RFC 8215: likewise, with the usual prefix of 96 bits
COMPATIBLE = IPv6Network("::/96")  # RFC 4291, deprecated: likewise
TRANSLATED = IPv6Network("::ffff:0:0:0/96")  # RFC 2765: likewise
SIX_TO_FOUR = IPv6Network("2002::/16")  # RFC 3056: the bits 16 to 47
TEREDO = IPv6Network("2001::/32")  # RFC 4380: the last 32 bits, inverted
IPV4_BITS = 0xFFFF_FFFF


def is_public(address: Address) -> bool:
    """True for an address on the public Internet. Also checks an IPv4 address inside an IPv6 one."""
    hidden = ipv4_within(address)
    if hidden is not None and (address in MAPPED or address in NAT64 or address in SIX_TO_FOUR):
        return is_public(hidden)
    if isinstance(address, IPv4Address):
        return not any(address in block for block in SPECIAL_IPV4)
    return address in GLOBAL_UNICAST and not any(address in block for block in SPECIAL_IPV6)


def is_metadata(address: Address) -> bool:
    """True for an address at which a cloud hands out a machine's secrets."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        address = IPv6Address(int(address))
    return address in METADATA or ipv4_within(address) in METADATA


def ipv4_within(address: Address) -> IPv4Address | None:
    """The IPv4 address that packets to an IPv6 address finally reach."""
    if isinstance(address, IPv4Address):
        return None
    number = int(address)
    if any(address in block for block in (MAPPED, NAT64, LOCAL_NAT64, COMPATIBLE, TRANSLATED)):
        return IPv4Address(number & IPV4_BITS)
    if address in SIX_TO_FOUR:
        return IPv4Address(number >> 80 & IPV4_BITS)
    if address in TEREDO:
        return IPv4Address(~number & IPV4_BITS)
    return None
