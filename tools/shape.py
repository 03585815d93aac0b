"""The shape of the production code: how much there is, and what makes a map of it hard to read.

Prints the rows of docs/shape.csv, one for each time the shape was recorded, and today's. Modules and lines are told
only. The other counts are red: none may rise above its lowest row, and `make shape` ends with 1 where one does.
`make shape RECORD=NAME` adds today's row under a name.

Red are: files over 400 lines, functions over 50, folders of more than 15 modules, import circles, a basename that
occurs twice (other than for one role: the sibling folders text, table and image, and cli.py and errors.py at the top
of a package), files under 50 lines with a single importer, and branches on what a model predicts outside of the
objects that say it.
"""

import argparse
import ast
import csv
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

ROOT = Path(__file__).parent.parent
HISTORY = ROOT / "docs" / "shape.csv"
PACKAGES = ("clients/python/explicate", "bundle/explicate_bundle", "server/explicate_server",
            "training/explicate_training", "standards/explicate_standards", "export/explicate_export",
            "studies/explicate_studies", "console/explicate_console")  # fmt: skip
GENERATED, MADE = "v1", ("explicate", "client")  # by the compiler, and by tools/blocking_client.py
MOST_LINES, MOST_FUNCTION_LINES, MOST_MODULES, FEWEST_LINES = 400, 50, 15, 50
KIND_FOLDERS = {"text", "table", "image"}
TOP_ROLES = {"cli.py", "errors.py"}
_NAMES = r"""["'](?:regression|multi-label|classification)["']"""
_OBJECTIVE_BRANCH = re.compile(rf"\b(?:task|predicts|objective)\s*(?:==|!=)|\b(?:task|predicts) in \(|[=!]= {_NAMES}")


@dataclass(frozen=True)
class Shape:
    """The counts of one tree; all but the first two are red."""

    modules: int
    lines: int
    long_files: int
    long_functions: int
    full_folders: int
    import_circles: int
    repeated_names: int
    satellites: int
    objective_branches: int


@dataclass(frozen=True)
class Finding:
    """One place that a red count counts."""

    count: str
    place: str


def read_tree(root: Path) -> dict[str, Path]:
    """The hand-written production modules below a checkout, by their dotted names."""
    found = {}
    for package in PACKAGES:
        base = root / package
        for path in sorted(base.rglob("*.py")):
            parts = path.relative_to(base.parent).with_suffix("").parts
            if GENERATED not in parts and parts != MADE:
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, modules: Mapping[str, Path]) -> set[str]:
    """The modules of the tree that one imports, but for those imported for types only."""
    wanted = set()
    for node in _statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            wanted |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            wanted |= {
                each if (each := f"{node.module}.{alias.name}") in modules else node.module for alias in node.names
            }
    return {each for each in wanted if each in modules and each != name}


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _statements(node)


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other: Tarjan's strongly connected components of more than one."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            place = stack.index(node)
            if len(stack) - place > 1:
                found.append(sorted(stack[place:]))
            del stack[place:]

    for node in graph:
        if node not in index:
            visit(node)
    return found


def findings(root: Path) -> list[Finding]:
    """Every place that counts, in the order of the counts."""
    modules = read_tree(root)
    texts = {path: path.read_text(encoding="utf-8") for path in modules.values()}
    lines = {path: text.count("\n") for path, text in texts.items()}
    told = {path: str(path.relative_to(root)) for path in texts}
    graph = {name: imports(name, path, modules) for name, path in modules.items()}
    importers = Counter(each for imported in graph.values() for each in imported)
    result = [Finding("long_files", f"{told[p]}: {n} lines") for p, n in lines.items() if n > MOST_LINES]
    result += [Finding("long_functions", f"{told[p]}:{place}") for p, text in texts.items() for place in _long(text)]
    folders = Counter(path.parent for path in texts)
    result += [
        Finding("full_folders", f"{folder.relative_to(root)}: {n} modules")
        for folder, n in folders.items()
        if n > MOST_MODULES
    ]
    result += [Finding("import_circles", " ".join(circle)) for circle in circles(graph)]
    result += [Finding("repeated_names", place) for place in _repeated(texts, told)]
    result += [
        Finding("satellites", f"{told[path]}: {lines[path]} lines")
        for name, path in modules.items()
        if lines[path] < FEWEST_LINES and importers[name] == 1 and not path.stem.startswith("__")
    ]
    result += [
        Finding("objective_branches", f"{told[path]}:{number}")
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if _OBJECTIVE_BRANCH.search(line)
    ]
    return result


def _long(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            length = node.end_lineno - node.lineno + 1
            if length > MOST_FUNCTION_LINES:
                yield f"{node.lineno} {node.name}, {length} lines"


def _repeated(texts: Mapping[Path, str], told: Mapping[Path, str]) -> list[str]:
    places = defaultdict(list)
    for path in texts:
        at_top = path.parent.name.startswith("explicate") and path.name in TOP_ROLES
        if not (path.stem.startswith("__") or at_top or path.parent.name in KIND_FOLDERS):
            places[path.name].append(told[path])
    return [" ".join(paths) for paths in places.values() if len(paths) > 1]


def measure(root: Path) -> Shape:
    """The counts of a checkout."""
    modules = read_tree(root)
    counted = Counter(finding.count for finding in findings(root))
    lines = sum(path.read_text(encoding="utf-8").count("\n") for path in modules.values())
    return Shape(len(modules), lines, **{count: counted[count] for count in RED})


RED = tuple(each.name for each in fields(Shape))[2:]


def read_history() -> list[tuple[str, Shape]]:
    """The rows of docs/shape.csv: a name and the counts."""
    with HISTORY.open(encoding="utf-8", newline="") as file:
        return [(row.pop("at"), Shape(**{k: int(v) for k, v in row.items()})) for row in csv.DictReader(file)]


def risen(history: Sequence[tuple[str, Shape]], now: Shape) -> list[str]:
    """The red counts above their lowest row."""
    lowest = {count: min(getattr(shape, count) for _, shape in history) for count in RED}
    return [count for count in RED if getattr(now, count) > lowest[count]]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the shape; the exit code is 1 if a red count has risen."""
    parser = argparse.ArgumentParser(prog="python -m tools.shape", description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to measure")
    parser.add_argument("--record", metavar="NAME", help="add today's row to docs/shape.csv under this name")
    parser.add_argument("--list", action="store_true", help="name every place that counts")
    arguments = parser.parse_args(argv)
    now = measure(arguments.root)
    history = read_history()
    titles = [each.name.replace("_", " ") for each in fields(Shape)]
    print("  ".join([f"{'':<12}", *titles]))
    for name, shape in (*history, ("now", now)):
        numbers = (f"{value:>{len(title)}}" for value, title in zip(asdict(shape).values(), titles, strict=True))
        print("  ".join([f"{name:<12}", *numbers]))
    worse = risen(history, now)
    for finding in findings(arguments.root):
        if arguments.list or finding.count in worse:
            print(f"{finding.count.replace('_', ' ')}: {finding.place}")
    if worse:
        print(f"risen: {', '.join(worse).replace('_', ' ')}; see STYLE in docs/extending.md", file=sys.stderr)
        return 1
    if arguments.record:
        with HISTORY.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow([arguments.record, *asdict(now).values()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
