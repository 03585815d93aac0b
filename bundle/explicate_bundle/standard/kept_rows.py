"""standard_rows.npz in a bundle: some test rows with what is right and what the model answered, to be scored again.

The inputs are packed as those of golden.npz, and so are the outputs: float32[rows, outputs], logits or values.
`targets` is what is right: classes int64[rows], labels bool[rows, labels] or values float64[rows]. standard.json has
the file's digest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # targets of any number type

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.errors import BundleError
from explicate_bundle.files.array_files import opened_arrays
from explicate_bundle.input_kind import ModelKind, kind_of
from explicate_bundle.model_inputs import ModelInput
from explicate_bundle.writing import STANDARD_ROWS_NAME

_TARGETS = "targets"
_TARGET_TYPES = {"class": np.int64, "labels": np.bool_, "value": np.float64}


@dataclass(frozen=True)
class KeptRows:
    """Test rows: their inputs, the outputs float32[rows, outputs] on record, and what is right; see above."""

    inputs: tuple[ModelInput, ...]
    outputs: NDArray[np.float32]
    targets: NDArray[Any]

    def spread(self, count: int) -> "KeptRows":
        """At most that many of them, spread over all."""
        chosen = np.unique(np.linspace(0, len(self.inputs) - 1, min(count, len(self.inputs))).round().astype(int))
        return KeptRows(tuple(self.inputs[place] for place in chosen), self.outputs[chosen], self.targets[chosen])


def write_kept_rows(folder: Path, rows: KeptRows, manifest: bundle_pb2.Bundle) -> None:
    """Write the file into a bundle's folder; of the manifest the kind and the schema count."""
    kind = _kind(manifest)
    arrays = {
        **kind.reads.pack(rows.inputs, manifest),
        kind.reads.outputs_array: rows.outputs.astype(np.float32),
        _TARGETS: rows.targets.astype(_TARGET_TYPES[kind.predicts.answer]),
    }
    np.savez(folder / STANDARD_ROWS_NAME, **arrays)  # type: ignore[arg-type]  # the stubs take them for allow_pickle


def packed_bytes(inputs: Sequence[ModelInput], manifest: bundle_pb2.Bundle) -> int:
    """How large inputs are in such a file."""
    return sum(array.nbytes for array in _kind(manifest).reads.pack(inputs, manifest).values())


def read_kept_rows(folder: Path, manifest: bundle_pb2.Bundle) -> KeptRows | None:
    """The rows of a verified bundle; None if it keeps none.

    Raises:
        BundleError: they are not in the format.
    """
    if STANDARD_ROWS_NAME not in {file.name for file in manifest.files}:
        return None
    kind = _kind(manifest)
    with opened_arrays(folder / STANDARD_ROWS_NAME) as arrays:
        rows = KeptRows(
            kind.reads.unpack(arrays, manifest),
            arrays[kind.reads.outputs_array].astype(np.float32),
            arrays[_TARGETS].astype(_TARGET_TYPES[kind.predicts.answer]),
        )
    count, outputs = len(rows.inputs), kind.predicts.outputs(len(manifest.class_labels))
    targets = (count, outputs) if kind.predicts.answer == "labels" else (count,)
    if not count or rows.outputs.shape != (count, outputs) or rows.targets.shape != targets:
        raise BundleError(
            f"{STANDARD_ROWS_NAME} has {count} {kind.reads.plural}, outputs of shape {rows.outputs.shape} and targets "
            f"of shape {rows.targets.shape}; the model has {outputs} outputs"
        )
    if not np.isfinite(rows.outputs).all():
        raise BundleError(f"{STANDARD_ROWS_NAME} has outputs that are not finite")
    return rows


def _kind(manifest: bundle_pb2.Bundle) -> ModelKind:
    kind = kind_of(manifest)
    if kind is None:
        raise BundleError(f"manifest.json: input_kind {manifest.input_kind} is not known")
    return kind
