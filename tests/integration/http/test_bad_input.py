"""Whatever a client sends is answered for what it is: never with a 500, never by doing something else.

The tests run over all operations of the OpenAPI document.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app.core.config import Settings
from app.db.session import connect
from app.main import create_app
from app.utils.service_locator import build_services
from tests.support.answers import problem
from tests.support.operations import (
    OPERATIONS,
    SIGNED,
    WITH_JSON,
    WITH_LOGIN,
    WITH_STRICT_BODY,
    Leaf,
    Operation,
    sample,
    text_of,
)
from tests.support.world import ADMIN, PASSWORD, Outbox, add_admins

pytestmark = pytest.mark.slow

NUL, LONE_SURROGATE = "a\x00b", "a\ud800b"
NOT_INTEGERS: list[Any] = [2**31, 2**63, 10**400, -1, True, "x", "1e999", NUL, {}]
NOT_NUMBERS: list[Any] = [10**400, -1, True, "x", "1e999", [], {}]
NOT_BOOLEANS: list[Any] = [None, 2, "x", "", [], {}]
NOT_TIMES = [
    "2026-01-20T10:30:00",
    "2026-01-20",
    "10:30:00Z",
    "2026-01-20T10:30:00+99:99",
    "2026-02-30T10:30:00Z",
    "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00+12:00",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "1768905000",
    "",
    "x" * 10_000,
]
NOT_OBJECTS: list[Any] = [None, [], [{}], "text", "", 0, 1.5, True]
NOT_JSON = [
    b"{",
    b'{"a":',
    b"\xff",
    b'{"a": "\xff"}',
    b"{'a': 1}",
    b"[" * 10_000,
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
]
NOT_NUMBERS_OF_JSON = [b"NaN", b"Infinity", b"-Infinity", b"9" * 5000]
NOT_IDS = ["0", "-1", str(2**31), str(2**63), "9" * 5000, "x", "1x", "1.5", "NaN", "%00", "%FF", "%ED%A0%80", "ä"]
NOT_WORDS = ["x", "%00", "%FF", "%ED%A0%80", quote("e\u0301mail"), "x" * 5000]
NOT_KEYS = [b"", b"a b", b"\xff\xfe", b"a" * 256, b"a" * 50_000, b"\t"]
OTHER_TYPES = ["text/plain", "multipart/form-data; boundary=x", "application/xml", "", "é", ";", None]

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=str)
each_with_login = pytest.mark.parametrize("operation", WITH_LOGIN, ids=str)
each_with_json = pytest.mark.parametrize("operation", WITH_JSON, ids=str)
each_unsigned = pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.path not in SIGNED], ids=str)
each_strict = pytest.mark.parametrize("operation", WITH_STRICT_BODY, ids=str)


@dataclass(frozen=True)
class Sender:
    """An administrator who sends what the test says."""

    client: TestClient
    login: dict[str, str]

    def send(self, operation: Operation, body: Any, *, url: str = "", **headers: str | bytes | None) -> Response:
        """Send bytes as they are, and anything else as JSON. A header that is None is left out."""
        content = body if isinstance(body, bytes) else text_of(body)
        given = {**self.login, "content_type": "application/json", **headers}
        named: Any = {name.replace("_", "-"): value for name, value in given.items() if value is not None}
        url = url or operation.url()
        answer: Response = self.client.request(operation.method, url, content=content, headers=named)
        return answer

    def refused(self, operation: Operation, leaf: Leaf, value: Any) -> None:
        """The value is refused with a 422 that points at it, or at what it is in."""
        found = problem(self.send(operation, leaf.body_with(value)), 422)
        pointers = [error["pointer"] for error in found["errors"]]
        assert any(leaf.pointer.startswith(pointer) and pointer for pointer in pointers), (leaf.pointer, value, found)


@pytest.fixture(scope="module")
def sender(
    new_database: Callable[..., str], template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sender]:
    """One service for all tests of this file: what is refused changes nothing that another test could see."""
    settings = Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("data"), bcrypt_rounds=4, log_level="ERROR")
    database = connect(new_database(template), pool_size=settings.database_pool_size)
    services = build_services(settings, database, channels={"email": Outbox()})
    add_admins(database)
    with TestClient(create_app(settings, services)) as client:
        tokens = client.post("/v1/auth/login/access-token", json={"username": ADMIN, "password": PASSWORD}).json()
        yield Sender(client, {"Authorization": f"Bearer {tokens['access_token']}"})
    database.dispose()


def valid_body(operation: Operation) -> Any:
    return sample(operation.schema) if operation.media_types else b""


@each_with_json
def test_text_that_cannot_be_stored_is_refused_or_made_harmless(sender: Sender, operation: Operation) -> None:
    """At login it is merely wrong. In an alert it is replaced: an alert must not be lost."""
    expected = {"/v1/auth/login/access-token": {401, 422}, "/v1/alerts/elastic": {201}}.get(operation.path, {422})
    for leaf in operation.leaves("string"):
        for text in (NUL, LONE_SURROGATE):
            answer = sender.send(operation, leaf.body_with(text))
            assert answer.status_code in expected, (leaf.pointer, text, answer.text)


@each_strict
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("integer", NOT_INTEGERS),
        ("number", NOT_NUMBERS),
        ("boolean", NOT_BOOLEANS),
        ("date-time", [*NOT_TIMES, 0, 1768905000, True, [], {}]),
    ],
    ids=["integer", "number", "boolean", "date-time"],
)
def test_a_value_of_another_kind_is_refused_by_its_pointer(
    sender: Sender, operation: Operation, kind: str, values: list[Any]
) -> None:
    for leaf in operation.leaves(kind):
        for value in values:
            if value is not None or not leaf.takes_null:
                sender.refused(operation, leaf, value)


@each_strict
def test_an_unknown_field_is_refused_by_its_pointer(sender: Sender, operation: Operation) -> None:
    answer = sender.send(operation, {**sample(operation.schema), "sur/pri~se": 1})
    problem(answer, 422, pointer="/sur~1pri~0se")


@each_strict
def test_very_many_unknown_fields_are_answered_briefly(sender: Sender, operation: Operation) -> None:
    answer = sender.send(operation, {f"field-{number}": {} for number in range(20_000)})
    problem(answer, 422)
    assert len(answer.content) < 10_000


@each_strict
def test_a_body_that_is_no_object_is_refused(sender: Sender, operation: Operation) -> None:
    for body in NOT_OBJECTS:
        if body is not None or operation.needs_body:
            problem(sender.send(operation, body), 422)


@each_strict
def test_a_body_that_is_no_json_is_refused(sender: Sender, operation: Operation) -> None:
    for body in NOT_JSON:
        problem(sender.send(operation, body), 422)


@pytest.mark.parametrize("operation", [o for o in WITH_JSON if not o.reads_strictly], ids=str)
def test_a_webhook_keeps_what_is_no_object_or_no_json(sender: Sender, operation: Operation) -> None:
    readable: tuple[Any, ...] = ([{}], b'{"a": "\xff"}')
    for body in (*NOT_OBJECTS, *NOT_JSON):
        answer = sender.send(operation, body)
        assert answer.status_code == 201
        assert ("could not be read" in answer.json()["message"]) == (body not in readable)


@each_strict
def test_numbers_that_json_does_not_have_are_refused(sender: Sender, operation: Operation) -> None:
    for number in NOT_NUMBERS_OF_JSON:
        problem(sender.send(operation, b'{"id": ' + number + b"}"), 422)


@pytest.mark.parametrize("operation", [o for o in WITH_STRICT_BODY if o.is_idempotent], ids=str)
def test_nesting_about_as_deep_as_the_parser_goes_is_refused(sender: Sender, operation: Operation) -> None:
    for depth in range(900, 1000):
        body = b'{"metadata": ' + b"[" * depth + b"]" * depth + b"}"
        problem(sender.send(operation, body, idempotency_key="deep"), 422)


@each_strict
def test_a_body_of_another_type_is_refused(sender: Sender, operation: Operation) -> None:
    for media_type in OTHER_TYPES:
        encoded = media_type.encode("latin-1") if media_type is not None else None
        problem(sender.send(operation, sample(operation.schema), content_type=encoded), 415)


@pytest.mark.parametrize("operation", [o for o in WITH_STRICT_BODY if o.needs_body], ids=str)
def test_a_body_that_is_absent_is_refused(sender: Sender, operation: Operation) -> None:
    problem(sender.send(operation, b""), 422)
    problem(sender.send(operation, b"", content_type=None), 422)


@each_operation
def test_an_id_that_cannot_exist_is_not_found(sender: Sender, operation: Operation) -> None:
    for parameter in operation.parameters("path"):
        values = NOT_IDS if parameter["schema"].get("type") == "integer" else NOT_WORDS
        for value in values:
            url = operation.url(**{parameter["name"]: value})
            problem(sender.send(operation, valid_body(operation), url=url), 404)


@each_unsigned
def test_a_bad_value_in_the_query_is_refused_by_its_name(sender: Sender, operation: Operation) -> None:
    for parameter in operation.parameters("query"):
        for value in not_of(parameter["schema"]):
            url = f"{operation.url()}?{parameter['name']}={quote(value)}"
            problem(sender.send(operation, b"", url=url), 422, pointer=parameter["name"])


def not_of(schema: dict[str, Any]) -> list[str]:
    """What a parameter of this schema cannot be."""
    variants = [variant.get("items", variant) for variant in [schema, *schema.get("anyOf", [])]]
    kinds = {variant.get(key) for variant in variants for key in ("type", "format")}
    if "date-time" in kinds:
        return NOT_TIMES
    if "integer" in kinds:
        return ["x", "", "-1", "1.5", "NaN", "9" * 5000, str(2**63), "true", "\x00"]
    if "number" in kinds:
        return ["x", "", "-1", "NaN", "Infinity", "1e999", "0", "\x00"]
    return [NUL]


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.method == "GET"], ids=str)
def test_query_bytes_that_are_not_utf_8_break_nothing(sender: Sender, operation: Operation) -> None:
    """They arrive as U+FFFD, which is text as good as any."""
    for name in [*(parameter["name"] for parameter in operation.parameters("query")), "unknown"]:
        answer = sender.send(operation, b"", url=f"{operation.url()}?{name}=%FF%ED%A0%80")
        assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.is_idempotent], ids=str)
def test_an_idempotency_key_that_is_none_is_refused(sender: Sender, operation: Operation) -> None:
    for key in NOT_KEYS:
        answer = sender.send(operation, sample(operation.schema), idempotency_key=key)
        problem(answer, 422, pointer="Idempotency-Key")


@each_with_login
def test_who_is_not_logged_in_learns_nothing_of_the_input(sender: Sender, operation: Operation) -> None:
    for body in (b"null", b'{"sur": "prise"}', b'{"user_id": "x"}'):
        problem(sender.send(operation, body, Authorization=None), 401)


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/nothing", "/v1/nothing", "/v1/users/1/x", "/%00", "/%FF"])
def test_an_address_without_anything_is_a_problem(sender: Sender, path: str) -> None:
    problem(sender.client.get(path), 404)


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "PUT", "TRACE", "OPTIONS"])
def test_another_method_is_told_which_there_are(sender: Sender, method: str) -> None:
    problem(sender.client.request(method, "/v1/users"), 405)


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json"])
def test_json_by_another_name_is_read(sender: Sender, media_type: str) -> None:
    headers = {**sender.login, "Content-Type": media_type}
    answer = sender.client.put("/v1/users/me", content=b'{"full_name": "Ada"}', headers=headers)
    assert answer.json()["full_name"] == "Ada"


def test_of_a_repeated_key_the_last_counts(sender: Sender) -> None:
    headers = {**sender.login, "Content-Type": "application/json"}
    body = b'{"full_name": "Ada", "full_name": "Grace"}'
    assert sender.client.put("/v1/users/me", content=body, headers=headers).json()["full_name"] == "Grace"
