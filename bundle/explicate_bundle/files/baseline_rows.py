"""Groups of rows that explanations of a table may be set against, in the place of the background.

``baselines.npz`` holds, without pickle, the arrays of background.npz with the rows of all groups one after the other in
the manifest's order, and ``offsets`` int64[groups + 1], where each group begins and ends. The weights of each sum to 1.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from explicate.v1.bundle_pb2 import TabularSchema
from explicate_bundle.columns import TableColumns
from explicate_bundle.errors import BundleError
from explicate_bundle.files.array_files import offsets_of, opened_arrays
from explicate_bundle.table_arrays import Background, check_rows, rows_in

MOST_BASELINES = 32
"""Groups of a model: each is a background of its own in the server's memory."""
OWN_BACKGROUND = "background"
"""The name by which a request means the model's own background."""
_NAME = re.compile(r"[^\W_][\w .+-]{0,63}")


def baseline_name_problem(name: str) -> str:
    """What is wrong with the name of a group, in words; empty if nothing is."""
    if name == OWN_BACKGROUND:
        return f"{name!r} is the name of the model's own background"
    if not _NAME.fullmatch(name):
        return f"{name[:80]!r} is not a name of 1 to 64 letters, digits, spaces and . + - _ that begins with a letter"
    return ""


def write_baselines(path: Path, groups: Sequence[Background]) -> None:
    """Write the file."""
    arrays = {
        name: np.concatenate([getattr(group, name) for group in groups]) for name in ("numbers", "codes", "weights")
    }
    np.savez(path, **arrays, offsets=offsets_of(groups))


def read_baselines(path: Path, schema: TabularSchema) -> Mapping[str, Background]:
    """Read and check the groups of a schema, by name.

    Raises:
        BundleError: the file is not in the format, or not what the schema says.
    """
    with opened_arrays(path) as arrays:
        rows, offsets = rows_in(path.name, arrays), arrays["offsets"].astype(np.int64).tolist()
    wanted = offsets_of([range(group.rows) for group in schema.baselines]).tolist()
    lengths = {len(rows.numbers), len(rows.codes), len(rows.weights)}
    if offsets != wanted or lengths != {wanted[-1]} or rows.weights.ndim != 1:
        raise BundleError(f"{path.name} has groups of other sizes than the manifest says")
    columns, groups = TableColumns(schema), {}
    for group, (first, last) in zip(schema.baselines, pairwise(wanted), strict=True):
        part = Background(rows.numbers[first:last], rows.codes[first:last], rows.weights[first:last])
        check_rows(path.name, part, columns)
        groups[group.name] = part
    return groups
