"""Recognises passwords that everybody guesses, by the word lists of zxcvbn.

Only its lists: its estimate takes ten seconds for some passwords of 72 characters, which anybody could send.
"""

from collections.abc import Mapping
from functools import cache

FEWEST_CHARACTERS = 3  # different ones: fewer is a repetition

# Common disguises of letters. An exclamation mark may be one, or just itself.
_DISGUISES = {"@": "a", "4": "a", "3": "e", "0": "o", "$": "s", "5": "s", "7": "t"}
_PLAIN: tuple[Mapping[int, str], ...] = (
    {},
    str.maketrans(_DISGUISES),
    str.maketrans(_DISGUISES | {"1": "i", "!": "i"}),
    str.maketrans(_DISGUISES | {"1": "l", "!": "l"}),
)


def is_common(password: str) -> bool:
    """True for a much used password, a word or a name, in any case and with the usual disguises, or a repetition."""
    folded = password.casefold()
    words = _much_used()
    return len(set(folded)) < FEWEST_CHARACTERS or any(folded.translate(plain) in words for plain in _PLAIN)


@cache
def _much_used() -> frozenset[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # 14 MB, which only a process that sets passwords needs

    return frozenset(word for words in FREQUENCY_LISTS.values() for word in words)
