"""The actions of a policy's step, on the wire. `type` says which action it is.

An action's own file has its model and registers it here, so that adding an action changes no other file.
"""

from functools import reduce
from operator import or_
from typing import Annotated, Any, get_args

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from app.schemas.base import Input

MAX_ACTIONS = 20
TYPE = "type"


class Models:
    """The models of the registered actions by type, in the order of registration."""

    def __init__(self) -> None:
        self._by_type: dict[str, type[Input]] = {}
        self._union: TypeAdapter[Input] | None = None

    def add(self, model: type[Input]) -> None:
        self._by_type |= dict.fromkeys(types_of(model), model)
        self._union = None

    def remove(self, model: type[Input]) -> None:
        self._by_type = {type_: known for type_, known in self._by_type.items() if known is not model}
        self._union = None

    def validate(self, said: Any) -> Input:
        """One action, by its type. Raises ValidationError."""
        if self._union is None:
            union: Any = Annotated[reduce(or_, self._models()), Field(discriminator=TYPE)]
            self._union = TypeAdapter(union)
        return self._union.validate_python(said)

    def documented(self, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The union for OpenAPI."""
        choices = {type_: model.__pydantic_core_schema__ for type_, model in self._by_type.items()}
        return handler(core_schema.tagged_union_schema(choices, TYPE))

    def _models(self) -> list[type[Input]]:
        return list(dict.fromkeys(self._by_type.values()))


MODELS = Models()


def types_of(model: type[Input]) -> tuple[str, ...]:
    """The values of `type` that select a model."""
    return get_args(model.model_fields[TYPE].annotation)


class _Registered:
    """Any action that is registered when it is validated or documented."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(MODELS.validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return MODELS.documented(handler)


Action = Annotated[Any, _Registered()]  # an Input; its base in the annotation would be documented too
Actions = Annotated[list[Action], Field(min_length=1, max_length=MAX_ACTIONS)]
