"""Which outputs of a model are explained: the targets that a caller may name, checked, and what they choose."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explicate.reading.nearest import did_you_mean
from explicate_server.errors import Violation
from explicate_server.registry.records import Scales

ClassName = int | str
"""A class by its index or its label."""


@dataclass(frozen=True)
class Contrast:
    """The score of one class minus that of another; None is a side that was left out."""

    target: ClassName | None
    reference: ClassName | None


@dataclass(frozen=True)
class Target:
    """Which outputs to explain; the predicted class when nothing is said."""

    index: int | None = None
    label: str | None = None
    all: bool = False
    contrast: Contrast | None = None


PREDICTED_CLASS = Target()


def target_violations(target: Target, labels: Sequence[str], *, regression: bool) -> list[Violation]:
    """What is wrong with a target of a model with these outputs; empty when nothing is."""
    path = "options.target"
    if regression and target not in (PREDICTED_CLASS, Target(index=0)):
        return [Violation(path, "must be unset or index 0: a regression has one output and no classes")]
    if target.contrast:
        return _contrast_violations(target.contrast, labels, f"{path}.contrast")
    name = target.label if target.index is None else target.index
    return [] if name is None else class_violations(name, labels, path)


def _contrast_violations(contrast: Contrast, labels: Sequence[str], path: str) -> list[Violation]:
    violations = []
    for side, name in (("target", contrast.target), ("reference", contrast.reference)):
        if name is None:
            violations.append(Violation(f"{path}.{side}", "names no class; set index or label"))
        else:
            violations += class_violations(name, labels, f"{path}.{side}")
    if not violations and class_index(contrast.target, labels) == class_index(contrast.reference, labels):
        violations.append(Violation(f"{path}.reference", "is the target itself; name another class"))
    return violations


def class_violations(name: ClassName, labels: Sequence[str], path: str, *, prefix: str = "") -> list[Violation]:
    """What is wrong with the name of a class; ``prefix`` is that of the fields that hold its index or label."""
    if isinstance(name, int) and not 0 <= name < len(labels):
        return [Violation(f"{path}.{prefix}index", f"is {name}; the model has classes 0 to {len(labels) - 1}")]
    if isinstance(name, int) and (namesake := _namesake(name, labels)) is not None:
        problem = f"is {name}: the index of class {labels[name]!r}, and the name of class {namesake!r}; name its label"
        return [Violation(f"{path}.{prefix}index", problem)]
    if isinstance(name, str) and name not in labels:
        advice = did_you_mean(name, labels, most=1) or f"; there are {', '.join(map(repr, labels[:20]))}"
        return [Violation(f"{path}.{prefix}label", f"{name!r} is not a class{advice}")]
    return []


def _namesake(index: int, labels: Sequence[str]) -> str | None:
    """The label of another class that reads as the number of this index: nobody can tell which of the two is meant."""
    for other, label in enumerate(labels):
        try:
            same = float(label) == index
        except ValueError:
            continue
        if same and other != index:
            return label
    return None


def class_index(name: ClassName | None, labels: Sequence[str]) -> int:
    """The index of a class that was checked to exist."""
    assert name is not None
    return labels.index(name) if isinstance(name, str) else name


@dataclass(frozen=True)
class Outputs:
    """The explained outputs: ``class_indices`` on the scale ``space``; a regression has one, 0.

    ``reference_index`` is the class whose score is taken off, for a contrast.
    """

    scales: Scales
    class_indices: tuple[int, ...]
    space: str
    reference_index: int | None = None

    @classmethod
    def choose(
        cls, target: Target, space: str, *, scales: Scales, prediction: NDArray[np.float64], labels: Sequence[str]
    ) -> "Outputs":
        """The outputs a checked target means, given the graph's own answer ``prediction``, float64[outputs]."""
        if target.all:
            return cls(scales, tuple(range(len(labels))), space)
        if target.contrast:
            reference = class_index(target.contrast.reference, labels)
            return cls(scales, (class_index(target.contrast.target, labels),), space, reference)
        if target.label is not None:
            return cls(scales, (labels.index(target.label),), space)
        if target.index is not None:
            return cls(scales, (target.index,), space)
        return cls(scales, (int(scales.objective.leading(prediction[np.newaxis])[0]),), space)

    def of(self, kept: NDArray[np.float64]) -> NDArray[np.float64]:
        """Explained outputs float64[m, explained] of what was kept of coalitions, float64[m, width]."""
        scores = self.scales.of(kept, self.space)
        explained = scores[:, list(self.class_indices)]
        if self.reference_index is not None:
            explained = explained - scores[:, [self.reference_index]]
        return np.asarray(explained)
