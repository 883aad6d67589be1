"""Headers of a mail as sent: encoded words (RFC 2047), folded (RFC 5322).

Python's own folding drops spaces between encoded words or makes empty ones, depending on its patch release.
"""

import base64
import re
from collections.abc import Callable, Iterator
from email.headerregistry import Address, BaseHeader, HeaderRegistry
from email.policy import EmailPolicy
from typing import Any

MAX_WORD = 75  # RFC 2047, section 2
MAX_LINE = 76  # likewise, for a line that contains an encoded word
PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")
# Characters that need no encoding wherever an encoded word may stand (RFC 2047, section 5).
SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
FOLD = "\r\n "
OWN = {"subject", "from"}


class WireFormat(EmailPolicy):
    """Python's policy for SMTP, except for the headers with free text."""

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        """Keep the text as it is, even if part of it looks like an encoded word."""
        name, parsed = super().header_store_parse(name, value)
        return name, value if name.lower() in OWN else parsed

    def header_fetch_parse(self, name: str, value: Any) -> Any:
        if isinstance(value, Address):
            return self.header_factory(name, value)
        return super().header_fetch_parse(name, value)

    def fold(self, name: str, value: Any) -> str:
        if name.lower() == "subject":
            return f"{name}: {text(str(value), len(name) + 2)}\r\n"
        if isinstance(value, Address) and name.lower() == "from" and not value.display_name.isascii():
            bare = Address(username=value.username, domain=value.domain)
            return f"{name}: {FOLD.join(words(value.display_name, len(name) + 2))}{FOLD}<{bare}>\r\n"
        folded: str = super().fold(name, self.header_factory(name, value) if name.lower() in OWN else value)
        return folded

    def fold_binary(self, name: str, value: Any) -> bytes:
        if name.lower() in OWN:
            return self.fold(name, value).encode("utf-8" if self.utf8 else "ascii", "surrogateescape")
        return super().fold_binary(name, value)


class _Headers(HeaderRegistry):
    """Makes the class of each kind of header once: the library makes it anew for each header, half of all its work."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, type[BaseHeader]] = {}

    def __getitem__(self, name: str) -> type[BaseHeader]:
        key = name.lower()
        if key not in self._made:
            self._made[key] = super().__getitem__(name)
        return self._made[key]


WIRE_FORMAT = WireFormat(linesep="\r\n", header_factory=_Headers())


def text(value: str, taken: int) -> str:
    """A header's text, plain if possible, else encoded. Some characters of its first line are already taken."""
    if PLAIN.fullmatch(value) and "=?" not in value:
        lines = _folded(value, taken)
        if all(len(line) <= MAX_LINE for line in lines):
            return "\r\n".join(lines)[taken:]
    return FOLD.join(words(value, taken))


def words(value: str, taken: int) -> list[str]:
    """The text as encoded words of whole characters, in `q` or `b`, whichever is shorter."""
    found = [list(_packed(value, taken, letter, encode)) for letter, encode in (("q", _q), ("b", _b))]
    return min(found, key=lambda candidate: sum(map(len, candidate)))


def _folded(value: str, taken: int) -> list[str]:
    """The text in lines broken at single spaces. Part of the first line is already taken."""
    lines = [" " * taken]
    for word in value.split(" "):
        is_first = lines == [" " * taken]
        joined = lines[-1] + ("" if is_first else " ") + word
        if len(joined) <= MAX_LINE or is_first:
            lines[-1] = joined
        else:
            lines.append(f" {word}")
    return lines


def _packed(value: str, taken: int, letter: str, encode: Callable[[str], str]) -> Iterator[str]:
    """The text in pieces that fit into one word each."""
    rest = value.encode("utf-8", "replace").decode()
    room = MAX_LINE - taken
    while rest:
        length = next(n for n in range(min(len(rest), MAX_WORD), 0, -1) if _fits(encode(rest[:n]), room) or n == 1)
        yield f"=?utf-8?{letter}?{encode(rest[:length])}?="
        rest, room = rest[length:], MAX_WORD


def _fits(encoded: str, room: int) -> bool:
    return len(encoded) + len("=?utf-8?q??=") <= room


def _q(part: str) -> str:
    return "".join("_" if byte == 0x20 else chr(byte) if byte in SAFE else f"={byte:02X}" for byte in part.encode())


def _b(part: str) -> str:
    return base64.b64encode(part.encode()).decode()
