"""What people read names commands, not the calls of the wire."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from explicate.v1 import inference_service_pb2, model_service_pb2
from tools.shape import ROOT, read_tree

_CALLS = {
    method.name
    for file in (inference_service_pb2, model_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
# "Predict" and "Explain" are words too.
_NAMED = re.compile(rf"\b(?:{'|'.join(sorted(name for name in _CALLS if re.search('[a-z][A-Z]', name)))})\b")


def sentences(path: Path) -> Iterator[tuple[int, str]]:
    """The texts of a module that hold more than one word, but for its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            text = node.value.strip()
            yield from [(node.lineno, text)] if " " in text else []


@pytest.mark.parametrize("name", sorted({name.partition(".")[0] for name in read_tree(ROOT)}))
def test_no_message_names_a_call(name: str) -> None:
    paths = [path for module, path in read_tree(ROOT).items() if module.partition(".")[0] == name]
    found = [f"{path}:{line}: {text}" for path in paths for line, text in sentences(path) if _NAMED.search(text)]
    assert not found


def test_the_names_are_those_of_the_protos() -> None:
    assert {"ListModels", "GetModel", "ExplainTable"} <= _CALLS
    assert _NAMED.search("take one that GetModel lists")
    assert not _NAMED.search("Explain every class")
