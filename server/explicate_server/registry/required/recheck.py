"""`--standard-recheck`: test rows of a bundle scored again when it is loaded, and compared with the answers on record.

The comparison is that of the golden inputs: a model, a runtime or a machine that answers otherwise than when the model
was judged must not serve with that verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.standard.kept_rows import KeptRows, read_kept_rows
from explicate_bundle.writing import STANDARD_ROWS_NAME
from explicate_server.errors import NotServable
from explicate_server.modalities.modality import Modality
from explicate_server.registry.golden_check import allowed_difference, variant_of
from explicate_server.runtime.model_runtime import Runtime, run_rows

_CHUNK = 64  # inputs that are model rows at once: an image takes 600 kB


@dataclass(frozen=True)
class Recheck:
    """What came of it.

    Attributes:
        rows: that were scored.
        largest_difference, allowed: of an output on record, in the unit of the golden inputs' comparison.
        right: how many are answered rightly; None of numbers.
    """

    rows: int
    largest_difference: float
    allowed: float
    right: int | None


def recheck(bundle: VerifiedBundle, modality: Modality, runtimes: Sequence[Runtime], rows: int) -> Recheck | None:
    """Score at most that many of the bundle's test rows in each session; None if it keeps none.

    Returns what came of the session whose answers differ most.

    Raises:
        BundleError: the rows are not in the format.
        NotServable: answers differ by more than golden ones may; says how many and the worst.
    """
    kept = read_kept_rows(bundle.folder, bundle.manifest)
    if kept is None:
        return None
    chosen = kept.spread(rows)
    found = [_of_session(bundle, modality, runtime, chosen) for runtime in runtimes]
    return max(found, key=lambda each: each.largest_difference)


def _of_session(bundle: VerifiedBundle, modality: Modality, runtime: Runtime, kept: KeptRows) -> Recheck:
    objective = bundle.kind.predicts
    answers = _answers(modality, runtime, kept)
    differences = _differences(bundle, runtime, answers, kept.outputs)
    allowed = allowed_difference(bundle.manifest, runtime)
    differing = ~(differences <= allowed)  # so that NaN differs
    if differing.any():
        hint = "" if variant_of(bundle.manifest, runtime) is None else "; --precision fp32 serves model.onnx itself"
        worst = int(np.where(np.isnan(differences), np.inf, differences).argmax())
        raise NotServable(
            "STANDARD_NOT_MET",
            f"recheck: {int(differing.sum()):,} of {len(differences):,} test rows are answered otherwise than on "
            f"record in {STANDARD_ROWS_NAME}, on {runtime.name} in {runtime.precision}: the worst, row {worst + 1} of "
            f"them, by {differences[worst]:.3g}, and {allowed:.3g} is allowed{hint}",
        )
    right = None
    if objective.decisions is not None:
        same = np.asarray(objective.decisions(objective.scores(answers.astype(np.float64)))) == kept.targets
        right = int((same if same.ndim == 1 else same.all(axis=1)).sum())
    return Recheck(len(differences), float(differences.max()), allowed, right)


def _answers(modality: Modality, runtime: Runtime, kept: KeptRows) -> NDArray[np.float32]:
    """float32[rows, outputs]."""
    parts = []
    for first in range(0, len(kept.inputs), _CHUNK):
        rows = [modality.encode(value).row for value in kept.inputs[first : first + _CHUNK]]
        parts.append(run_rows(runtime, modality.collate, rows, batch_tokens=modality.batch_tokens(runtime)))
    return np.concatenate(parts)


def _differences(
    bundle: VerifiedBundle, runtime: Runtime, answers: NDArray[np.float32], expected: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The largest of each row, float64[rows]: of what callers are told for a variant, else of the graph's outputs."""
    both = [each.astype(np.float64) for each in (answers, expected)]
    if variant_of(bundle.manifest, runtime) is not None:
        both = [bundle.kind.predicts.scores(each) for each in both]
    return np.asarray(np.abs(both[0] - both[1]).max(axis=1))
