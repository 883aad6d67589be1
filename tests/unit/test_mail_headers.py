"""Subjects as they go over the wire, read by a strict decoder that is written from RFC 2047."""

import base64
import re
from email.headerregistry import Address
from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.integrations.channels.email.headers import WIRE_FORMAT

# Section 2: no white space within, at most 75 characters, and some encoded text.
WORD = re.compile(r"=\?([!-<>-~]+?)\?([qQbB])\?([!->@-~]+)\?=")
SCRIPTS = {
    "Latin": "abc XYZ äöüßéñ",
    "Greek": "αβγ ΩΨ",
    "Cyrillic": "абв ЭЮЯ",
    "Arabic": "ابت ثج",
    "Japanese": "障害が発生 カタカナ 😀",
}
TITLES = st.text(st.sampled_from("".join(SCRIPTS.values()) + " []#()=?_:,.-<>@\"'0123456789"), max_size=255)


def lines_of(subject: str) -> list[str]:
    """The lines of the header, without its name."""
    message = EmailMessage(policy=WIRE_FORMAT)
    message["Subject"] = subject
    head = message.as_bytes().partition(b"\r\n\r\n")[0].decode("ascii")
    assert head.startswith("Subject: ")
    return head.split("\r\n")


def decoded(lines: list[str]) -> str:
    """What a strict decoder reads: each word is whole text by itself, and space between two words is none."""
    unfolded = "".join(lines).removeprefix("Subject: ")
    tokens = re.split(r"([ \t]+)", unfolded)
    words = [WORD.fullmatch(token) for token in tokens]
    read = []
    for index, (token, word) in enumerate(zip(tokens, words, strict=True)):
        if word is not None:
            assert len(token) <= 75
            read.append(_text(*word.groups()))
            continue
        assert "=?" not in token
        is_between = not token.strip() and 0 < index < len(words) - 1 and words[index - 1] and words[index + 1]
        read.append("" if is_between else token)
    return "".join(read)


def _text(charset: str, encoding: str, text: str) -> str:
    if encoding in "bB":
        return base64.b64decode(text, validate=True).decode(charset)
    raw = re.sub(rb"=([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), text.replace("_", " ").encode())
    return raw.decode(charset)


@given(TITLES)
@example("[CRITICAL] zahlung: überlastet Prüfung für Größe (#92)")
@example("=?utf-8?q?Disk=0D=0AReply-To:_evil=40example.org?=")
@example("  two  spaces  ")
@example("a" * 255)
@example("障" * 255)
@example("")
def test_a_strict_decoder_reads_the_title_that_was_written(title: str) -> None:
    assert decoded(lines_of(title)) == title


@given(TITLES)
def test_no_line_of_a_subject_is_too_long(title: str) -> None:
    lines = lines_of(title)
    assert all(len(line) <= 76 for line in lines)
    assert all(line.startswith(" ") and line.strip() for line in lines[1:])


@pytest.mark.parametrize("script", list(SCRIPTS))
@given(data=st.data())
def test_titles_of_every_script_come_back(script: str, data: st.DataObject) -> None:
    title = data.draw(st.text(st.sampled_from(SCRIPTS[script]), max_size=255))
    assert decoded(lines_of(title)) == title


def test_a_subject_of_plain_letters_is_not_encoded() -> None:
    subject = "[HIGH] database: Database connection failed on the third of the five machines in the cellar (#92)"
    lines = lines_of(subject)
    assert len(lines) == 2
    assert "".join(lines) == f"Subject: {subject}"


@pytest.mark.parametrize("broken", ["a\nb", "a\rb", "a\r\nBcc: evil@example.org"])
def test_a_subject_of_several_lines_is_refused(broken: str) -> None:
    with pytest.raises(ValueError, match=r"newline|linefeed|carriage"):
        lines_of(broken)


def test_the_name_of_the_sender_comes_back_as_well() -> None:
    message = EmailMessage(policy=WIRE_FORMAT)
    message["From"] = Address("Störungs Dienst für alle Größen und noch viel mehr als das", "pager", "example.com")
    lines = message.as_bytes().partition(b"\r\n\r\n")[0].decode("ascii").split("\r\n")
    assert lines.pop() == " <pager@example.com>"
    lines[0] = lines[0].replace("From: ", "Subject: ")
    assert decoded(lines) == "Störungs Dienst für alle Größen und noch viel mehr als das"
