"""What a model predicts: one class of several, any number of labels, or a number. One object each, one line below.

An objective knows the graph's output, the unit of a difference, and its sentences of the model card.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from explicate.v1.training_run_pb2 import TrainingRun
from explicate_export.markdown import code
from explicate_export.parity import LOGITS, Scale


@dataclass(frozen=True, kw_only=True)
class InputWords:
    """How sentences speak of what a model reads."""

    one: str  # "text"
    many: str  # "texts"
    source: str  # "predicts … from a text"
    judged: str  # "says of a text which of 3 labels fit"
    classifier: str  # "A text classifier with 2 classes"
    alike: str  # what an input must share with the training data: "same language, topic and length"
    of_no_class: str  # "also for texts that belong to none"
    of_no_value: str  # "It answers a number for every text, also for texts where there is none to tell"
    of_no_label: str = ""  # what becomes of an input without any label, where there is more to say than of others
    measured: bool = True  # whether metrics are known
    probabilities_fade: bool = True  # whether the probabilities mean little on other inputs
    edge_cases: str = ""  # what inputs are compared besides held-out ones: "with holes"
    limits: Sequence[str] = field(default=())  # of the use, a sentence or two each


class ExportObjective(Protocol):
    """What differs between models by what they predict."""

    output_name: str
    """Of the graph's output."""

    per_output: str
    """What an output is of, in a table with a row for each."""

    def scale(self, record: TrainingRun, targets: Sequence[float], *, spread_of: str) -> Scale:
        """What differences of outputs are measured in; `targets` are the held-out inputs' own, for a regression.

        `spread_of` says what their spread is, such as "the target's spread".
        """

    def summary(self, record: TrainingRun, words: InputWords) -> str:
        """What the model is, in a sentence."""

    def limits(self, record: TrainingRun, words: InputWords) -> tuple[str, str]:
        """What the model is meant for, and what it answers for other inputs."""


class _Classes:
    """One class of several."""

    output_name = "logits"
    per_output = "class"

    def scale(self, record: TrainingRun, targets: Sequence[float], *, spread_of: str) -> Scale:  # noqa: ARG002
        """Logits are measured as they are."""
        return LOGITS

    def summary(self, record: TrainingRun, words: InputWords) -> str:
        return f"{words.classifier} with {len(record.labels)} classes: {_labels(record)}."

    def limits(self, record: TrainingRun, words: InputWords) -> tuple[str, str]:
        always = f"It always answers one of its {len(record.labels)} classes, also {words.of_no_class}."
        return _meant_for(words, probabilities=True), always


class _Labels(_Classes):
    """Any number of labels."""

    per_output = "label"

    def summary(self, record: TrainingRun, words: InputWords) -> str:
        return (
            f"A model that says {words.judged} which of {len(record.labels)} labels fit, any number of them: "
            f"{_labels(record)}."
        )

    def limits(self, record: TrainingRun, words: InputWords) -> tuple[str, str]:
        always = f"It knows its {len(record.labels)} labels only, and judges each of them on its own."
        if words.of_no_label:
            always = f"It knows its labels only: {words.of_no_label}."
        return _meant_for(words, probabilities=True), always


class _Value:
    """A number."""

    output_name = "values"
    per_output = "value"

    def scale(self, record: TrainingRun, targets: Sequence[float], *, spread_of: str) -> Scale:
        """The spread of the target: the training data's if the record has it, the held-out data's if not."""
        spread = record.target_scale.spread if record.HasField("target_scale") else _spread(targets)
        return Scale(spread, f"of {spread_of}")

    def summary(self, record: TrainingRun, words: InputWords) -> str:
        return f"A regression that predicts {code(record.target_name)} from {words.source}, in its own unit."

    def limits(self, record: TrainingRun, words: InputWords) -> tuple[str, str]:  # noqa: ARG002
        always = f"It answers a number for every {words.one}, also {words.of_no_value}."
        return _meant_for(words, probabilities=False), always


EXPORT_OBJECTIVES: dict[str, ExportObjective] = {
    "classification": _Classes(),
    "multi-label": _Labels(),
    "regression": _Value(),
}
"""By the name of the bundle's objective; a new objective is one entry."""


def _labels(record: TrainingRun) -> str:
    return ", ".join(map(code, record.labels))


def _meant_for(words: InputWords, *, probabilities: bool) -> str:
    little = ", and its probabilities mean little" if probabilities and words.probabilities_fade else ""
    others = f"On others {'its metrics do not hold' if words.measured else 'nothing is known of it'}{little}."
    return f"Meant for {words.many} like those it was trained on: {words.alike}. {others}"


def _spread(targets: Sequence[float]) -> float:
    """The standard deviation of a target; its size, or 1, when it does not vary."""
    values = np.array(targets)
    return float(values.std()) or float(np.abs(values).max()) or 1.0
