"""Each package imports what its extra brings, so that an environment that has only that can use it."""

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.installed import base_requirements, project
from tools.shape import ROOT, read_tree

OURS = {name.partition(".")[0] for name in read_tree(ROOT)}
EXTRA_OF = {
    "explicate_console": "console",
    "explicate_bundle": "mlflow",  # the least of those that bring what a bundle needs
    "explicate_server": "server",
    "explicate_training": "training",
    "explicate_standards": "standards",
    "explicate_export": "export",
    "explicate_studies": "studies",
}
# Modules that are imported by what has an extra of its own only.
OWN_EXTRA = {
    "explicate_export.estimators": "sklearn",
    "explicate_export.onnx_models": "sklearn",
    "explicate.scoring": "batch",
    "explicate_console.rows": "batch",
    "explicate.spark": "spark",
    "explicate.ray": "ray",
    "explicate.mlflow": "mlflow",
    "explicate_export.mlflow": "mlflow",
    "explicate.cli.terminal": "cli",
    "explicate.cli.completion": "cli",
    "explicate_server.tracing": "tracing",
}

# Where the distribution that has a module is not installed here.
NOT_HERE = {"mlflow": ["mlflow-skinny"]}


def brought(extra: str | None) -> set[str]:
    """The distributions that an extra asks for itself, those of our extras that it names included."""
    extras = project()["optional-dependencies"]
    found = {canonicalize_name(held.name) for held in base_requirements()}
    waiting, seen = [extra] if extra else [], set[str]()
    while waiting:
        for held in map(Requirement, extras[waiting.pop()]):
            found.add(canonicalize_name(held.name))
            waiting += [name for name in held.extras if held.name == "explicate" and name not in seen]
            seen |= held.extras
    return found


def imported_at_once(path: Path) -> Iterator[str]:
    """The top-level packages that a module imports when it is imported itself: not in functions, not for types."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                continue
            if isinstance(node, ast.Try):
                continue  # what may be missing
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]
            waiting.append(node)


def extra_of(module: str) -> str | None:
    own = [extra for prefix, extra in OWN_EXTRA.items() if module == prefix or module.startswith(f"{prefix}.")]
    return own[0] if own else EXTRA_OF.get(module.partition(".")[0])


@pytest.mark.parametrize("package", sorted(OURS))
def test_a_package_imports_what_its_extra_brings(package: str) -> None:
    of, missing = packages_distributions(), set()
    for module, path in read_tree(ROOT).items():
        if module.partition(".")[0] == package:
            has = brought(extra_of(module))
            for name in set(imported_at_once(path)) - OURS - set(sys.stdlib_module_names):
                if not has & {canonicalize_name(dist) for dist in of.get(name, NOT_HERE.get(name, [name]))}:
                    missing.add(f"{module} imports {name}, which the extra {extra_of(module)} does not bring")
    assert missing == set()
