"""What a person reads of each error that pydantic can find in what a client sends."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel, Field, StrictFloat, StrictInt, TypeAdapter, ValidationError
from pydantic_core._pydantic_core import list_all_errors

from app.api.validation_words import OURS, WORDS, subject_of, without_narrower, words_for
from app.core.vocabulary import Severity
from app.main import create_app
from app.schemas import types
from app.schemas.base import Input

LENGTHS = {"min_length": "too_short", "max_length": "too_long"}
BOUNDS = {"ge": "greater_than_equal", "gt": "greater_than", "le": "less_than_equal", "lt": "less_than"}
NUMBERS = BOUNDS | {"allow_inf_nan": "finite_number"}
TIMES = {"timezone_aware", "datetime_type", "datetime_parsing", "datetime_from_date_parsing", "datetime_object_invalid"}
# By the kind of a core schema: what it can find, and what it can find where it has a constraint.
FINDS: dict[str, tuple[set[str], dict[str, str]]] = {
    "any": (set(), {}),
    "bool": ({"bool_type", "bool_parsing"}, {}),
    "datetime": (TIMES, {}),
    "default": (set(), {}),
    "definition-ref": (set(), {}),
    "definitions": (set(), {}),
    "dict": ({"dict_type", "invalid_key"}, LENGTHS),
    "enum": ({"enum"}, {}),
    "float": ({"float_type", "float_parsing", "finite_number"}, NUMBERS),
    "function-after": ({"value_error", "assertion_error"}, {}),
    "function-before": ({"value_error", "assertion_error"}, {}),
    "function-plain": ({"value_error", "assertion_error"}, {}),
    "function-wrap": ({"value_error", "assertion_error"}, {}),
    "int": ({"int_type", "int_parsing", "int_parsing_size", "int_from_float", "finite_number"}, NUMBERS),
    "list": ({"list_type"}, LENGTHS),
    "literal": ({"literal_error"}, {}),
    "model": ({"model_type"}, {}),
    "model-field": ({"missing"}, {}),
    "model-fields": ({"model_type", "model_attributes_type", "extra_forbidden"}, {}),
    "none": ({"none_required"}, {}),
    "nullable": (set(), {}),
    "str": (
        {"string_type", "string_unicode"},
        {"min_length": "string_too_short", "max_length": "string_too_long", "pattern": "string_pattern_mismatch"},
    ),
    "tagged-union": ({"union_tag_invalid", "union_tag_not_found"}, {}),
    "time": ({"time_type", "time_parsing"}, {}),
    "union": (set(), {}),
    "uuid": ({"uuid_type", "uuid_parsing"}, {}),
}
NOT_OF_A_FIELD = {"json_invalid", "recursion_loop"}  # of the whole body


def schemas() -> Iterator[tuple[str, Any]]:
    """The core schema of everything that a request can hold: bodies, their models and parameters."""
    for model in bodies(Input):
        yield model.__name__, model.__pydantic_core_schema__
    contexts = iter_route_contexts(create_app().routes)
    for route in (context.original_route for context in contexts if isinstance(context.original_route, APIRoute)):
        for name, schema in parameters(route.dependant):
            yield f"{route.name}.{name}", schema


def parameters(dependant: Dependant) -> Iterator[tuple[str, Any]]:
    for field in [*dependant.path_params, *dependant.query_params, *dependant.header_params, *dependant.body_params]:
        info = field.field_info
        kind: Any = Annotated[info.annotation, info]
        yield field.name, TypeAdapter(kind).core_schema
    for needed in dependant.dependencies:
        yield from parameters(needed)


def bodies(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for child in model.__subclasses__():
        yield child
        yield from bodies(child)


def kinds(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema within a core schema. What is only written out, not read, does not count."""
    if isinstance(schema, dict):
        if isinstance(schema.get("type"), str) and "serialization" not in schema.get("type", ""):
            yield schema
        for name, value in schema.items():
            if name not in {"metadata", "serialization", "default", "config", "function"}:
                yield from kinds(value)
    elif isinstance(schema, list | tuple):
        for item in schema:
            yield from kinds(item)


@pytest.mark.parametrize(("name", "schema"), [pytest.param(n, s, id=n) for n, s in schemas()])
def test_what_our_schemas_can_find_has_words(name: str, schema: Any) -> None:
    for found in kinds(schema):
        always, constrained = FINDS[found["type"]]
        possible = always | {error for constraint, error in constrained.items() if constraint in found}
        assert possible <= WORDS.keys() | OURS, (name, found["type"])


def test_every_word_is_for_an_error_that_pydantic_knows() -> None:
    assert {error["type"] for error in list_all_errors()} >= WORDS.keys()


@pytest.mark.parametrize("error", [e for e in list_all_errors() if e["type"] in WORDS], ids=lambda error: error["type"])
def test_words_take_their_values_from_what_pydantic_says(error: dict[str, Any]) -> None:
    item = {"type": error["type"], "msg": "Input should be", "ctx": error["example_context"], "input": None}
    said = words_for(item, "field")
    assert re.fullmatch(r'field( "")? (must|is) .+\.', said)
    assert "Input" not in said
    assert "{" not in said


@pytest.mark.parametrize("error", list_all_errors(), ids=lambda error: error["type"])
def test_every_error_has_a_sentence_about_the_field(error: dict[str, Any]) -> None:
    item = {"type": error["type"], "msg": "must be good", "ctx": error["example_context"], "input": "x"}
    assert words_for(item, "field").startswith("field")


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (Severity, "urgent", 'severity "urgent" is not valid. Use critical, high, medium or low.'),
        (Literal["only"], "two", 'severity "two" is not valid. Use only.'),
        (Literal["a", "b"], 3, "severity 3 is not valid. Use a or b."),
        (Literal["a", "b"], ["a"], "severity is not valid. Use a or b."),
        (Literal["a", "b"], "x" * 41, "severity is not valid. Use a or b."),
        (Literal["a", "b"], 'x"\n', 'severity "x\\"\\n" is not valid. Use a or b.'),
        (Annotated[int, Field(ge=1)], 0, "severity must be at least 1, not 0."),
        (Annotated[int, Field(ge=1)], "0", "severity must be at least 1, not 0."),
        (Annotated[int, Field(le=500)], 501, "severity must be at most 500, not 501."),
        (Annotated[int, Field(le=500)], 10**400, "severity must be at most 500."),
        (Annotated[float, Field(gt=0.0)], 0, "severity must be over 0, not 0."),
        (Annotated[float, Field(lt=2.5)], 2.5, "severity must be under 2.5, not 2.5."),
        (StrictInt, "1", "severity must be a whole number."),
        (int, 1.5, "severity must be a whole number."),
        (int, "9" * 5000, "severity is too large a number."),
        (float, "x", "severity must be a number."),
        (types.Flag, 1, "severity must be true or false."),
        (types.Title, "  ", "severity must not be empty."),
        (types.Title, "x" * 256, "severity must have at most 255 characters."),
        (types.Title, 5, "severity must be text."),
        (types.Title, "\ud800", "severity must be Unicode text, without lone surrogates."),
        (types.Title, "\x00", "severity must not contain the NUL character."),
        (Annotated[str, Field(max_length=1)], "ab", "severity must have at most 1 character."),
        (Annotated[list[int], Field(min_length=1)], [], "severity must not be empty."),
        (Annotated[list[int], Field(min_length=2)], [1], "severity must have at least 2 items."),
        (Annotated[list[int], Field(max_length=1)], [1, 2], "severity must have at most 1 item."),
        (list[int], {}, "severity must be a list."),
        (types.JsonObject, [], "severity must be a JSON object."),
        (types.GivenTime, "soon", "severity must be an RFC 3339 time with its zone, such as 2026-01-20T10:30:00Z."),
        (UUID, "x", "severity must be a UUID, such as 3f2b1a90-7c1d-41ef-9a53-0242ac120002."),
    ],
)
def test_an_error_says_what_is_wrong_and_what_to_send(kind: Any, value: Any, said: str) -> None:
    [error] = errors_of(kind, value)
    assert words_for(error, "severity") == said


def errors_of(kind: Any, value: Any) -> list[Any]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    return caught.value.errors()


@pytest.mark.parametrize("field", ["password", "refresh_token", "client_secret", "code", "Idempotency-Key", "address"])
def test_a_secret_is_never_shown(field: str) -> None:
    [word], [number] = errors_of(Literal["a"], "hush"), errors_of(Annotated[int, Field(le=5)], 12345)
    assert words_for(word, f"steps[0].{field}") == f"steps[0].{field} is not valid. Use a."
    assert words_for(number, field) == f"{field} must be at most 5."


@pytest.mark.parametrize("kind", [int, float, bool, UUID, list[int], types.JsonObject, types.GivenTime, Severity])
def test_a_long_value_is_never_shown(kind: Any) -> None:
    assert all("hush" not in words_for(error, "field") for error in errors_of(kind, "hush " * 10))


def test_where_nothing_may_be_shown_nothing_is() -> None:
    [error] = errors_of(Severity, "urgent")
    assert words_for(error, "SEVERITY", may_show=False) == "SEVERITY is not valid. Use critical, high, medium or low."


def test_an_error_that_nobody_has_words_for_is_told_in_its_own() -> None:
    assert words_for({"type": "novel", "msg": "Input should be novel"}, "field") == "field: Input should be novel."


def test_a_sentence_that_ends_in_a_url_gets_no_full_stop_behind_it() -> None:
    error = {"type": "value_error", "msg": "Value error, must be a URL, such as https://x.example"}
    assert words_for(error, "field") == "field must be a URL, such as https://x.example"


@pytest.mark.parametrize(
    ("pointer", "subject"),
    [
        ("", "The body"),
        ("limit", "limit"),
        ("/title", "title"),
        ("/steps/0/actions/12/url", "steps[0].actions[12].url"),
        ("/a~1b~0c", "a/b~c"),
        ("/" + "x" * 200, "…" + "x" * 100),
    ],
)
def test_a_field_is_called_by_its_way(pointer: str, subject: str) -> None:
    assert subject_of(pointer) == subject


def test_of_a_number_that_need_not_be_whole_one_error_is_told() -> None:
    errors = errors_of(StrictInt | StrictFloat, "x")
    found = [("/delay", words_for(error, "delay")) for error in errors]
    assert without_narrower([*found, ("/id", "id must be a whole number.")]) == [
        ("/delay", "delay must be a number."),
        ("/id", "id must be a whole number."),
    ]
