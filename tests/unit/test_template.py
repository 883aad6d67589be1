"""The language of message templates: what it can say, and that nothing said in it can hurt."""

import contextlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services.messages.template import MAX_SOURCE, TemplateError, _compiled, check, render
from app.services.messages.template_filters import FILTERS, TESTS
from app.services.messages.template_rules import MAX_COST
from app.services.messages.template_values import MAX_ITEMS, MAX_VALUE
from tests.support.envelopes import LINK
from tests.support.hard_templates import EXPRESSIONS, LARGE, WITH_ARGUMENT, as_often_as_it_may, with_arguments

FACTS: dict[str, Any] = {
    "incident": {
        "id": 7,
        "title": "Disk <full> & hot",
        "severity": "high",
        "description": None,
        "metadata": {"cpu": 95, "load": 0.256, "tags": ["a", "b"], "items": "x", "nested": {"deep": [1]}, "on": True},
    },
    "note": "x" * 10_000,
    "many": list(range(MAX_ITEMS + 1)),
    "wide": list(range(MAX_ITEMS)),
}


@pytest.fixture(autouse=True)
def _compiled_anew() -> None:
    """No test reads a template that an earlier one compiled: what breaks the compiler must be seen by each."""
    _compiled.cache_clear()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ incident.title }}", "Disk <full> & hot"),
        ("{{ incident['title'] | upper }}", "DISK <FULL> & HOT"),
        ("{{ incident.title | e }}", "Disk &lt;full&gt; &amp; hot"),
        ("{{ incident.title | striptags }}", "Disk & hot"),
        ("{{ incident.title | truncate(7) }}", "Disk…"),
        ("{{ incident.title | truncate(7, true, '') }}", "Disk <f"),
        ("{{ incident.title | truncate(99) }}", "Disk <full> & hot"),
        ("{{ incident.title | urlencode }}", "Disk%20%3Cfull%3E%20%26%20hot"),
        ("{{ 'aB c' | capitalize }} {{ 'aB c' | title }} {{ ' x ' | trim }} {{ 'X' | lower }}", "Ab c Ab C x x"),
        ("{{ incident.metadata.tags | join(', ') }} {{ incident.metadata.tags | length }}", "a, b 2"),
        ("{{ incident.metadata.tags | first }}{{ incident.metadata.tags | last }}{{ [] | first }}", "ab"),
        ("{{ incident.metadata.tags[1] }}{{ incident.metadata.tags[9] }}", "b"),
        ("{{ incident.metadata.nested | tojson }} {{ incident.metadata.tags }}", '{"deep": [1]} ["a", "b"]'),
        ("{{ 1250 | round('-2') }} {{ 1250 | round('-9') }} {{ 0.5 | round(99) }}", "1200 0 0.5"),
        ("{{ incident.metadata.load | round(1) }} {{ '7.9' | int }} {{ 'x' | int(3) }} {{ 7 | string }}", "0.3 7 3 7"),
        ("{{ incident.metadata.items }} {{ incident.metadata.on }}", "x True"),
        ("{% for k, v in incident.metadata.nested | items %}{{ k }}={{ v }}{% endfor %}", "deep=[1]"),
        ("{% for k in incident.metadata.nested %}{{ k }}{% endfor %}", "deep"),
        ("{% for t in ['a', 'b'] %}{{ loop.index }}{{ t }}{% if not loop.last %},{% endif %}{% endfor %}", "1a,2b"),
        ("{% for t in incident.metadata.tags if t == 'b' %}{{ t }}{% else %}none{% endfor %}", "b"),
        ("{% for t in incident.nothing %}{{ t }}{% else %}none{% endfor %}", "none"),
        ("{% for t in incident.id %}{{ t }}{% endfor %}", "7"),
        ("{% if incident.metadata.cpu > 90 and 'a' in incident.metadata.tags %}hot{% endif %}", "hot"),
        ("{{ 'yes' if incident.severity in ['high', 'critical'] else 'no' }}", "yes"),
        ("{{ '#' ~ incident.id ~ '!' }}", "#7!"),
        ("{% raw %}{{ x }}{% endraw %}{# nothing #}", "{{ x }}"),
    ],
)  # fmt: skip
def test_what_a_template_can_say(source: str, text: str) -> None:
    assert render(source, FACTS) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ nothing }}{{ incident.nothing.at.all }}{{ nothing['x'][3] }}{{ incident.title.nothing }}", ""),
        ("{{ incident.description }}", ""),
        ("{{ incident.description | default('-') }}{{ incident.nothing | default('-') }}{{ '' | default('-') }}", "--"),
        ("{{ incident.nothing | upper }}{{ incident.nothing | join }}{{ incident.nothing | length }}", "0"),
        ("{% if incident.nothing > 3 or incident.description < 'x' %}!{% endif %}", ""),
        ("{{ incident.description is none }} {{ nothing is defined }} {{ nothing == none }}", "True False True"),
        ("{{ nothing | tojson }}", "null"),
    ],
)
def test_what_is_missing_or_null_reads_as_nothing(source: str, text: str) -> None:
    assert render(source, FACTS) == text


@pytest.mark.parametrize("value", ["{{ t }}", "{{ t | e }}", "{{ t | string }}", "{{ 'x' ~ t }}", "{{ [t] | join }}"])
def test_html_escapes_every_fact_once(value: str) -> None:
    assert render(value, {"t": "<&>"}, html=True).removeprefix("x") == "&lt;&amp;&gt;"


def test_html_keeps_the_templates_own_tags() -> None:
    assert render("<b>{{ t | tojson }}</b>", {"t": '"><script>'}, html=True).count("<") == 2


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("{{ incident.__class__ }}", 1),
        ("\n{{ incident | _loop(1) }}", 2),
        ("{{ _budget }}", 1),
        ("{% for _budget in [1] %}{% endfor %}", 1),
        ("{{ range(9) }}", 1),
        ("{{ incident.title.upper() }}", 1),
        ("{{ loop() }}", 1),
        ("{{ 9 * 9 }}", 1),
        ("{{ 'x' * 9 }}", 1),
        ("{{ 9 ** 9 }}", 1),
        ("{{ '%999s' % 1 }}", 1),
        ("{{ 1 + 1 }}", 1),
        ("{{ 'abc'[0:1] }}", 1),
        ("{{ {'a': 1} }}", 1),
        ("\n\n{% set x = 1 %}", 3),
        ("{% set x %}a{% endset %}", 1),
        ("{% include 'page.txt' %}", 1),
        ("{% extends 'page.txt' %}", 1),
        ("{% import 'page.txt' as x %}", 1),
        ("{% from 'page.txt' import x %}", 1),
        ("{% block x %}{% endblock %}", 1),
        ("{% macro x() %}{% endmacro %}", 1),
        ("{% call x() %}{% endcall %}", 1),
        ("{% filter upper %}x{% endfilter %}", 1),
        ("{% for x in [1] recursive %}{% endfor %}", 1),
        ("{% for a in [1] %}{% for b in [1] %}{% for c in [1] %}{% endfor %}{% endfor %}{% endfor %}", 1),
        ("{{ 'x' | replace('x', 'y') }}", 1),
        ("{{ 'x' | attr('y') }}", 1),
        ("{{ 1 is divisibleby(1) }}", 1),
        ("{{ 'x' | truncate(*[1]) }}", 1),
        ("{{ 'x' | truncate(**note) }}", 1),
        ("a\n{% if %}", 2),
        ("{{", 1),
        ("{% for x in y %}", 1),
        ("{{ " + "not " * 50 + "x }}", 1),
    ],
)
def test_what_a_template_cannot_say_is_refused_with_its_line(source: str, line: int) -> None:
    with pytest.raises(TemplateError, match=rf"^Line {line}: .+\.$"):
        check(source)


@pytest.mark.parametrize(
    "source",
    ["x" * (MAX_SOURCE + 1), "{{ " + "(" * 9000 + "1" + ")" * 9000 + " }}", "{{ " + "9" * 9000 + " }}"],
    ids=["long", "deep", "huge number"],
)
def test_a_source_that_is_too_much_is_refused(source: str) -> None:
    with pytest.raises(TemplateError):
        check(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% for x in many %}{% endfor %}",
        "{% for x in wide %}{% for y in wide %}{% endfor %}{% endfor %}",
        "{% for x in wide %}" + "{{ x | upper }}" * 20 + "{% endfor %}",
        "{% for x in wide if " + "x | int and " * 10 + "x %}{% endfor %}",
        "{{ 1 | title('x') }}",
        "{{ incident.id < 'a' }}",
        "{{ incident == incident }}",
        "{% for a, b in [1] %}{% endfor %}",
        "{{ self }}",
        "{% for x in [1] %}{{ loop }}{% endfor %}",
        "{% for x in [1] %}{{ [loop] | tojson }}{% endfor %}",
    ],
)
def test_what_only_the_facts_can_tell_fails_with_its_line(source: str) -> None:
    check(source)
    with pytest.raises(TemplateError, match=r"^Line 3: .+\.$"):
        render("\n\n" + source, FACTS)


@pytest.mark.parametrize(
    "source",
    [
        "{{ note }}",
        "{{ note ~ note ~ note }}",
        "{{ [note, note] | join }}",
        "{{ [note, note] | tojson }}",
        "{{ note | truncate(999999) }}",
        "{{ many | tojson }}",
        "{{ many | join(note) }}",
        "{{ note | default(note) | e | upper | trim }}",
    ],
)
def test_one_value_is_never_longer_than_some_kilobytes(source: str) -> None:
    assert len(render(source, FACTS)) <= MAX_VALUE


@pytest.mark.parametrize("character", ["漢", "😀", "ü", " ", '"', "\x07"])
@pytest.mark.parametrize(
    ("source", "decoded"),
    [
        ("{{ text | urlencode }}", unquote),
        (
            "{{ 'text=' ~ (text | urlencode) ~ '&x=1' }}",
            lambda said: unquote(said.removeprefix("text=")[: -len("&x=1")]),
        ),
        ("{{ [text | urlencode, link | urlencode] | join('') | string }}", lambda said: unquote(said)[: -len(LINK)]),
        ("{{ text | tojson }}", json.loads),
        ("{{ text | urlencode | tojson }}", lambda said: unquote(json.loads(said))),
    ],
)
def test_what_is_encoded_loses_nothing_however_long_it_becomes(
    source: str, decoded: Callable[[str], str], character: str
) -> None:
    text = character * (MAX_VALUE - len(LINK)) + LINK
    assert decoded(render(source, {"text": text, "link": LINK})) == text


def test_a_text_is_cut_before_it_is_encoded() -> None:
    assert unquote(render("{{ text | urlencode }}", {"text": "漢" * 5000})) == "漢" * (MAX_VALUE - 1) + "…"


@pytest.mark.parametrize(
    "source",
    ["{{ a" + " ~ (a | urlencode)" * 5 + " }}", "{{ a | urlencode | upper }}", "{{ a" + " | tojson" * 9 + " }}"],
)
def test_an_encoded_text_that_is_too_long_is_refused_rather_than_cut(source: str) -> None:
    with pytest.raises(TemplateError, match="encoded text"):
        render(source, {"a": "\\" * (MAX_VALUE - 1)})


def test_the_output_has_a_limit() -> None:
    assert render("{{ 'abc' }}", {}, limit=3) == "abc"
    with pytest.raises(TemplateError, match="more than 2 characters"):
        render("{{ 'abc' }}", {}, limit=2)


def test_a_loops_facts_are_all_that_is_seen_of_it() -> None:
    assert render("{% for x in [1] %}{{ loop.cycle }}{{ loop.changed }}{{ loop.length }}{% endfor %}", {}) == "1"


def test_facts_stay_as_they_are() -> None:
    facts = {"a": {"b": [1]}}
    render("{{ a.b | first }}{{ a | tojson }}", facts)
    assert facts == {"a": {"b": [1]}}


def test_a_template_is_compiled_once() -> None:
    source = f"{{{{ incident.title }}}} {uuid4()}"
    before = _compiled.cache_info()
    assert render(source, FACTS) == render(source, FACTS)
    after = _compiled.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 1)


NAMES = st.sampled_from(["incident", "incident.title", "incident.metadata", "note", "wide", "loop", "x", "self", "y.z"])
LITERALS = st.sampled_from(["1", "2.5", "'text'", "none", "true", "[1, 'a']", "(1, 2)", "[]", "1e999", "''"])
EXPRESSION = st.recursive(
    NAMES | LITERALS,
    lambda inner: st.one_of(
        st.builds("({} | {})".format, inner, st.sampled_from(sorted(FILTERS))),
        st.builds("({} | {}({}))".format, inner, st.sampled_from(sorted(FILTERS)), inner),
        st.builds("({} is {})".format, inner, st.sampled_from(sorted(TESTS))),
        st.builds(
            "({} {} {})".format, inner, st.sampled_from(["~", "<", "==", "in", "not in", "and", "or", ">="]), inner
        ),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
    ),
    max_leaves=8,
)
TEMPLATES = st.recursive(
    st.builds("{{{{ {} }}}}".format, EXPRESSION) | st.text(max_size=20),
    lambda inner: st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("{{% for x in {} %}}{}{{% endfor %}}".format, EXPRESSION, inner),
        st.builds("{{% for x, y in {} if {} %}}{}{{% endfor %}}".format, EXPRESSION, EXPRESSION, inner),
        st.builds("{{% if {} %}}{}{{% elif {} %}}{}{{% endif %}}".format, EXPRESSION, inner, EXPRESSION, inner),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(TEMPLATES, st.booleans())
def test_whatever_is_written_ends_with_a_text_or_a_template_error(source: str, html: bool) -> None:
    with contextlib.suppress(TemplateError):
        assert isinstance(render(source, FACTS, html=html), str)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("{}%#|.[]()'\"~<> \n\\-abcifornset_1*"), max_size=60))
def test_rubbish_is_a_text_or_a_template_error(source: str) -> None:
    with contextlib.suppress(TemplateError):
        assert isinstance(render(source, FACTS), str)


@pytest.mark.parametrize(
    ("part", "cost"),
    [("{{ note | striptags }}", 12), ("{{ [note, note] | tojson }}", 15), ("{{ note in [note] }}", 25)],
)
def test_a_loop_that_spends_the_whole_budget_on_what_costs_most_is_ended(part: str, cost: int) -> None:
    source = "{% for x in wide %}" + part * (MAX_COST // cost // MAX_ITEMS - 1) + "{% endfor %}"
    with pytest.raises(TemplateError, match=r"characters|too long"):
        render(source * 2, FACTS)


def test_a_comparison_costs_as_much_as_its_list_is_long() -> None:
    source = "{% for x in wide %}{% if 1 in compared %}{% endif %}{% endfor %}"
    wide = [0] * MAX_ITEMS
    assert render(source, {"wide": wide, "compared": [0]}) == ""
    with pytest.raises(TemplateError, match="too long"):
        render(source, {"wide": wide, "compared": wide})


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_no_large_fact_keeps_a_template_from_ending(expression: str) -> None:
    source = as_often_as_it_may(expression)
    for value in LARGE.values():
        with contextlib.suppress(TemplateError):
            assert render(source, {**LARGE, "x": value}) == ""


@pytest.mark.parametrize("name", WITH_ARGUMENT)
def test_no_argument_keeps_a_filter_from_ending(name: str) -> None:
    for source in with_arguments(name):
        with contextlib.suppress(TemplateError):
            assert len(render(source, LARGE)) <= MAX_VALUE
