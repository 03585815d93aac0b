"""Who may import whom: client <- bundle <- {server <- standards, training} <- export <- studies.

A thin client, a server without torch.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import shape

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "explicate_bundle": ROOT / "bundle" / "explicate_bundle",
    "explicate_console": ROOT / "console" / "explicate_console",
    "explicate": ROOT / "clients" / "python" / "explicate",
    "explicate_server": ROOT / "server" / "explicate_server",
    "explicate_training": ROOT / "training" / "explicate_training",
    "explicate_standards": ROOT / "standards" / "explicate_standards",
    "explicate_export": ROOT / "export" / "explicate_export",
    "explicate_studies": ROOT / "studies" / "explicate_studies",
}
ABOVE_SERVER = {"explicate_training", "explicate_standards", "explicate_export", "explicate_studies"}
OURS = {"explicate_bundle", "explicate_console", "explicate_server", *ABOVE_SERVER}
FORBIDDEN = {
    "explicate": {*OURS, "torch", "transformers", "onnxruntime"},
    "explicate_console": {*OURS - {"explicate_console"}, "torch", "transformers", "onnxruntime", "pickle"},
    "explicate_server": {*ABOVE_SERVER, "torch", "transformers", "datasets", "pickle"},
    "explicate_training": {"explicate_server", *ABOVE_SERVER - {"explicate_training"}, "pickle"},
    "explicate_standards": {*ABOVE_SERVER - {"explicate_standards"}, "torch", "transformers", "datasets", "pickle"},
    "explicate_export": {"explicate_training", "explicate_studies", "pickle"},
    "explicate_studies": {"pickle"},
}
# What must be the same in training and export, modules that import little: the network for tables, how a text model
# numbers its tokens, what a processor makes of an image, and what is taken out of a model.
ALLOWED = {
    "explicate_export": {
        "explicate_training.image.processor",
        "explicate_training.loop.pruned",
        "explicate_training.table.background",
        "explicate_training.table.forms.additive_network",
        "explicate_training.table.network",
        "explicate_training.table.saved_network",
        "explicate_training.interpretability.texts.explainer_network",
        "explicate_training.text.few_shot.mean_pooled",
        "explicate_training.text.positions",
    }
}
# All that a bundle needs, so that whatever has a graph can write one, and whatever has a file can check it. What signs
# is an extra, imported where it is used; `regex` cuts texts into words, for server and training alike (`players`).
OF_THE_BUNDLE = {
    *(*sys.stdlib_module_names, "explicate_bundle", "numpy", "PIL", "google.protobuf", "explicate.v1"),
    *("cryptography", "model_signing", "regex"),
}
# Protobuf and gRPC stop at the surface; the manifest is the one message that goes deeper.
SURFACE = {"app.py", "rpc"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("package", FORBIDDEN)
def test_packages_import_only_what_they_may(package: str) -> None:
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in PACKAGES[package].rglob("*.py")
        for name in imports(path)
        if name.partition(".")[0] in FORBIDDEN[package] and name not in ALLOWED.get(package, ())
    ]
    assert broken == []


@pytest.mark.parametrize("module", sorted(ALLOWED["explicate_export"]))
def test_what_is_shared_with_export_brings_nothing_of_training_along(module: str) -> None:
    path = ROOT / "training" / Path(*module.split(".")).with_suffix(".py")
    own = {"explicate_training.table.date_parts", *ALLOWED["explicate_export"]}  # parts of the networks
    brought = {name.partition(".")[0] for name in imports(path) if name not in own}
    # The background is made without torch, in the process that fitted a model.
    allowed = {"numpy", "sklearn"} if module.endswith("background") else {"torch", "safetensors"}
    allowed |= {"transformers"} if module.endswith("mean_pooled") else set()  # a network of theirs
    assert brought <= {*sys.stdlib_module_names, "explicate", "explicate_bundle", *allowed}


def test_a_bundle_needs_neither_server_nor_training_nor_a_runtime() -> None:
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in PACKAGES["explicate_bundle"].rglob("*.py")
        for name in imports(path)
        if not {".".join(name.split(".")[:length]) for length in (1, 2)} & OF_THE_BUNDLE
    ]
    assert broken == []


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    """What each module of ours imports of ours, but for what is imported for types only."""
    modules = shape.read_tree(ROOT)
    return {name: shape.imports(name, path, modules) for name, path in modules.items()}


def test_no_module_imports_itself_by_way_of_others(graph: dict[str, set[str]]) -> None:
    assert shape.circles(graph) == []


def test_the_server_imports_nothing_of_its_own_for_types_only() -> None:
    """A circle that is hidden from the interpreter is still one for a reader."""
    server = PACKAGES["explicate_server"]
    assert [path.name for path in server.rglob("*.py") if "if TYPE_CHECKING:" in path.read_text("utf-8")] == [
        "tracing.py"  # OpenTelemetry, which is not imported before it is wanted
    ]


def test_grpc_is_known_to_the_surface_of_the_server_only() -> None:
    server = PACKAGES["explicate_server"]
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in server.rglob("*.py")
        for name in imports(path)
        if name.partition(".")[0] in {"grpc", "grpc_health", "grpc_reflection", "grpc_status"}
        and path.relative_to(server).parts[0] not in SURFACE
    ]
    assert broken == []


def test_the_explanation_engine_knows_neither_protobuf_nor_asyncio_nor_threads() -> None:
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (PACKAGES["explicate_server"] / "explain").rglob("*.py")
        for name in imports(path)
        if name.partition(".")[0] in {"asyncio", "threading", "google", "onnxruntime", "explicate"}
    ]
    assert broken == []
