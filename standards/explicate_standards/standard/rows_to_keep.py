"""Test rows that a bundle keeps with the answers on record, so that a server can score them again when it loads it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from explicate_bundle.standard.kept_rows import KeptRows, packed_bytes, write_kept_rows
from explicate_bundle.writing import STANDARD_ROWS_NAME, sha256_of
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.held_out_rows import LabelledInput, read_rows
from explicate_standards.outcomes.outcomes import answered

DEFAULT_KEPT_ROWS = 200
_MOST_BYTES = 8 << 20
_SEED = 1  # other rows than those that are evaluated: `read_rows` draws the same ones for a seed


def keep_rows(model: EvaluatedModel, path: Path, count: int) -> str:
    """Write at most `count` rows of a file, drawn at random, into the folder of a staged model.

    Fewer are kept where they would take more than 8 MiB. Returns the file's SHA-256; empty if there is nothing to keep.
    """
    drawn = read_rows(path, model, count=count, seed=_SEED).inputs if count else ()
    rows = _that_fit([row for row in drawn if row.label is not None], model)
    if not rows:
        return ""
    outcomes = answered(model, rows)
    kept = KeptRows(tuple(row.value for row in rows), outcomes.outputs.astype(np.float32), outcomes.targets)
    folder = model.bundle.folder
    write_kept_rows(folder, kept, model.bundle.manifest)
    return sha256_of(folder / STANDARD_ROWS_NAME)


def _that_fit(rows: Sequence[LabelledInput], model: EvaluatedModel) -> Sequence[LabelledInput]:
    while rows and packed_bytes([row.value for row in rows], model.bundle.manifest) > _MOST_BYTES:
        rows = rows[: len(rows) // 2]
    return rows
