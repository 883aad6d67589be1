"""The templates that cost most for what they are charged, and facts that are larger than any incident's."""

from collections.abc import Iterator
from itertools import product
from typing import Any

from jinja2 import Environment

from app.services.messages.template_filters import FILTERS
from app.services.messages.template_rules import MAX_COST, cost_of
from app.services.messages.template_values import MAX_ITEMS, MAX_VALUE

LARGE: dict[str, Any] = {
    "texts": {f"key {number}": "x" * MAX_VALUE for number in range(250)},
    "lists": [[]] * 100_000,
    "empty": [{}] * MAX_ITEMS,
    "numbers": [1.5] * 100_000,
    "long": "x" * 1_000_000,
    "spaces": " " * 1_000_000,
    "tags": "<>" * MAX_VALUE,
    "entities": "&a" * MAX_VALUE,
    "astral": "😀" * MAX_VALUE,
    "digits": "9" * MAX_VALUE,
    "wide": list(range(MAX_ITEMS)),
    "negative": -(10**300),
}
EXPRESSIONS = [
    *(f"x | {name}" for name in sorted(FILTERS)),
    "x | tojson | length",
    "x | join(x | first)",
    "'a' | truncate(0, true, x)",
    "5 | round(x)",
    "x ~ x",
    "wide[x]",
    "x[x]",
    "x == x",
    "x in [x]",
]
WITH_ARGUMENT = ["round", "int", "truncate", "default", "join"]
VALUES = ["5", "2.5", "1e999", "digits", "('1' ~ digits) | int", "none", "'nan'", "-0.0", "negative"]
ARGUMENTS = ["'-20000000'", "20000000", "1e999", "'nan'", "none", "digits", "negative"]


def as_often_as_it_may(expression: str) -> str:
    """A loop that spends the whole budget on an expression of `x`. It writes nothing: no limit of the output helps."""
    part = f"{{% if {expression} %}}{{% endif %}}"
    often = (MAX_COST - 100) // MAX_ITEMS // cost_of(Environment().parse(part))
    return "{% for y in wide %}" + part * often + "{% endfor %}"


def with_arguments(name: str) -> Iterator[str]:
    """A filter with everything that it could be given."""
    for value, argument in product(VALUES, ARGUMENTS):
        yield f"{{{{ ({value}) | {name}({argument}) }}}}"


def hard_templates() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each source with its facts."""
    for expression in EXPRESSIONS:
        source = as_often_as_it_may(expression)
        for value in LARGE.values():
            yield source, {**LARGE, "x": value}
    for name in WITH_ARGUMENT:
        for source in with_arguments(name):
            yield source, LARGE
