"""Every operation of the OpenAPI document and requests made up for it, so that later routes are covered as well."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.main import app

Schema = dict[str, Any]

DOCUMENT: dict[str, Any] = app.openapi()
SAMPLES = {"string": "text", "integer": 1, "number": 1, "boolean": True, "null": None}
SIGNED = {
    "/v1/notifications/callbacks/twilio"
}  # answered only with its sender's signature: see test_delivery_callbacks
WEBHOOKS = "/v1/alerts/"  # their bodies are JSON whatever their senders call it
OPEN_OBJECT = {"type": "object", "additionalProperties": True}


class Leaf(NamedTuple):
    """A value somewhere in a body: its JSON pointer, its schema, and the body with something else in its place."""

    pointer: str
    schema: Schema
    body_with: Callable[[Any], Any]
    takes_null: bool = False


@dataclass(frozen=True)
class Operation:
    """One line of the API. Its name is what a failing test shows."""

    method: str
    path: str
    spec: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def needs_login(self) -> bool:
        return {"OAuth2PasswordBearer": []} in self.spec.get("security", [])

    @property
    def media_types(self) -> set[str]:
        return set(self.spec.get("requestBody", {}).get("content", {}))

    @property
    def reads_strictly(self) -> bool:
        """True if its body must be JSON of a known form."""
        return "application/json" in self.media_types and not self.path.startswith(WEBHOOKS)

    @property
    def is_idempotent(self) -> bool:
        """True if an Idempotency-Key makes it safe to repeat."""
        return any(parameter["name"] == "Idempotency-Key" for parameter in self.parameters("header"))

    @property
    def needs_body(self) -> bool:
        """False if it works without a body, or with null for one."""
        return bool(self.spec["requestBody"].get("required", False))

    @property
    def schema(self) -> Schema:
        schema: Schema = self.spec["requestBody"]["content"]["application/json"]["schema"]
        return schema

    def parameters(self, place: str) -> list[dict[str, Any]]:
        return [p for p in self.spec.get("parameters", []) if p["in"] == place]

    def url(self, **given: Any) -> str:
        """The path with its parameters filled in, from their examples where nothing is given."""
        values = {p["name"]: sample(p["schema"]) for p in self.parameters("path")}
        return self.path.format(**{**values, **given})

    def leaves(self, kind: str) -> Iterator[Leaf]:
        """Every place in the body that takes a value of this kind (`string`, `integer`, `number`, `date-time`)."""
        for leaf in _leaves(self.schema):
            if kind in (leaf.schema.get("type"), leaf.schema.get("format")):
                yield leaf


OPERATIONS = [
    Operation(method.upper(), path, spec) for path, item in DOCUMENT["paths"].items() for method, spec in item.items()
]
WITH_LOGIN = [operation for operation in OPERATIONS if operation.needs_login]
WITH_BODY = [operation for operation in OPERATIONS if operation.media_types]
WITH_JSON = [operation for operation in WITH_BODY if "application/json" in operation.media_types]
WITH_STRICT_BODY = [operation for operation in WITH_BODY if operation.reads_strictly]


def resolved(schema: Schema) -> Schema:
    """The schema that a reference leads to."""
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def sample(schema: Schema) -> Any:
    """A value that the schema takes."""
    schema = resolved(schema)
    for key in ("examples", "enum"):
        if key in schema:
            return schema[key][0]
    for key in ("const", "default"):
        if schema.get(key) is not None:
            return schema[key]
    variants = _variants(schema)
    if variants:
        return sample(variants[0])
    if schema.get("type") == "array":
        return [sample(schema["items"])]
    if schema.get("type") == "object":
        return {name: sample(schema["properties"][name]) for name in schema.get("required", [])}
    return schema.get("minimum", SAMPLES[schema["type"]])


def text_of(body: Any) -> bytes:
    """JSON as it comes off a wire. `1e999` stands for that number: more than a float holds."""
    return json.dumps(body).replace('"1e999"', "1e999").encode()


def _variants(schema: Schema) -> list[Schema]:
    return [*schema.get("anyOf", []), *schema.get("oneOf", [])]


def _leaves(schema: Schema) -> Iterator[Leaf]:
    schema = resolved(schema)
    variants = _variants(schema)
    takes_null = {"type": "null"} in variants
    for variant in variants:
        for leaf in _leaves(variant):
            yield leaf._replace(takes_null=takes_null) if leaf.pointer == "" else leaf
    if schema.get("type") == "array":
        for leaf in _leaves(schema["items"]):
            yield _inside(leaf, "0", lambda value: [value])
    elif "properties" in schema:
        yield from _leaves_of_object(schema)
    elif schema.get("type") == "object":
        yield Leaf("", {"type": "string"}, lambda value: {"key": value})
        yield Leaf("", {"type": "string"}, lambda value: {str(value): "value"})
    elif "type" in schema:
        yield Leaf("", schema, lambda value: value)


def _leaves_of_object(schema: Schema) -> Iterator[Leaf]:
    base = sample(schema)
    for name, field in schema["properties"].items():
        for leaf in _leaves(field):
            yield _inside(leaf, name, _setter(base, name))


def _setter(base: Schema, name: str) -> Callable[[Any], Any]:
    return lambda value: {**base, name: value}


def _inside(leaf: Leaf, step: str, wrap: Callable[[Any], Any]) -> Leaf:
    return leaf._replace(pointer=f"/{step}{leaf.pointer}", body_with=lambda value: wrap(leaf.body_with(value)))
