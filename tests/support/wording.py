"""What every sentence for people has in common, whatever it says."""

import re

LOST = re.compile(r"XX|None|[{}]|\bTODO\b|[ \t]$", re.MULTILINE)  # a value that was not filled in, or too little
SHOUTED = re.compile(r"\b(?!HTTP\b|JSON\b|POST\b|SMS\b|UTC\b)[A-Z]{3,}\b")
SMALL_BEGINNING = re.compile(r"(?:\A[^\w\n]*|[.!?]\s+|\n\n)(?!https?:)[a-z]")


def assert_reads_well(text: str) -> None:
    """Every sentence begins with a capital, no word is shouted, and every value is filled in."""
    for fault in (LOST, SHOUTED, SMALL_BEGINNING):
        assert not fault.search(text), text
