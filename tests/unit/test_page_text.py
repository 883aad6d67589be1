"""Text and times as HTML: what becomes a link, and that nothing becomes markup."""

import re
from datetime import UTC, datetime, timedelta, timezone
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.web.text import in_words, linked


def addresses(text: str) -> list[str]:
    return [unescape(href) for href in re.findall(r'href="([^"]*)"', str(linked(text)))]


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see https://a.example/x.", ["https://a.example/x"]),
        ("HTTP://A.example:8080/x?y=1&z=2#top, then", ["HTTP://A.example:8080/x?y=1&z=2#top"]),
        ("(https://a.example/x)", ["https://a.example/x"]),
        ("https://a.example/wiki/X_(y)", ["https://a.example/wiki/X_(y)"]),
        ("[https://a.example/x]: <https://b.example>!", ["https://a.example/x", "https://b.example"]),
        ('"https://a.example/x"…', ["https://a.example/x"]),
        ("https://a.example/x/", ["https://a.example/x/"]),
        ("javascript:alert(1) ftp://a.example data:text/html,x mailto:a@b.example", []),
        ("https:// https://? http://[bad", []),
        ("xhttps://a.example", []),
        ('https://a.example/"onmouseover="alert(1)', ["https://a.example/"]),
    ],
)
def test_web_addresses_become_links_and_nothing_else_does(text: str, links: list[str]) -> None:
    assert addresses(text) == links


def test_every_link_opens_apart_and_tells_the_other_site_nothing() -> None:
    assert str(linked("https://a.example")) == (
        '<a href="https://a.example" target="_blank" rel="noopener noreferrer nofollow">https://a.example</a>'
    )


@given(st.text(alphabet=st.sampled_from("ab<>&\"'()[].,;: /?#=\nhtps") | st.characters()))
def test_the_text_is_whole_and_escaped_whatever_it_is(text: str) -> None:
    for shown in (text, f"https://{text} http://a.example/{text}"):
        unlinked = re.sub(r'<a href="[^"]*" target="_blank" rel="[a-z ]+">|</a>', "", str(linked(shown)))
        assert not set("<>\"'") & set(unlinked)
        assert unescape(unlinked) == shown


def test_many_addresses_and_brackets_take_no_long_time() -> None:
    assert len(addresses("https://a.example/" + "(" * 10_000 + ")" * 10_000)) == 1
    assert len(addresses("https://a.example/x " * 1_000)) == 1_000


def test_a_time_of_any_zone_is_shown_in_utc() -> None:
    at = datetime(2026, 1, 2, 4, 5, 6, tzinfo=timezone(timedelta(hours=5)))
    assert str(in_words(at)) == '<time datetime="2026-01-01T23:05:06+00:00">1 Jan 2026, 23:05 UTC</time>'
    assert "2 Jan" in str(in_words(datetime(2026, 1, 2, tzinfo=UTC)))
