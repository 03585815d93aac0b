"""What is explained of a model's outputs, as requests name it: a class, all of them, or one rather than another."""

from collections.abc import Sequence
from dataclasses import dataclass

from explicate_server.errors import Violation

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
    return [] if name is None else _class_violations(name, labels, path)


def _contrast_violations(contrast: Contrast, labels: Sequence[str], path: str) -> list[Violation]:
    violations = []
    for side, name in (("target", contrast.target), ("reference", contrast.reference)):
        if name is None:
            violations.append(Violation(f"{path}.{side}", "names no class; set index or label"))
        else:
            violations += _class_violations(name, labels, f"{path}.{side}")
    if not violations and class_index(contrast.target, labels) == class_index(contrast.reference, labels):
        violations.append(Violation(f"{path}.reference", "is the target itself; name another class"))
    return violations


def _class_violations(name: ClassName, labels: Sequence[str], path: str) -> list[Violation]:
    if isinstance(name, int) and not 0 <= name < len(labels):
        return [Violation(f"{path}.index", f"is {name}; the model has classes 0 to {len(labels) - 1}")]
    if isinstance(name, str) and name not in labels:
        known = ", ".join(repr(label) for label in labels[:20])
        return [Violation(f"{path}.label", f"{name!r} is not a class; there are {known}")]
    return []


def class_index(name: ClassName | None, labels: Sequence[str]) -> int:
    """The index of a class that was checked to exist."""
    assert name is not None
    return labels.index(name) if isinstance(name, str) else name
