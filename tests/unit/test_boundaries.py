"""Who may import whom: five packages in one distribution, a thin client, a server without torch."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "explicate_bundle": ROOT / "bundle" / "explicate_bundle",
    "explicate": ROOT / "clients" / "python" / "explicate",
    "explicate_server": ROOT / "server" / "explicate_server",
    "explicate_training": ROOT / "training" / "explicate_training",
    "explicate_export": ROOT / "export" / "explicate_export",
}
FORBIDDEN = {
    "explicate_bundle": {"explicate_training", "explicate_export", "torch", "transformers", "onnxruntime", "pickle"},
    "explicate": {"explicate_server", "explicate_training", "explicate_export", "torch", "transformers", "onnxruntime"},
    "explicate_server": {"explicate_training", "explicate_export", "torch", "transformers", "datasets", "pickle"},
    "explicate_training": {"explicate_server", "explicate_export", "pickle"},
    "explicate_export": {"explicate_training", "pickle"},
}
# What must be the same in training and export, one module each that imports little: the network for tables, and how
# images become pixels.
ALLOWED = {
    "explicate_bundle": {"explicate_export.errors"},
    "explicate_export": {"explicate_training.table.network", "explicate_training.image.preparation"},
}
# Protobuf and gRPC stop at the surface; the manifest is the one message that goes deeper.
GRPC_PLACES = {"app.py", "rpc"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_they_may(package: str) -> None:
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in PACKAGES[package].rglob("*.py")
        for name in imports(path)
        if name.partition(".")[0] in FORBIDDEN[package] and name not in ALLOWED.get(package, ())
    ]
    assert broken == []


@pytest.mark.parametrize(
    ("module", "brought"),
    [("table/network.py", {"torch", "safetensors"}), ("image/preparation.py", {"numpy", "PIL"})],
)
def test_what_is_shared_with_export_brings_nothing_of_training_along(module: str, brought: set[str]) -> None:
    path = PACKAGES["explicate_training"] / module
    assert {name.partition(".")[0] for name in imports(path)} <= {*sys.stdlib_module_names, *brought}


def test_grpc_is_known_to_the_surface_of_the_server_only() -> None:
    server = PACKAGES["explicate_server"]
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in server.rglob("*.py")
        for name in imports(path)
        if name.partition(".")[0] in {"grpc", "grpc_health", "grpc_reflection", "grpc_status"}
        and path.relative_to(server).parts[0] not in GRPC_PLACES
    ]
    assert broken == []


def test_the_explanation_engine_knows_neither_protobuf_nor_asyncio_nor_threads() -> None:
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (PACKAGES["explicate_server"] / "explain").glob("*.py")
        for name in imports(path)
        if name.partition(".")[0] in {"asyncio", "threading", "google", "onnxruntime", "explicate"}
    ]
    assert broken == []
