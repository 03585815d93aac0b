"""A model's answers to labelled rows: everything that a metric of right and wrong is computed from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any  # targets of any number type

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate_bundle.model_inputs import ModelInput
from explicate_bundle.objective import Objective
from explicate_bundle.standard.kept_rows import KeptRows, packed_bytes, write_kept_rows
from explicate_bundle.writing import STANDARD_ROWS_NAME, sha256_of
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.held_out_rows import HeldOutRows, LabelledInput, read_rows

Floats = NDArray[np.float64]
DEFAULT_KEPT_ROWS = 200
_MOST_KEPT_BYTES = 8 << 20
_KEPT_SEED = 1  # other rows than those that are evaluated: `read_rows` draws the same ones for a seed
CHUNK = 256  # inputs that are model rows at once: an image takes 150 kB


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What is answered to rows, and what is right.

    Attributes:
        name: of the model, for people.
        objective: what it predicts.
        labels: of its outputs; of a regression the name of its target.
        outputs: the graph's answers, float64[rows, outputs].
        targets: what is right: classes intp[rows], labels bool[rows, labels], or values float64[rows].
        digest: of what answered; empty of what is not a bundle.
        precision: of a variant that is held to another precision of its bundle; else empty.
    """

    name: str
    objective: Objective
    labels: tuple[str, ...]
    outputs: Floats
    targets: NDArray[Any]
    digest: str = ""
    precision: str = ""

    def __len__(self) -> int:
        return len(self.outputs)

    @cached_property
    def scores(self) -> Floats:
        """What callers are told, float64[rows, outputs]: probabilities, or the value."""
        return self.objective.scores(self.outputs)

    @cached_property
    def decided(self) -> NDArray[Any]:
        """What is answered: classes intp[rows], labels bool[rows, labels], or values float64[rows]."""
        decisions = self.objective.decisions
        return self.outputs[:, 0] if decisions is None else np.asarray(decisions(self.scores))

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Which rows are answered exactly as they should be, bool[rows]; of labels all of them."""
        same = np.asarray(self.decided == self.targets)
        return same if same.ndim == 1 else np.asarray(same.all(axis=1))

    def of(self, rows: NDArray[np.bool_]) -> "Outcomes":
        """The same of some of the rows, bool[rows]."""
        return replace(self, outputs=self.outputs[rows], targets=self.targets[rows])


def labelled(rows: HeldOutRows) -> list[LabelledInput]:
    """The rows that say what is right, in the order of their file.

    Raises:
        UsageError: none does.
    """
    found = sorted((row for row in rows.inputs if row.label is not None), key=lambda row: row.place)
    if not found:
        raise UsageError("no row says what is right: give rows with a label")
    return found


def outcomes_of(model: EvaluatedModel, rows: Sequence[LabelledInput], outputs: Floats) -> Outcomes:
    """What a model answered to labelled rows, `outputs` float64[rows, outputs]."""
    targets = targets_of(model.kind.predicts, model.labels, [row.label for row in rows])
    return Outcomes(model.name, model.kind.predicts, model.labels, outputs, targets, model.content_sha256)


def answered(model: EvaluatedModel, rows: Sequence[LabelledInput]) -> Outcomes:
    """What a model answers to labelled rows.

    Raises:
        NotFinite: it answers with what is not a number.
    """
    return outcomes_of(model, rows, outputs_of(model, [row.value for row in rows]))


def outputs_of(model: EvaluatedModel, values: Sequence[ModelInput]) -> Floats:
    """The graph's answers to inputs, float64[inputs, outputs]."""
    parts = [
        model.answers([model.modality.encode(value).row for value in values[first : first + CHUNK]])
        for first in range(0, len(values), CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, model.scales.outputs))


def always_the_same(outcomes: Outcomes) -> Outcomes:
    """What answers all rows alike, as well as one answer can: the most frequent class, or the median.

    Its answer comes from the very rows that it is measured on, which flatters it a little.
    """
    answer = {"class": _shares_of_classes, "labels": _shares_of_labels, "value": _median}[outcomes.objective.answer]
    outputs = np.tile(answer(outcomes), (len(outcomes), 1))
    objective = outcomes.objective.plain  # whose own most probable answer it is
    return replace(outcomes, name="always the same answer", objective=objective, outputs=outputs, digest="")


def _shares_of_classes(outcomes: Outcomes) -> Floats:
    counts = np.bincount(outcomes.targets, minlength=len(outcomes.labels))
    return np.asarray(np.log(np.maximum(counts, 0.5) / len(outcomes)))


def _shares_of_labels(outcomes: Outcomes) -> Floats:
    shares = np.clip(outcomes.targets.mean(axis=0), 0.5 / len(outcomes), 1 - 0.5 / len(outcomes))
    return np.asarray(np.log(shares / (1 - shares)))


def _median(outcomes: Outcomes) -> Floats:
    return np.array([np.median(outcomes.targets)])


def targets_of(objective: Objective, labels: Sequence[str], given: Sequence[Any]) -> NDArray[Any]:
    """What is right for rows, as `Outcomes` has it, from labels as `label_of` reads them."""
    match objective.answer:
        case "class":
            return np.array(given, dtype=np.intp)
        case "labels":
            targets = np.zeros((len(given), len(labels)), np.bool_)
            for row, indices in enumerate(given):
                targets[row, list(indices) if isinstance(indices, tuple) else [indices]] = True
            return targets
        case "value":
            return np.array(given, dtype=np.float64)


def keep_rows(model: EvaluatedModel, path: Path, count: int) -> str:
    """Write at most `count` rows of a file, drawn at random, with the answers into the folder of a staged model.

    A server scores them again when it loads the bundle, see `kept_rows`. The answers are model.onnx's own, as golden
    ones are. Fewer rows are kept where they would take more than 8 MiB. Returns the file's SHA-256; empty if there is
    nothing to keep.
    """
    drawn = read_rows(path, model, count=count, seed=_KEPT_SEED).inputs if count else ()
    folder, manifest = model.bundle.folder, model.bundle.manifest
    rows = [row for row in drawn if row.label is not None]
    while rows and packed_bytes([row.value for row in rows], manifest) > _MOST_KEPT_BYTES:
        rows = rows[: len(rows) // 2]
    if not rows:
        return ""
    outcomes = answered(model.with_graph(model.bundle.model_path), rows)
    inputs = tuple(row.value for row in rows)
    write_kept_rows(folder, KeptRows(inputs, outcomes.outputs.astype(np.float32), outcomes.targets), manifest)
    return sha256_of(folder / STANDARD_ROWS_NAME)
