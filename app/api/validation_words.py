"""The one table that turns pydantic's errors into our sentences: which value is wrong, and what to send instead.

Shows a value only if it is short and not a secret: a word outside a closed set, or a number out of range. Our own
validators' messages are used as they are, and so are pydantic's messages that are not in the table.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

MAX_SUBJECT, MAX_SHOWN = 100, 40
SECRET = re.compile(r"password|token|secret|code|key|address|url", re.IGNORECASE)
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
INDEX = re.compile(r"\.([0-9]+)(?=\.|$)", re.ASCII)
PREDICATE = re.compile(r"(must|is|are|has) ")
OURS = {"value_error", "assertion_error", "refused", "unknown_target"}
TIME = "{subject} must be an RFC 3339 time with its zone, such as 2026-01-20T10:30:00Z."
CHOICE = "{subject}{value} is not valid. Use {expected}."
OBJECT = "{subject} must be a JSON object."
ONLY_WHOLE, ANY_NUMBER = " must be a whole number.", " must be a number."
WHOLE_NUMBER = "{subject}" + ONLY_WHOLE
NUMBER_WANTED = "{subject}" + ANY_NUMBER
BOOLEAN = "{subject} must be true or false."
REQUIRED = "{subject} is required."
NOT_EMPTY = "{subject} must not be empty."
UUID_WANTED = "{subject} must be a UUID, such as 3f2b1a90-7c1d-41ef-9a53-0242ac120002."
TIME_OF_DAY = "{subject} must be a time of day, such as 22:30."

# By pydantic's type: https://docs.pydantic.dev/latest/errors/validation_errors/
WORDS = {
    "bool_parsing": BOOLEAN,
    "bool_type": BOOLEAN,
    "datetime_from_date_parsing": TIME,
    "datetime_object_invalid": TIME,
    "datetime_parsing": TIME,
    "datetime_type": TIME,
    "dict_type": OBJECT,
    "enum": CHOICE,
    "extra_forbidden": "{subject} is not a known field. Remove it, or check its spelling.",
    "finite_number": "{subject} must be a finite number.",
    "float_parsing": NUMBER_WANTED,
    "float_type": NUMBER_WANTED,
    "greater_than": "{subject} must be over {gt}{instead_of}.",
    "greater_than_equal": "{subject} must be at least {ge}{instead_of}.",
    "int_from_float": WHOLE_NUMBER,
    "int_parsing": WHOLE_NUMBER,
    "int_parsing_size": "{subject} is too large a number.",
    "int_type": WHOLE_NUMBER,
    "invalid_key": "{subject} must have text for its keys.",
    "json_invalid": "{subject} is not JSON: {error}.",
    "less_than": "{subject} must be under {lt}{instead_of}.",
    "less_than_equal": "{subject} must be at most {le}{instead_of}.",
    "list_type": "{subject} must be a list.",
    "literal_error": CHOICE,
    "missing": REQUIRED,
    "model_attributes_type": OBJECT,
    "model_type": OBJECT,
    "none_required": "{subject} must be null.",
    "recursion_loop": "{subject} is nested too deeply.",
    "string_pattern_mismatch": "{subject} must match the pattern {pattern}.",
    "string_too_long": "{subject} must have at most {max_length} character{s}.",
    "string_too_short": "{subject} must have at least {min_length} character{s}.",
    "string_type": "{subject} must be text.",
    "string_unicode": "{subject} must be Unicode text, without lone surrogates.",
    "time_parsing": TIME_OF_DAY,
    "time_type": TIME_OF_DAY,
    "timezone_aware": TIME,
    "too_long": "{subject} must have at most {max_length} item{s}.",
    "too_short": "{subject} must have at least {min_length} item{s}.",
    "union_tag_invalid": CHOICE,
    "union_tag_not_found": REQUIRED,
    "uuid_parsing": UUID_WANTED,
    "uuid_type": UUID_WANTED,
}


def words_for(error: Mapping[str, Any], subject: str, *, may_show: bool = True) -> str:
    """One or two sentences for one of pydantic's errors. `subject` is the client's name of the field."""
    if error["type"] in OURS:
        return _in_own_words(str(error["msg"]), subject)
    if error["type"] not in WORDS:
        return _ended(f"{subject}: {error['msg']}")
    context = error.get("ctx") or {}
    shown = _shown(context.get("tag", error.get("input"))) if may_show and not SECRET.search(subject) else ""
    words = NOT_EMPTY if context.get("min_length") == 1 else WORDS[error["type"]]
    return words.format_map(_in_short(context) | {"subject": subject} | _with_value(shown))


def without_narrower(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Drop duplicates, and "a whole number" where the same field may be any number."""
    wider = {(where, said) for where, said in found if said.endswith(ANY_NUMBER)}
    return [
        (where, said)
        for where, said in dict.fromkeys(found)
        if (where, said.replace(ONLY_WHOLE, ANY_NUMBER)) not in wider or said.endswith(ANY_NUMBER)
    ]


def subject_of(pointer: str) -> str:
    """The name of the value at a JSON pointer: `steps[0].actions[1].url`."""
    if not pointer:
        return "The body"
    path = pointer.removeprefix("/").replace("/", ".").replace("~1", "/").replace("~0", "~")
    subject = INDEX.sub(r"[\1]", path)
    return subject if len(subject) <= MAX_SUBJECT else f"…{subject[-MAX_SUBJECT:]}"


def _in_own_words(message: str, subject: str) -> str:
    """Add the subject if a validator's message starts with a verb: "must not contain the NUL character"."""
    said = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return _ended(f"{subject} {said}" if PREDICATE.match(said) else said)


def _ended(sentence: str) -> str:
    """The sentence with a full stop, except right after a URL that somebody will copy."""
    is_ended = sentence.endswith((".", "!", "?")) or "://" in sentence.rpartition(" ")[2]
    return sentence if is_ended else f"{sentence}."


def _shown(value: Any) -> str:
    """The value as JSON if it is short and simple, else nothing."""
    if isinstance(value, str) and len(value) <= MAX_SHOWN:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float) and abs(value) < 10**15:
        return json.dumps(value)
    return ""


def _in_short(context: Mapping[str, Any]) -> dict[str, Any]:
    """pydantic's context with plain numbers, the list of choices, and the plural ending."""
    plain = {name: f"{value:.15g}" if isinstance(value, float) else value for name, value in context.items()}
    choices = _choices(str(context.get("expected", context.get("expected_tags", ""))))
    count = context.get("min_length", context.get("max_length"))
    return {**plain, "expected": choices, "s": "" if count == 1 else "s"}


def _with_value(shown: str) -> dict[str, str]:
    number = shown.strip('"')
    return {
        "value": f" {shown}" if shown else "",
        "instead_of": f", not {number}" if NUMBER.fullmatch(number) else "",
    }


def _choices(expected: str) -> str:
    """From pydantic's "'a', 'b' or 'c'", and from its "'a', 'b', 'c'" for tags."""
    *others, last = expected.replace("'", "").replace(" or ", ", ").split(", ")
    return f"{', '.join(others)} or {last}" if others else last
