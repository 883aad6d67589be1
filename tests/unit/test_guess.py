"""How the delay after guesses grows, and whom a limit counts as one sender."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.config import Settings
from app.core.fingerprint import Fingerprints
from app.core.sender import network_of
from app.services.accounts.guess import LIMITS, Rule

RULES = [rule for limits in LIMITS.values() for rule in (limits.sender, limits.account) if rule is not None]
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("guesses", "seconds"), [(1, 0), (4, 0), (5, 1), (6, 2), (7, 4), (14, 512), (15, 900), (16, 900), (10**6, 900)]
)
def test_the_delay_doubles_after_the_free_guesses(guesses: int, seconds: int) -> None:
    assert Rule(5).delay(guesses) == timedelta(seconds=seconds)


def test_the_delays_are_listed_up_to_the_longest() -> None:
    rule = Rule(3, SECOND, 10 * SECOND)
    assert rule.delays() == [0, 0, 1, 2, 4, 8, 10]


@given(
    st.integers(1, 200),
    st.integers(1, 600),
    st.integers(1, 3600),
    st.integers(1, 400),
)
def test_the_list_and_the_rule_agree(free: int, first: int, longest: int, guesses: int) -> None:
    rule = Rule(free, timedelta(seconds=first), timedelta(seconds=longest))
    listed = rule.delays()
    assert listed[min(guesses, len(listed)) - 1] == rule.delay(guesses).total_seconds()


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_count_is_not_forgotten_before_its_delay_is_over(rule: Rule) -> None:
    assert rule.forgotten_after >= rule.longest_delay
    assert all(before <= after for before, after in pairwise(rule.delays()))
    assert rule.free >= 1


def tried(rule: Rule, within: timedelta) -> int:
    """How many guesses are let through within a time, however many are made."""
    at, guesses = timedelta(), 0
    while at <= within:
        guesses += 1
        at += rule.delay(guesses)
    return guesses


def test_a_password_can_be_guessed_as_often_as_the_documents_say() -> None:
    rule = LIMITS["login"].account
    assert rule is not None
    assert tried(rule, timedelta(hours=1)) == 17
    assert tried(rule, 2 * DAY) - tried(rule, DAY) == 96


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2:0:0:0:1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_sender_is_an_ipv4_address_or_the_network_of_an_ipv6_one(address: str | None, network: str) -> None:
    assert network_of(address) == network


def test_a_fingerprint_tells_apart_what_could_be_read_in_two_ways() -> None:
    made = Fingerprints(Settings(_env_file=None, secret_key="0123456789abcdef" * 2), "guesses")
    texts = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ("1:a", "b"), ("a\ud800",)]
    assert len({made.of(*parts) for parts in texts}) == len(texts)
    assert made.of("a", "b") == made.of("a", "b")


def test_a_fingerprint_belongs_to_one_key_and_one_purpose() -> None:
    keys = ("0123456789abcdef" * 2, "fedcba9876543210" * 2)
    settings = [Settings(_env_file=None, secret_key=key) for key in keys]
    made = {Fingerprints(one, purpose).of("a") for one in settings for purpose in ("guesses", "senders")}
    assert len(made) == 4
    assert all(len(one) == 64 for one in made)
