"""The form of API keys: what is one, and what only looks like one."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import api_key
from app.core.api_key import DIGITS, KeyProof
from app.core.errors import NotAuthenticated

FOR_SCANNERS = re.compile(r"\bims_[0-9A-Za-z]{49}\b")  # docs/access.md shows it


def test_a_new_key_is_read_and_proves_with_its_fingerprint() -> None:
    key = api_key.new()
    assert api_key.is_one(key)
    assert FOR_SCANNERS.fullmatch(key)
    proof = api_key.read(key)
    assert proof == api_key.proof_of(key)
    assert len(proof.fingerprint) == 64
    assert key not in proof.fingerprint


def test_no_two_keys_are_the_same() -> None:
    keys = {api_key.new() for _ in range(1000)}
    assert len(keys) == 1000
    assert len({api_key.shown(key) for key in keys}) == 1000


def test_what_is_shown_of_a_key_is_a_small_part_of_it() -> None:
    key = api_key.new()
    assert key.startswith(api_key.shown(key))
    assert len(api_key.shown(key)) == 12


def test_a_known_key_has_the_checksum_that_scanners_compute() -> None:
    """CRC-32 of all that is before it, in base 62 with the digits 0-9, a-z, A-Z."""
    start = "ims_" + "0" * 43
    with pytest.raises(NotAuthenticated):
        api_key.read(start + "000000")
    assert api_key.read(start + "2jCa9j") == KeyProof(api_key.proof_of(start + "2jCa9j").fingerprint)


@given(st.integers(4, 52), st.sampled_from(DIGITS))
def test_a_key_with_one_other_character_is_refused(place: int, digit: str) -> None:
    key = api_key.new()
    other = f"{key[:place]}{digit}{key[place + 1 :]}"
    if other != key:
        with pytest.raises(NotAuthenticated, match="mistyped or cut off"):
            api_key.read(other)


@given(st.integers(0, 51))
def test_a_key_with_two_swapped_characters_is_refused(place: int) -> None:
    key = api_key.new()
    swapped = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
    if swapped != key:
        with pytest.raises(NotAuthenticated):
            api_key.read(swapped)


@pytest.mark.parametrize("cut", [lambda key: key[:-1], lambda key: key[1:], "{}x".format, "{}\n".format])
def test_a_key_that_is_cut_off_or_longer_is_refused(cut: Callable[[str], str]) -> None:
    with pytest.raises(NotAuthenticated):
        api_key.read(cut(api_key.new()))


@given(st.text() | st.from_regex(r"ims_[0-9A-Za-zäπ٣]{40,60}", fullmatch=True))
def test_no_other_text_is_a_key(text: str) -> None:
    with pytest.raises(NotAuthenticated):
        api_key.read(text)


@pytest.mark.parametrize("token", ["", "ims", "IMS_", "eyJhbGciOiJIUzI1NiJ9.e30.x", " ims_"])
def test_what_does_not_claim_to_be_a_key_is_none(token: str) -> None:
    assert not api_key.is_one(token)
