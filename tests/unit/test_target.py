"""What the target of an action means."""

import pytest

from app.core.target import ASSIGNEES, Group, MailAddress, OnChannel, Target, UserId, parse, parse_all


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("assignees", ASSIGNEES),
        ("all", Group("all")),
        (5, UserId(5)),
        ("a@example.com", MailAddress("a@example.com")),
        ("email", OnChannel("email")),
        ("pager", Group("pager")),
    ],
)
def test_each_form_of_a_target_is_told_apart(said: object, expected: Target) -> None:
    assert parse(said) == expected


@pytest.mark.parametrize("said", [None, {"x": 1}, 1.5, ["all"]])
def test_what_is_no_target_is_refused(said: object) -> None:
    with pytest.raises(TypeError):
        parse(said)


def test_a_list_names_each_target_once() -> None:
    assert parse_all(["all", 1, "all", 1]) == (Group("all"), UserId(1))
    assert parse_all("all") == (Group("all"),)


def test_a_group_is_known_by_its_name() -> None:
    assert ASSIGNEES.is_known
    assert not Group("pager").is_known
