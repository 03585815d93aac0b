"""The kinds of models that can be exported: one line each."""

from collections.abc import Callable, Mapping
from pathlib import Path

from explicate_export.contents import ModelExport, Say
from explicate_export.errors import UsageError
from explicate_export.image.conversion import open_image_run
from explicate_export.image.run import KINDS as IMAGE_KINDS
from explicate_export.table.conversion import open_tabular_run
from explicate_export.table.run import KINDS as TABULAR_KINDS
from explicate_export.text.conversion import open_text_run
from explicate_export.text.run import KINDS as TEXT_KINDS
from explicate_export.training_run import RUN_NAME, read_kind

KINDS: Mapping[str, Callable[[Path, Say], ModelExport]] = {
    **dict.fromkeys(TEXT_KINDS, open_text_run),
    **dict.fromkeys(TABULAR_KINDS, open_tabular_run),
    **dict.fromkeys(IMAGE_KINDS, open_image_run),
}


def open_run(directory: Path, say: Say) -> ModelExport:
    """Reads a run directory and loads its model; raises UsageError, naming the file that is missing or wrong."""
    kind = read_kind(directory)
    if kind not in KINDS:
        raise UsageError(
            f"{directory / RUN_NAME}: kind is {kind!r}, and what can be exported is {', '.join(map(repr, KINDS))}"
        )
    return KINDS[kind](directory, say)
