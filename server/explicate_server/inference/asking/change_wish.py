"""What a caller wants to know of a change of the answer, checked before any work."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any  # JSON values

from explicate_bundle.objective import Answer
from explicate_server.errors import Violation
from explicate_server.explain.method import Method
from explicate_server.inference.asking.targets import ClassName, Target, class_violations
from explicate_server.modalities.rows.cell_changes import Alternatives, Kept
from explicate_server.registry.records import Choices
from explicate_server.settings import Settings

PATH = "options.change"
# Changes tried for each player, of which .97 to 1.00 of the golden games needed no more for the smallest one, and at
# least: all sets of six players (python -m benchmarks.changes).
_PER_PLAYER = 8
_LEAST = 64
# Rows of a small model for each column of a table: two dozen values of it alone, and what they do together.
_PER_COLUMN = 128


@dataclass(frozen=True, kw_only=True)
class ChangeWish:
    """A change that is asked for.

    Attributes:
        to_class: what is to be answered; None of classes is any other one.
        to_value: of a regression, which is to be reached or fallen below.
        absence: of a table, leave columns out in the place of giving them other values.
        columns: of a table, what columns may become, by name.
        keep_others: of a table, columns that are not named keep their values.
        max_evaluations: how many changes may be tried; None until it is resolved.
    """

    to_class: ClassName | None = None
    to_value: float | None = None
    absence: bool = False
    columns: Mapping[str, Alternatives] = field(default_factory=dict)
    keep_others: bool = False
    max_evaluations: int | None = None

    def resolved(self, players: int, method: Method, choices: Choices, settings: Settings) -> "ChangeWish":
        """With what was left open, for an input of so many players."""
        if self.max_evaluations is not None:
            return self
        if choices.alternatives is not None and not self.absence:
            free = len(choices.alternatives.free(self.columns, keep_others=self.keep_others))
            default = _PER_COLUMN * free
        else:
            default = max(_LEAST, _PER_PLAYER * players, method.least_evaluations(players))
        return replace(self, max_evaluations=min(default, settings.max_evaluations))

    @property
    def document(self) -> dict[str, Any]:
        """The wish as JSON has it, by the names that clients know."""
        varied = {name: one.document for name, one in self.columns.items() if not isinstance(one, Kept)}
        return {
            "to": self.to_class,
            "to_value": self.to_value,
            "keep": [name for name, one in self.columns.items() if isinstance(one, Kept)],
            "vary": varied,
            "keep_others": self.keep_others,
            "absence": self.absence,
            "max_evaluations": self.max_evaluations,
        }


def change_violations(
    wish: ChangeWish | None, choices: Choices, settings: Settings, *, target: Target, method: Method
) -> list[Violation]:
    """What is wrong with a wish, if there is one; ``target`` and ``method`` are those of the explanation."""
    if wish is None:
        return []
    most = settings.max_evaluations
    violations = [*_TO[choices.scales.objective.answer](wish, choices, target)]
    if wish.max_evaluations is not None and not 1 <= wish.max_evaluations <= most:
        problem = f"is {wish.max_evaluations}; it must be between 1 and {most:,}"
        violations.append(Violation(f"{PATH}.max_evaluations", problem))
    if wish.absence and method.drawn and choices.alternatives is not None:
        problem = f"is for methods that leave columns out; {method.name} draws rows"
        violations.append(Violation(f"{PATH}.absence", problem))
    return violations + _column_violations(wish, choices)


def _column_violations(wish: ChangeWish, choices: Choices) -> list[Violation]:
    speaks = {"columns": bool(wish.columns), "keep_others": wish.keep_others}
    if choices.alternatives is None or wish.absence:
        why = (
            "is for tables only: parts of other inputs are left out"
            if choices.alternatives is None
            else "has no effect with absence, which leaves columns out in the place of giving them values"
        )
        return [Violation(f"{PATH}.{name}", why) for name, is_set in speaks.items() if is_set]
    return choices.alternatives.violations(wish.columns, keep_others=wish.keep_others, path=PATH)


def _class_problems(wish: ChangeWish, choices: Choices, _target: Target) -> list[Violation]:
    if wish.to_value is not None:
        return [Violation(f"{PATH}.value", "is for regressions; name a class, or nothing for any other one")]
    return [] if wish.to_class is None else class_violations(wish.to_class, choices.labels, PATH, prefix="class_")


def _label_problems(wish: ChangeWish, choices: Choices, target: Target) -> list[Violation]:
    if wish.to_value is not None:
        return [Violation(f"{PATH}.value", "is for regressions; the change is of the label that target names")]
    if wish.to_class is not None:
        name = "class_label" if isinstance(wish.to_class, str) else "class_index"
        problem = "is for models that answer one class; of several labels the change is of the one that target names"
        return [Violation(f"{PATH}.{name}", problem)]
    if target.all and len(choices.labels) > 1:
        return [Violation("options.target", "is all labels; a change is of one of them: name it")]
    return []


def _value_problems(wish: ChangeWish, choices: Choices, _target: Target) -> list[Violation]:
    if wish.to_class is not None:
        name = "class_label" if isinstance(wish.to_class, str) else "class_index"
        return [Violation(f"{PATH}.{name}", "is set, but the model answers a value: set value")]
    if wish.to_value is None:
        problem = f"must be set: the {choices.labels[0]} to reach from below, or to fall below"
        return [Violation(f"{PATH}.value", problem)]
    return [] if isfinite(wish.to_value) else [Violation(f"{PATH}.value", "is not a finite number")]


_TO: Mapping[Answer, Callable[[ChangeWish, Choices, Target], list[Violation]]] = {
    "class": _class_problems,
    "labels": _label_problems,
    "value": _value_problems,
}
