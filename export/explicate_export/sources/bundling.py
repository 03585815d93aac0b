"""From a model that somebody else made to a published bundle with its report: the same path for all sources."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any  # JSON values

from explicate_bundle.model_inputs import ModelInput, TabularInput, TextInput
from explicate_export.conversion import Say
from explicate_export.described import DescribedModel
from explicate_export.export import ExportOptions, Published, publish_model
from explicate_export.sources.bundle_report import report_of
from explicate_export.sources.sources import Brought, BundleRequest, source_of
from explicate_standards.held_out_rows import HELD_OUT_NAME


def bundle_model(request: BundleRequest, repository: Path, options: ExportOptions, *, say: Say) -> Published:
    """Opens a model by its source and publishes it; see `publish_brought`."""
    source = source_of(request.model)
    return publish_brought(source.opened(request, say), repository, options, say=say)


def publish_brought(brought: Brought, repository: Path, options: ExportOptions, *, say: Say) -> Published:
    """Converts, compares, measures and publishes a loaded model; returns what came of it.

    Raises UsageError, ConversionError, ParityError or PublicationError.
    """
    for note in brought.notes:
        say(note)
    with tempfile.TemporaryDirectory(prefix="explicate-") as folder:
        rows = None
        if options.evaluated_inputs is not None or options.standard is not None:
            rows = Path(folder) / HELD_OUT_NAME
            lines = (json.dumps(line, ensure_ascii=False) for line in _lines(brought, rows.parent))
            rows.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        report = report_of(brought, options.model)
        return publish_model(brought.model, repository, options, rows=rows, report=report, say=say)


def _lines(brought: Brought, folder: Path) -> Iterator[dict[str, Any]]:
    """The given inputs as training writes held-out ones; files are put into the folder."""
    for index, (held_out, label) in enumerate(zip(brought.model.held_out, brought.labels, strict=True)):
        line = _line(brought.model.load(held_out), folder / f"{index:06}", brought.model.described)
        yield line if label is None else {**line, "label": label}


def _line(value: ModelInput, file: Path, described: DescribedModel) -> dict[str, Any]:
    if isinstance(value, TextInput):
        return {"text": value.text} | ({} if value.text_pair is None else {"text_pair": value.text_pair})
    if isinstance(value, TabularInput):
        return {"row": dict(value.cells)}
    file.write_bytes(value.content)
    return {described.kind.reads.field: file.name}
