"""The places of a Python file where one small change makes a mutant: operators, constants, returns, statements.

Each place is one span of the source, so the rest of the file stays as it was written. Left alone are annotations,
strings, log calls, declarations (``dataclass(frozen=True)``) and ``strict=True`` of ``zip``, which guards nothing that
a test can see.
"""

import ast
import bisect
import itertools
import re
from dataclasses import dataclass, field

# The pattern of each operator between its operands, and what it becomes.
COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: (r"\bis\b", "is not"),
    ast.IsNot: (r"\bis\s+not\b", "is"),
    ast.In: (r"\bin\b", "not in"),
    ast.NotIn: (r"\bnot\s+in\b", "in"),
}
BOOLEANS: dict[type[ast.boolop], tuple[str, str]] = {ast.And: (r"\band\b", "or"), ast.Or: (r"\bor\b", "and")}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: (r"\+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: (r"\*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: (r"\*\*", "*"),
}
BOUNDS = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"}
DECLARATIONS = {"dataclass", "TypeVar"}
LOGS = {"_log", "log", "logger", "logging", "warnings"}


def mutation_points(path: str, source: bytes) -> list["Point"]:
    """Every point of one file, in no order. ``path`` is what the points say."""
    finder = _Finder(path, source)
    finder.visit(ast.parse(source))
    return finder.points


@dataclass(frozen=True, order=True)
class Point:
    """A place that can be mutated: bytes ``start`` to ``end`` of a file become ``after``.

    ``statement`` has the lines of the statement around it, of which one runs if the place is reached.
    """

    path: str
    line: int
    column: int
    start: int
    end: int
    before: str
    after: str
    statement: range = field(compare=False)

    def applied(self, source: bytes) -> bytes:
        """The file's source with this mutant in it."""
        return source[: self.start] + self.after.encode() + source[self.end :]

    def changes(self, source: bytes) -> bool:
        """Whether the mutant is Python, and other Python than before."""
        try:
            return ast.dump(ast.parse(self.applied(source))) != ast.dump(ast.parse(source))
        except SyntaxError:
            return False


class _Finder(ast.NodeVisitor):
    """Collects a file's points. Annotations, strings, ``__all__``, log calls and declarations have none."""

    def __init__(self, path: str, source: bytes) -> None:
        self.points: list[Point] = []
        self._path, self._source, self._statement = path, source, range(0)
        self._line_starts = [0, *itertools.accumulate(len(line) for line in source.splitlines(keepends=True))]

    def visit(self, node: ast.AST) -> None:
        if not isinstance(node, ast.stmt):
            super().visit(node)
        elif not _is_left_alone(node):
            around, self._statement = self._statement, _own_lines(node)
            super().visit(node)
            self._statement = around

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults), *node.body):
            self.visit(part)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in (*node.decorator_list, *node.body):
            self.visit(part)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """A text for people."""

    def visit_Expr(self, node: ast.Expr) -> None:
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Call):
            self._add(*self._span(node), "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._add(*self._span(node), "pass")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and not isinstance(node.value, ast.Constant):
            self._add(*self._span(node.value), "None")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for operator, (left, right) in zip(node.ops, itertools.pairwise(operands), strict=True):
            self._swap(left, right, COMPARISONS[type(operator)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in itertools.pairwise(node.values):
            self._swap(left, right, BOOLEANS[type(node.op)])
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in ARITHMETIC and not (_is_text(node.left) or _is_text(node.right)):
            self._swap(node.left, node.right, ARITHMETIC[type(node.op)])
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            start, _ = self._span(node)
            self._add(start, start + len("not "), "")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._add(*self._span(node), str(not node.value))
        elif isinstance(node.value, int | float):
            self._add(*self._span(node), repr(node.value + 1))

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg != "strict":
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in BOUNDS:
            _, end = self._span(node.func)
            self._add(end - len(name), end, BOUNDS[name])
        if name not in DECLARATIONS:
            self.generic_visit(node)

    def _swap(self, left: ast.expr, right: ast.expr, swap: tuple[str, str]) -> None:
        (_, start), (end, _) = self._span(left), self._span(right)
        found = re.search(swap[0].encode(), self._source[start:end])
        if found is not None:
            self._add(start + found.start(), start + found.end(), swap[1])

    def _add(self, start: int, end: int, after: str) -> None:
        line = bisect.bisect_right(self._line_starts, start)
        column = start - self._line_starts[line - 1]
        before = self._source[start:end].decode()
        self.points.append(Point(self._path, line, column, start, end, before, after, self._statement))

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._line_starts[node.lineno - 1] + node.col_offset
        return start, self._line_starts[node.end_lineno - 1] + node.end_col_offset


def _own_lines(node: ast.stmt) -> range:
    """The lines of a statement without those of the statements in it."""
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    body = getattr(node, "body", None) or getattr(node, "cases", None)
    if not body:
        return range(first, (node.end_lineno or first) + 1)
    return range(first, max(node.lineno + 1, getattr(body[0], "lineno", node.lineno + 1)))


def _is_left_alone(node: ast.stmt) -> bool:
    """Whether a statement is a log call, sets a name like ``__all__``, or is for type checkers only."""
    match node:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
            return name in LOGS
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name.startswith("__")
        case ast.If(test=ast.Name(id=name)):
            return name == "TYPE_CHECKING"
    return False


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))
