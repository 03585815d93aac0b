"""Fixtures of the export's tests."""

import pytest

from explicate_export import conversion
from support.exported import Bundles, Exported, ReuseGraph, moved_graph


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """Exported bundles by name. For reading only."""
    return Bundles(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def reuse_graph(monkeypatch: pytest.MonkeyPatch) -> ReuseGraph:
    """Instead of converting, takes the graph of a bundle, with its outputs moved."""

    def reuse(bundle: Exported, *, offset: float = 0.0) -> None:
        graph = bundle.folder / "model.onnx"
        monkeypatch.setattr(conversion, "write_graph", lambda _, path: moved_graph(graph, path, offset=offset))

    return reuse
