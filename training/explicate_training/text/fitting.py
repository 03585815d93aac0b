"""Fine-tunes a text model, from encoded texts to the best checkpoint's weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # targets of any number type

from numpy.typing import NDArray

from explicate_training.loop.trainer import Fitting, Outcome, fit
from explicate_training.tasks.task import TargetScale
from explicate_training.text.model import LengthGroupedOrder, TextModel


@dataclass(frozen=True)
class TextExamples:
    """Encoded texts or pairs with their targets."""

    encoded: Sequence[Mapping[str, list[int]]]
    targets: NDArray[Any]  # as the task gives them


def fit_texts(
    text_model: TextModel,
    train: TextExamples,
    validation: TextExamples,
    labels: Sequence[str],
    fitting: Fitting,
    scale: TargetScale,
) -> Outcome:
    """Trains in place; afterwards the model has the weights of its best validation.

    `labels` are the classes or labels by index, `scale` says how answers become values. Raises ExplicateError as `fit`
    does.
    """

    def rows(examples: TextExamples) -> list[dict[str, Any]]:
        """Model inputs and "labels" of each text."""
        targets = fitting.task.standard(examples.targets, scale).tolist()
        return [{**row, "labels": one} for row, one in zip(examples.encoded, targets, strict=True)]

    lengths = [len(row["input_ids"]) for row in train.encoded]
    return fit(
        text_model.model,
        rows(train),
        rows(validation),
        fitting,
        order=LengthGroupedOrder(lengths, fitting.config.batch_size, seed=fitting.config.seed),
        targets=train.targets,
        scale=scale,
        labels=labels,
        collate=lambda batch: text_model.tokenizer.pad(batch, return_tensors="pt"),
    )
