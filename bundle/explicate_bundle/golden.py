"""The golden inputs of a bundle: inputs with the answers that the exported model gave.

``golden.npz`` holds, without pickle, the inputs in the form of their kind (kinds/); their outputs float32[inputs,
outputs], logits or values, as ``logits`` of texts and ``outputs`` of all other inputs; and, where the manifest says how
they were made, ``attribution_texts``, ``attribution_rows`` or ``attribution_images`` int64[k], indices of the inputs
that were attributed, ``attribution_offsets`` int64[k + 1] and ``attribution_values`` float32[values], one per word,
column or group of columns, or cell of the grid.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any  # arrays of several types

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.errors import BundleError
from explicate_bundle.files.array_files import offsets_of, opened_arrays
from explicate_bundle.input_kind import ModelKind, kind_of
from explicate_bundle.model_inputs import ModelInput


@dataclass(frozen=True)
class Golden:
    """Inputs and what the model must give.

    Attributes:
        inputs: as they are asked.
        outputs: float32[inputs, outputs], logits or values.
        attributions: by index of an input, float64[players]: of the output with the highest golden one.
    """

    inputs: tuple[ModelInput, ...]
    outputs: NDArray[np.float32]
    attributions: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)


def read_golden(path: Path, manifest: bundle_pb2.Bundle) -> Golden:
    """Read and check the file; it must hold attributions if the manifest says how they were made.

    Raises:
        BundleError: it is not in the format.
    """
    kind = _kind(manifest)
    reads, outputs = kind.reads, kind.predicts.outputs(len(manifest.class_labels))
    with opened_arrays(path) as arrays:
        golden = Golden(
            reads.unpack(arrays, manifest),
            arrays[reads.outputs_array].astype(np.float32),
            _read_attributions(arrays, reads.attributed_array) if manifest.HasField("golden_attributions") else {},
        )
    count = len(golden.inputs)
    if not count or golden.outputs.shape != (count, outputs):
        raise BundleError(
            f"golden.npz has {count} {reads.plural} and {reads.outputs_array} of shape {golden.outputs.shape}; "
            f"the model has {outputs} outputs"
        )
    if not all(0 <= index < count for index in golden.attributions):
        raise BundleError(
            f"golden.npz has attributions of {reads.plural} {list(golden.attributions)}, but {count} {reads.plural}"
        )
    return golden


def write_golden(path: Path, golden: Golden, manifest: bundle_pb2.Bundle) -> None:
    """Write the file; of the manifest the kind and the schema count."""
    reads = _kind(manifest).reads
    arrays = {
        **reads.pack(golden.inputs, manifest),
        reads.outputs_array: golden.outputs.astype(np.float32),
        **_attribution_arrays(golden.attributions, reads.attributed_array),
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]  # the stubs take the arrays for the flag allow_pickle


def _kind(manifest: bundle_pb2.Bundle) -> ModelKind:
    kind = kind_of(manifest)
    if kind is None:
        kinds = f"input_kind {manifest.input_kind} with objective {manifest.objective}"
        raise BundleError(f"manifest.json: {kinds} is not known")
    return kind


def _attribution_arrays(attributions: Mapping[int, NDArray[np.float64]], indices: str) -> dict[str, NDArray[Any]]:
    if not attributions:
        return {}
    values = list(attributions.values())
    return {
        indices: np.array(list(attributions), dtype=np.int64),
        "attribution_offsets": offsets_of(values),
        "attribution_values": np.concatenate(values).astype(np.float32),
    }


def _read_attributions(arrays: Mapping[str, NDArray[Any]], indices: str) -> dict[int, NDArray[np.float64]]:
    """Attributions by the index of their input.

    Raises:
        KeyError, ValueError: they are not in the format.
    """
    inputs, offsets = arrays[indices].tolist(), arrays["attribution_offsets"].tolist()
    values = arrays["attribution_values"].astype(np.float64)
    ends = [0, *offsets[1:]]
    if not inputs or len(offsets) != len(inputs) + 1 or len(set(inputs)) != len(inputs):
        raise ValueError(f"{len(inputs)} attributed inputs with {len(offsets)} offsets")
    if offsets != sorted(ends) or offsets[-1] != len(values) or not np.isfinite(values).all():
        raise ValueError("the attributions' offsets do not fit their values, or a value is not finite")
    return {index: values[start:end] for index, (start, end) in zip(inputs, pairwise(offsets), strict=True)}
