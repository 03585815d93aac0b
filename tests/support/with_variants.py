"""Random models of every kind of input, exported with variants: each when it is first asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from explicate_bundle.bundle import VerifiedBundle, verify_bundle
from explicate_export.export import ExportOptions, export_run
from explicate_export.variants import verification
from support.tiny_bundle import write_tiny_run
from support.tiny_image_run import write_image_run
from support.tiny_table_run import write_table_run

_RUNS: Mapping[str, Callable[[Path], Path]] = {
    "text": lambda folder: write_tiny_run(folder, hidden_size=128),
    "table": lambda folder: write_table_run(folder, labels=()),
    "image": lambda folder: write_image_run(folder, "vit"),
}
KINDS = tuple(_RUNS)
_COMPARED = 16


@dataclass(frozen=True)
class WithVariant:
    """A repository with version 1 of a model, named after what it reads, and what export said."""

    repository: Path
    bundle: VerifiedBundle
    lines: list[str]


class WithVariants(dict[str, WithVariant]):
    """By what the model reads. Graphs of tables and images this small are mostly nodes, so size counts for less."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def __missing__(self, kind: str) -> WithVariant:
        run, repository = _RUNS[kind](self._directory / f"run-{kind}"), self._directory / kind
        lines: list[str] = []
        precisions = ("fp16", "int8") if kind == "text" else ("fp16",)
        options = ExportOptions(kind, variants=precisions, compared_inputs=_COMPARED)
        most_size = verification.MOST_SIZE if kind == "text" else 0.7
        with mock.patch.object(verification, "MOST_SIZE", most_size):
            folder = export_run(run, repository, options, say=lines.append)
        self[kind] = WithVariant(repository, verify_bundle(folder, model=kind, version=1), lines)
        return self[kind]
