"""The golden rows of a tabular bundle: rows with the answers that the exported model gave.

``golden.npz`` holds, without pickle: ``numbers`` float32[rows, number columns] and ``codes`` int64[rows, other columns]
in the graph's form; ``outputs`` float32[rows, outputs], logits or the value; and, where the manifest says how they were
made, ``attribution_rows`` int64[k], indices of the rows that were attributed, with their values as texts have them
(golden.py), one per column or group.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import TabularSchema
from explicate_bundle.arrays import opened_arrays
from explicate_bundle.columns import TableColumns
from explicate_bundle.errors import BundleError
from explicate_bundle.golden import attribution_arrays, read_attributions
from explicate_server.modalities.modality import TabularInput


@dataclass(frozen=True)
class GoldenRows:
    """Rows and what they must give.

    Attributes:
        schema: of the columns.
        numbers: float32[rows, number columns].
        codes: int64[rows, other columns].
        outputs: float32[rows, outputs].
        attributions: by index of a row, float64[players]: of the logit with the highest golden one, or of the value.
    """

    schema: TabularSchema
    numbers: NDArray[np.float32]
    codes: NDArray[np.int64]
    outputs: NDArray[np.float32]
    attributions: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)

    @cached_property
    def inputs(self) -> tuple[TabularInput, ...]:
        """The rows as they are asked."""
        columns = TableColumns(self.schema)
        return tuple(
            TabularInput(columns.cells_of(numbers, codes))
            for numbers, codes in zip(self.numbers, self.codes, strict=True)
        )


def read_golden_rows(path: Path, schema: TabularSchema, *, outputs: int, attributed: bool) -> GoldenRows:
    """Read and check the file; ``attributed`` says whether it must hold attributions.

    Raises:
        BundleError: it is not in the format.
    """
    with opened_arrays(path) as arrays:
        golden = GoldenRows(
            schema,
            arrays["numbers"].astype(np.float32),
            arrays["codes"].astype(np.int64),
            arrays["outputs"].astype(np.float32),
            read_attributions(arrays, "attribution_rows") if attributed else {},
        )
    rows = len(golden.outputs)
    if not rows or golden.outputs.shape != (rows, outputs) or len(golden.codes) != rows:
        raise BundleError(
            f"golden.npz has {len(golden.codes)} rows and outputs of shape {golden.outputs.shape}; the model has "
            f"{outputs} outputs"
        )
    if not TableColumns(schema).fits(golden.numbers, golden.codes):
        raise BundleError("golden.npz has rows that are not of the manifest's columns")
    if not all(0 <= index < rows for index in golden.attributions):
        raise BundleError(f"golden.npz has attributions of rows {list(golden.attributions)}, but {rows} rows")
    return golden


def write_golden_rows(path: Path, golden: GoldenRows) -> None:
    """Write the file."""
    arrays = {
        "numbers": golden.numbers.astype(np.float32),
        "codes": golden.codes.astype(np.int64),
        "outputs": golden.outputs.astype(np.float32),
        **attribution_arrays(golden.attributions, "attribution_rows"),
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]  # the stubs take the arrays for the flag allow_pickle
