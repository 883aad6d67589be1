"""The language of message templates: what it can say, and that nothing said in it can hurt."""

import contextlib
import json
from bisect import bisect_left
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services.messages.template import MAX_OUTPUT, MAX_SOURCE, TemplateError, _compiled, _sandbox, check, render
from app.services.messages.template_filters import FILTERS, TESTS
from app.services.messages.template_rules import MAX_COST
from app.services.messages.template_values import MAX_ITEMS, MAX_VALUE
from tests.support.envelopes import LINK
from tests.support.hard_templates import EXPRESSIONS, LARGE, WITH_ARGUMENT, as_often_as_it_may, with_arguments
from tests.support.wording import assert_reads_well

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
    _sandbox.cache_clear()
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


@pytest.mark.slow
@settings(max_examples=2 * settings().max_examples)
@given(TEMPLATES, st.booleans())
def test_whatever_is_written_ends_with_a_text_or_a_template_error(source: str, html: bool) -> None:
    with contextlib.suppress(TemplateError):
        assert isinstance(render(source, FACTS, html=html), str)


@settings(max_examples=2 * settings().max_examples)
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


@pytest.mark.slow  # hundreds of templates that each spend the whole budget
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


LOOPS = MAX_COST // MAX_ITEMS
EMPTY_LOOPS = "".join(f"{{% for x in l{number} %}}{{% endfor %}}" for number in range(LOOPS))


def leaves_room(source: str, rounds: int, facts: dict[str, Any]) -> bool:
    """True if after the template there is room for so many rounds of empty loops."""
    sizes = [min(max(rounds - number * MAX_ITEMS, 0), MAX_ITEMS) for number in range(LOOPS)]
    loops = {f"l{number}": FACTS["wide"][:size] for number, size in enumerate(sizes)}
    try:
        render(source + EMPTY_LOOPS, {**facts, **loops})
    except TemplateError as error:
        if "too long" not in str(error):
            raise
        return False
    return True


def room_after(source: str, **facts: Any) -> int:
    return bisect_left(range(MAX_COST), True, key=lambda rounds: not leaves_room(source, rounds, facts))


@pytest.mark.parametrize(
    ("source", "facts", "cost"),
    [
        ("text", {}, 2),
        ("{{ 1 }}", {}, 2),
        ("{{ a.b }}", {}, 3),
        ("{{ a | upper }}", {"a": "x"}, 12),
        ("{{ a == 1 }}", {"a": 1}, 24),
        ("{{ a == b }}", {"a": 1, "b": [0] * 95}, 24 + 9),
        ("{{ a ~ 1 }}", {"a": "x" * 39}, 13 + 2 + 2),
        ("{{ a | join }}", {"a": ["x" * 13] * 6}, 12 + 6 + 3),
        ("{{ a | tojson }}", {"a": "x" * 38}, 12 + 2),
        ("{{ a | urlencode }}", {"a": "x" * 39}, 12 + 1),
        ("{{ a | urlencode }}", {"a": "ü" * 10}, 12 + 3),
        ("{{ a | striptags }}", {"a": "<" * 59}, 12 + 2),
        ("{{ a | upper }}", {"a": ["x" * 36]}, 12 + 2),
        ("{{ a | length }}", {"a": ["x" * 36]}, 12),
        ("{% for y in a %}{{ y }}{% endfor %}", {"a": [1] * 7}, 3 + 7 * 3),
        ("{% for y in a if y %}{{ y }}{% else %}{{ 1 }}{% endfor %}", {"a": [1] * 7}, 3 + 7 * 6),
        ("{% for y in a %}{{ y | upper }}{% endfor %}", {"a": ["x"] * 7}, 3 + 7 * 13),
        ("{% for y in a %}{% for z in a %}{% endfor %}{% endfor %}", {"a": [1] * 7}, 3 + 7 * 4 + 7 * 7),
    ],
)
def test_a_template_costs_what_each_part_of_it_does(source: str, facts: dict[str, Any], cost: int) -> None:
    assert room_after("") - room_after(source, **facts) == cost


def test_all_of_the_budget_may_be_spent() -> None:
    assert room_after("") == MAX_COST - 3 * LOOPS


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a\n{% if true %}\nb\n{% endif %}\nc\n", "a\nb\nc\n"),
        ("  {% if true %}x{% endif %}\n\n", "x\n"),
        ("a {{ 1 }}\n", "a 1\n"),
        ("{{ tags[0] }}{{ tags[minus_two] }}{{ tags[2] }}{{ tags[minus_three] }}{{ tags['a'] }}", "aa"),
        ("{{ tags.0 }}{{ pairs[1] }}{{ pairs['k'] }}{{ pairs.k }}{{ pairs[[1]] }}{{ pairs.items }}", "avv"),
        ("{{ 'text'[0] }}{{ 'text'.upper }}{{ number.real }}{{ none.x.y }}", ""),
        ("{% for x in tags %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{% endfor %}",
         "10TrueFalse21FalseTrue"),
        ("{{ '' | default('a', even_if_empty=true) }}{{ 1.26 | round(digits=1) }}", "a1.3"),
        ("{% for x in tags %}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.depth }}{% endfor %}", "ba"),
        ("{% for k in pairs %}{{ k }}{% endfor %}{% for x in number %}{{ x }}{% endfor %}", "1k5"),
        ("{{ '\\ud83d\\ude00' }}|{{ '\\ud83d' }}|{{ 'a\\x00b' }}", "😀|\ufffd|ab"),
        ("{{ '\\x00' }}ü", "ü"),
        ("{{ tags | upper }}{{ pairs | string }}", '["A", "B"]{"1": null, "k": "v"}'),
        ("{{ tags == ['a', 'b'] }}{{ tags == ('a', 'b') }}{{ 'a' in tags }}{{ number > 4 > 3 }}", "TrueTrueTrueTrue"),
    ],
)  # fmt: skip
def test_a_template_sees_lists_objects_and_loops_and_nothing_else(source: str, text: str) -> None:
    facts = {"tags": ["a", "b"], "pairs": {1: None, "k": "v"}, "number": 5, "minus_two": -2, "minus_three": -3}
    assert render(source, facts) == text


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{% set x = 1 %}", "set "),
        ("{% macro x() %}{% endmacro %}", "macro "),
        ("{{ 1 + 1 }}", "add "),
        ("{{ f() }}", "name()"),
        ("{{ incident.__class__ }}", "__class__ "),
        ("{{ _x }}", "_x "),
        ("{% for x in [1] recursive %}{% endfor %}", "recursive loop"),
        ("{{ 'x' | replace('x', 'y') }}", f"filter replace: use one of {', '.join(sorted(FILTERS))}"),
        ("{{ 1 is odd }}", f"test odd: use one of {', '.join(sorted(TESTS))}"),
        ("{{ 1 | upper(*[1]) }}", "filter upper "),
        ("{{ 1 is number(**x) }}", "test number "),
        ("{{ " + "not " * 29 + "x }}", "nested too deeply"),
        ("{% for a in x %}" * 3 + "{% endfor %}" * 3, "more than 2 loops"),
        ("{{ [" + ("1" + "|e" * 20 + ",") * 300 + "] }}", "too complex"),
        ("{% if %}", "Expected an expression"),
        ("{% for x in y %}", "Unexpected end of template"),
    ],
)
def test_what_is_refused_is_named(source: str, said: str) -> None:
    with pytest.raises(TemplateError) as refused:
        check(f"\n{source}")
    assert str(refused.value).startswith("Line 1: " if said == "too complex" else "Line 2: ")
    assert_reads_well(str(refused.value))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith(".")
    assert not str(refused.value).endswith("..")


def test_what_is_just_within_the_limits_is_allowed() -> None:
    check("{{ " + "not " * 28 + "x }}")
    check("{{ [" + ("1" + "|e" * 20 + ",") * 240 + "] }}")
    check("x" * MAX_SOURCE)
    check("{% for a in x %}" * 2 + "{% endfor %}" * 2)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ incident.id < 'a' }}", "(TypeError)"),
        ("{{ incident == 1 }}", "object "),
        ("{{ 'x' | upper(1) }}", "(TypeError)"),
        ("{% for x in many %}{% endfor %}", f"more than {MAX_ITEMS} items"),
        ("{% for x in wide %}{% for y in wide %}{% endfor %}{% endfor %}", "too long"),
        ("{{ 'x' | truncate(1, true, wide) }}", "a list or an object "),
    ],
)
@pytest.mark.parametrize("html", [False, True])
def test_what_fails_with_its_facts_is_named_with_its_line(source: str, said: str, html: bool) -> None:
    with pytest.raises(TemplateError) as refused:
        render(f"{{{{ 1 }}}}\n\n{source}\n{{{{ 1 }}}}", FACTS, html=html)
    assert str(refused.value).startswith("Line 3: ")
    assert said in str(refused.value)
    assert_reads_well(str(refused.value))
    assert str(refused.value).endswith(".")
    assert not str(refused.value).endswith("..")


def test_a_loop_over_as_many_items_as_it_may_have_is_run() -> None:
    assert render("{% for x in wide %}{% endfor %}ok", FACTS) == "ok"


def test_a_source_that_is_too_long_or_too_deep_says_so() -> None:
    with pytest.raises(TemplateError, match=rf"^[A-Z].* longer than {MAX_SOURCE} characters\.$"):
        check("x" * (MAX_SOURCE + 1))
    with pytest.raises(TemplateError, match=r"^[A-Z].* nested .+\.$"):
        check("{{ " + "(" * 9_000 + "1" + ")" * 9_000 + " }}")


def test_a_message_is_as_long_as_it_may_be_and_no_longer() -> None:
    assert len(render("{{ note }}" * 25, FACTS)) == MAX_OUTPUT
    with pytest.raises(TemplateError, match=rf"more than {MAX_OUTPUT} characters"):
        render("{{ note }}" * 25 + "x", FACTS)


def test_html_and_text_of_the_same_source_are_two_templates() -> None:
    assert (render("{{ a }}", {"a": "<"}), render("{{ a }}", {"a": "<"}, html=True)) == ("<", "&lt;")
    check("{{ a | e }}", html=True)
    with pytest.raises(TemplateError):
        check("{{ a | safe }}", html=True)


def test_what_jinja_says_of_a_template_is_cut() -> None:
    with pytest.raises(TemplateError) as refused:
        check("{% " + "x" * 400 + " %}")
    assert len(str(refused.value)) == len("Line 1: ") + 300 + len(".")


def test_a_message_that_is_too_long_as_a_whole_fails_with_the_first_line() -> None:
    with pytest.raises(TemplateError, match=r"^Line 1: .* more than 2 characters\.$"):
        render("abc", {}, limit=2)
