"""Bare ONNX files with a bundle.toml beside them, which says what they read and predict."""

from pathlib import Path
from typing import Any  # cells of files

from explicate_export.conversion import Say
from explicate_export.errors import UsageError
from explicate_export.sources.given_labels import label_of
from explicate_export.sources.given_rows import GivenRows, read_given
from explicate_export.sources.sources import Brought, BundleRequest, require


class _OnnxFiles:
    about = "an ONNX file (.onnx) with a bundle.toml"

    def knows(self, path: Path) -> bool:
        """A file with that ending."""
        return path.is_file() and path.suffix.lower() == ".onnx"

    def opened(self, request: BundleRequest, say: Say) -> Brought:
        """Reads the description, the graph and the inputs; raises UsageError or ConversionError."""
        require("sklearn", "pandas", "sklearn", "skl2onnx")
        from explicate_export.onnx_models.bare_graph import read_bare
        from explicate_export.onnx_models.description import NAME, read_description

        description = read_description(request.model.with_name(NAME))
        for given, key in ((request.labels, "labels"), (request.objective, "objective"), (request.target, "target")):
            if given is not None:
                raise UsageError(f"--{key} is for models without a description: {description.path} says it")
        graph = read_bare(request.model, description)
        rows = read_given(request.inputs, [column.name for column in description.columns])
        return _table(description, graph, rows, request, say)


SOURCE = _OnnxFiles()


def _table(description: Any, graph: Any, rows: GivenRows, request: BundleRequest, say: Say) -> Brought:
    from explicate_export.estimators.brought import GivenTable, brought
    from explicate_export.estimators.frame import as_frame
    from explicate_export.onnx_models.table_graphs import frame_of, table_parts

    frame, _ = as_frame(frame_of(description, rows, request.columns), None)
    label = rows.column("label", request.columns, optional=True)
    label = None if label in {column.name for column in description.columns} else label
    right = []
    for place, cells in rows.rows:
        try:
            told = None if label is None else label_of(cells[label], description.labels, several=False)
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None
        right.append(told)
    say(f"reading {len(frame):,} rows and the graph")
    original, parts = table_parts(description, graph, frame)
    return brought(original, parts, GivenTable(frame, False, right, description.target))
