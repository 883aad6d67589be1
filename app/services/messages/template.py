"""Renders the message templates of administrators, in a sandbox that bounds time and memory and sees the facts only.

The language is a subset of Jinja: texts, facts, a few filters, conditions and loops. Loops and long texts are charged
to a budget. There are no calls, assignments or arithmetic, so that nothing can grow beyond what is counted.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from types import TracebackType
from typing import Any

from jinja2 import Template, TemplateSyntaxError, pass_context
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.services.messages import template_filters as filters
from app.services.messages import template_rules as rules
from app.services.messages import template_values as values
from app.services.messages.template_values import Missing, TemplateError

__all__ = ["MAX_OUTPUT", "MAX_SOURCE", "TemplateError", "check", "render"]

MAX_SOURCE = 20_000
MAX_OUTPUT = 100_000
MAX_CACHED = 128
BUDGET = "_budget"  # a name that no template can write
FILE = "<template>"
LOOP_FACTS = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem"})


class _Sandbox(ImmutableSandboxedEnvironment):
    """Looks into lists and objects only: it never reads an attribute of a Python object."""

    def __init__(self, *, html: bool) -> None:
        super().__init__(
            autoescape=html,
            undefined=Missing,
            finalize=values.text_of,
            optimized=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        inserted = {
            rules.LOOP: pass_context(_loop),
            rules.OPERAND: pass_context(_operand),
            rules.CONCAT: _charged("join", filters.concat),
        }
        known = filters.HTML_FILTERS if html else filters.FILTERS
        self.filters = {**{name: _charged(name, change) for name, change in known.items()}, **inserted}
        self.tests = dict(filters.TESTS)
        self.globals = {}

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        found: Any = None
        if isinstance(obj, Mapping):
            found = obj.get(argument) if isinstance(argument, str | int) else None
        elif isinstance(obj, list | tuple) and isinstance(argument, int):
            found = obj[argument] if -len(obj) <= argument < len(obj) else None
        elif isinstance(obj, LoopContext) and argument in LOOP_FACTS:
            found = getattr(obj, argument)
        return Missing() if found is None else found


def _charged(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that is charged for what it writes. A filter for text gets lists and objects as JSON."""

    def charged(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        if name not in filters.TAKE_ANY and isinstance(value, list | tuple | Mapping):
            value = values.to_json(value)
            _pay(context, rules.cost_of_filtering("tojson", None, value))
        made = change(value, *args, **kwargs)
        _pay(context, rules.cost_of_filtering(name, value, made))
        return made

    return pass_context(charged)


def _loop(context: Context, value: Any, cost: int) -> list[Any]:
    """The items of a loop, charged in advance."""
    items = values.list_of(value)
    if len(items) > values.MAX_ITEMS:
        raise TemplateError(f"a loop has more than {values.MAX_ITEMS} items")
    _pay(context, len(items) * (cost + 1))
    return items


def _operand(context: Context, value: Any) -> Any:
    found = values.operand(value)
    _pay(context, len(found) // 10 if isinstance(found, list) else 0)
    return found


def _pay(context: Context, cost: int) -> None:
    budget = context[BUDGET]
    budget[0] -= cost
    if budget[0] < 0:
        raise TemplateError("it takes too long")


@cache
def _sandbox(html: bool) -> _Sandbox:
    return _Sandbox(html=html)


def check(source: str, *, html: bool = False) -> None:
    """Raise TemplateError for a template that cannot be rendered, whatever the facts."""
    _compiled(source, html)


def render(source: str, facts: Mapping[str, Any], *, html: bool = False, limit: int = MAX_OUTPUT) -> str:
    """Render a template to at most `limit` characters. `facts` are JSON; a missing fact renders as nothing.

    Raises TemplateError, and nothing else.
    """
    template, cost = _compiled(source, html)
    budget = [rules.MAX_COST - cost]
    try:
        return _storable("".join(_limited(template.generate({**facts, BUDGET: budget}), limit)))
    except Exception as error:  # whatever is raised, the template is at fault
        raise TemplateError(f"Line {_line(error.__traceback__)}: {_said(error)}.") from error


def _storable(text: str) -> str:
    """The text, made storable: a literal in the template may hold NUL or lone surrogates."""
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\x00", "")


def _limited(chunks: Iterable[str], limit: int) -> Iterator[str]:
    room = limit
    for chunk in chunks:
        room -= len(chunk)
        if room < 0:
            raise TemplateError(f"it renders to more than {limit} characters")
        yield chunk


@lru_cache(maxsize=MAX_CACHED)
def _compiled(source: str, html: bool) -> tuple[Template, int]:
    """The template, and its cost without its loops."""
    return _compile(source, html)


def _compile(source: str, html: bool) -> tuple[Template, int]:
    if len(source) > MAX_SOURCE:
        raise TemplateError(f"The template is longer than {MAX_SOURCE} characters.")
    sandbox = _sandbox(html)
    try:
        parsed = sandbox.parse(source)
        rules.require_allowed(parsed)
        cost = rules.cost_of(parsed)
        bounded = rules.Bounded().visit(parsed)
        bounded.set_environment(sandbox)
        code = sandbox.compile(bounded, filename=FILE)
        return Template.from_code(sandbox, code, {}), cost
    except TemplateError:
        raise
    except TemplateSyntaxError as error:
        raise TemplateError(f"Line {error.lineno}: {_said(error)}.") from error
    except Exception as error:  # the parser's own limits
        raise TemplateError("The template is nested too deeply, or has a number that is too large.") from error


def _said(error: Exception) -> str:
    if isinstance(error, TemplateError | TemplateSyntaxError):
        return str(error.args[0] if error.args else error).rstrip(".")[:300]
    return f"a value has the wrong type for what is done with it ({type(error).__name__})"


def _line(traceback: TracebackType | None) -> int:
    """The template's line in a traceback that Jinja has rewritten; 1 if it has none."""
    line = 1
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == FILE:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
