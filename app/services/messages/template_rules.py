"""Checks what a message template may contain. Refuses what could run long or reach beyond its facts."""

from collections.abc import Iterator
from typing import Any

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from app.services.messages.template_filters import FILTERS, TESTS
from app.services.messages.template_values import TemplateError, list_of, text_of

MAX_DEPTH = 30  # levels of nested expressions and blocks
MAX_LOOPS = 2  # loops in loops
MAX_COST = 50_000  # for a whole template with all its loops; one unit takes well under 10 µs

LOOP, OPERAND, CONCAT = "_loop", "_operand", "_concat"  # the filters that we insert; a template cannot name them

ALLOWED = (
    nodes.And,
    nodes.Compare,
    nodes.Concat,
    nodes.CondExpr,
    nodes.Const,
    nodes.Filter,
    nodes.For,
    nodes.Getattr,
    nodes.Getitem,
    nodes.If,
    nodes.Keyword,
    nodes.List,
    nodes.Name,
    nodes.Not,
    nodes.Operand,
    nodes.Or,
    nodes.Output,
    nodes.TemplateData,
    nodes.Template,
    nodes.Test,
    nodes.Tuple,
)
COSTS: dict[type[nodes.Node], int] = {nodes.Filter: 10, nodes.Compare: 20, nodes.Concat: 10}
CHARACTERS = 20  # characters or items that cost as much as one node
WORDS: dict[type[nodes.Node], str] = {
    nodes.Assign: "set",
    nodes.AssignBlock: "set",
    nodes.Call: "a call such as name()",
    nodes.CallBlock: "call",
    nodes.FilterBlock: "a filter block",
    nodes.FromImport: "import",
    nodes.Slice: "a slice such as [1:2]: use truncate",
}


def require_allowed(template: nodes.Template) -> None:
    """Raise TemplateError for the first thing that is not allowed in a template."""
    for node, depth, loops in _walk(template):
        if depth > MAX_DEPTH:
            raise refusal(node, "it is nested too deeply")
        if not isinstance(node, ALLOWED):
            raise refusal(node, f"{WORDS.get(type(node), type(node).__name__.lower())} is not allowed in a template")
        if loops > MAX_LOOPS:
            raise refusal(node, f"it nests more than {MAX_LOOPS} loops")
        if reason := _reason_against(node):
            raise refusal(node, reason)
    if cost_of(template) > MAX_COST:
        raise refusal(template, "it is too complex: make it shorter")


def refusal(node: nodes.Node, reason: str) -> TemplateError:
    return TemplateError(f"Line {node.lineno}: {reason}.")


def _walk(template: nodes.Template) -> Iterator[tuple[nodes.Node, int, int]]:
    """Every node, with its depth and the number of loops around it. Without recursion, as it may be very deep."""
    stack: list[tuple[nodes.Node, int, int]] = [(template, 0, 0)]
    while stack:
        node, depth, loops = stack.pop()
        loops += isinstance(node, nodes.For)
        yield node, depth, loops
        stack.extend((child, depth + 1, loops) for child in node.iter_child_nodes())


def _reason_against(node: nodes.Node) -> str | None:
    if isinstance(node, nodes.Filter | nodes.Test):
        return _reason_against_call(node)
    if isinstance(node, nodes.For) and node.recursive:
        return "a recursive loop is not allowed"
    name = node.name if isinstance(node, nodes.Name) else node.attr if isinstance(node, nodes.Getattr) else ""
    return f"{name} begins with an underscore, which is not allowed" if name.startswith("_") else None


def _reason_against_call(node: nodes.Filter | nodes.Test) -> str | None:
    kind, known = ("filter", set(FILTERS)) if isinstance(node, nodes.Filter) else ("test", set(TESTS))
    if node.name not in known:
        return f"there is no {kind} {node.name}: use one of {', '.join(sorted(known))}"
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        return f"the {kind} {node.name} has arguments with an asterisk"
    return None


def cost_of(node: nodes.Node) -> int:
    """The cost of going through a node once. The body of a loop is charged each time it runs."""
    own = COSTS.get(type(node), 1)
    children = [node.iter, node.target] if isinstance(node, nodes.For) else node.iter_child_nodes()
    return own + sum(cost_of(child) for child in children)


def cost_of_filtering(name: str, value: Any, made: Any) -> int:
    """The cost of a filter beyond its call, by the size of what it read or wrote."""
    match name:
        case "join":
            return len(list_of(value)) + len(made) // CHARACTERS
        case "tojson" | "urlencode":
            return len(made) // CHARACTERS
        case "striptags":
            return len(text_of(value)) // CHARACTERS
    return 0


class Bounded(NodeTransformer):
    """Inserts the limits of a running template: loops are charged, and values are cut where compared or joined."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 - the visitor's naming
        cost = sum(cost_of(child) for child in (*node.body, *node.else_, *([node.test] if node.test else [])))
        self.generic_visit(node)
        node.iter = _filtered(node.iter, LOOP, nodes.Const(cost, lineno=node.lineno))
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:  # noqa: N802
        self.generic_visit(node)
        node.expr = _filtered(node.expr, OPERAND)
        for other in node.ops:
            other.expr = _filtered(other.expr, OPERAND)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), CONCAT)


def _filtered(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)
