"""Recognises passwords that everybody guesses, by the word lists of zxcvbn.

Only its lists: its estimate takes ten seconds for some passwords of 72 characters, which anybody could send.
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import distribution
from runpy import run_path

FEWEST_CHARACTERS = 3  # different ones: fewer is a repetition
BETWEEN = "\n"

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
    return len(set(folded)) < FEWEST_CHARACTERS or any(_is_listed(folded.translate(plain)) for plain in _PLAIN)


def _is_listed(word: str) -> bool:
    return BETWEEN not in word and f"{BETWEEN}{word}{BETWEEN}" in _much_used()


@cache
def _much_used() -> str:
    """All words in one string: 0.7 MB, where a set takes 17. Searching it takes a millisecond, a hash a hundred."""
    # Without the package around them, which would keep the lists and more in memory.
    lists = run_path(str(distribution("zxcvbn").locate_file("zxcvbn/frequency_lists.py")))["FREQUENCY_LISTS"]
    return f"{BETWEEN}{BETWEEN.join(word for words in lists.values() for word in words)}{BETWEEN}"
