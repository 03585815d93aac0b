"""Contrastive fine-tuning on pairs of labelled texts, then a linear layer: SetFit's method.

Tunstall and others 2022, "Efficient Few-Shot Learning Without Prompts": of n texts there are n² pairs, so few labels
make many examples. The encoder learns that two texts of a class are alike (cosine 1) and two of different classes are
not (cosine 0); a logistic regression on its embeddings becomes the last layer. Here a step takes a few texts of each
class and all pairs among them, which costs one reading of a text instead of one for each pair.

The head is fitted again before each look at the validation rows, so looks and checkpoints are those of any run. The
last look is taken: of few labels the validation rows are a handful, and choosing by them is drawing lots.
"""

# ruff: noqa: ARG002 - the Trainer hands its callbacks their arguments by name, wanted or not

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any  # targets of any number type; the Trainer's callbacks

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from explicate_training.loop.rows import EpochOrder
from explicate_training.loop.trainer import Fitting, Outcome, fit
from explicate_training.tasks.task import Task
from explicate_training.text.config import Config, FewShotConfig
from explicate_training.text.few_shot.mean_pooled import MeanPooledClassifier
from explicate_training.text.model import TextModel

FEW_LABELS = 64
"""Labels of a class below which pairs do better than labels alone (docs/benchmarks.md)."""

_MOST_HEAD_STEPS = 1000
_ROWS_TOGETHER = 64


class PairOrder(EpochOrder):
    """Places of rows, a batch after the other with as many of each class as of the others, as far as they go round."""

    def __init__(self, targets: NDArray[Any], *, batch_size: int, steps: int, seed: int) -> None:
        super().__init__(seed=seed)
        self._classes = [np.flatnonzero(targets == target) for target in np.unique(targets)]
        self._batch_size, self._steps = batch_size, steps

    def __len__(self) -> int:
        return self._steps * self._batch_size

    def __iter__(self) -> Iterator[int]:
        stream = self.stream()
        decks = [_deck(rows, stream) for rows in self._classes]
        for step in range(self._steps):
            for place in range(self._batch_size):
                yield next(decks[(place + step * self._batch_size) % len(decks)])


def _deck(rows: NDArray[np.intp], stream: np.random.Generator) -> Iterator[int]:
    """The rows in a random order, again and again."""
    while True:
        yield from stream.permutation(rows).tolist()


def pair_loss(embeddings: Tensor, targets: Tensor) -> Tensor:
    """Mean over pairs of rows of (cosine - [same class])², of embeddings float [rows, hidden] of length 1.

    The cosine similarity loss of sentence-transformers, which SetFit takes.
    """
    cosines = embeddings @ embeddings.T
    same = (targets[:, None] == targets[None, :]).to(cosines.dtype)
    apart = ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    return (cosines - same)[apart].square().mean()


class _Paired(nn.Module):
    """The classifier as the Trainer sees it: embeddings while it learns, logits when it is looked at."""

    def __init__(self, model: MeanPooledClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, labels: Tensor | None = None, **inputs: Tensor) -> dict[str, Tensor]:
        if self.training:
            return {"logits": self.model.embeddings(**inputs)}
        logits: Tensor = self.model(**inputs).logits
        return {"logits": logits}


class HeadFitting(TrainerCallback):
    """Fits the head to the training rows before each look at the validation rows."""

    def __init__(self, model: MeanPooledClassifier, fit_head: Callable[[], None]) -> None:
        self._model, self._fit_head = model, fit_head

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Where a look follows."""
        if control.should_evaluate:
            learning = self._model.training
            self._fit_head()
            self._model.train(learning)


@torch.no_grad()
def embed(model: TextModel, encoded: Sequence[Mapping[str, list[int]]]) -> NDArray[np.float32]:
    """What the classifier's head reads of rows, float32 [rows, hidden], in fp32."""
    network = model.model
    assert isinstance(network, MeanPooledClassifier)
    network.train(False)
    order = sorted(range(len(encoded)), key=lambda row: len(encoded[row]["input_ids"]))
    parts = []
    for start in range(0, len(order), _ROWS_TOGETHER):
        rows = [encoded[row] for row in order[start : start + _ROWS_TOGETHER]]
        batch = model.tokenizer.pad(rows, return_tensors="pt").to(network.device)
        parts.append(network.embeddings(**batch).float().cpu().numpy())
    embedded: NDArray[np.float32] = np.concatenate(parts)[np.argsort(order)]
    return embedded


def fit_head(
    head: nn.Linear, embeddings: NDArray[np.float32], targets: NDArray[Any], *, strength: float, balanced: bool
) -> None:
    """Makes a logistic regression of embeddings [rows, hidden] the linear layer; of two classes each has one half."""
    found = LogisticRegression(
        C=strength, max_iter=_MOST_HEAD_STEPS, class_weight="balanced" if balanced else None
    ).fit(embeddings.astype(np.float64), targets)
    weights, bias = found.coef_, found.intercept_
    if len(found.classes_) == 2:  # one row: the log-odds of the second class
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weights))
        head.bias.copy_(torch.from_numpy(bias))


def fit_few_shot(
    model: TextModel,
    train: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    fitting: Fitting,
    *,
    options: FewShotConfig,
    collate: Callable[[Any], Any],
) -> Outcome:
    """Trains in place; rows are encoded texts with "labels". Raises ExplicateError when it diverges."""
    network, training = model.model, fitting.config
    assert isinstance(network, MeanPooledClassifier)
    targets = np.array([row["labels"] for row in train])
    encoded = [{name: value for name, value in row.items() if name != "labels"} for row in train]
    paired = _Paired(network)
    of_task = fitting.task.loss(fitting.targets, len(fitting.task.outputs(fitting.labels)), training)

    def loss(outputs: Mapping[str, Tensor], labels: Tensor, **more: Any) -> Tensor:
        return pair_loss(outputs["logits"], labels) if paired.training else of_task(outputs, labels, **more)

    def head() -> None:
        balanced = training.rebalancing == "class-weights"
        fit_head(network.head, embed(model, encoded), targets, strength=options.head_strength, balanced=balanced)

    batch_size = min(options.batch_size, len(train))  # more would compare texts with themselves
    contrastive = replace(
        training,
        epochs=1,
        batch_size=batch_size,
        learning_rate=options.learning_rate,
        early_stopping_patience=0,
    )
    return fit(
        paired,
        list(train),
        list(validation),
        replace(fitting, config=contrastive, last_is_best=True),
        order=PairOrder(targets, batch_size=batch_size, steps=options.steps, seed=training.seed),
        collate=collate,
        loss=loss,
        callbacks=[HeadFitting(network, head)],
    )


def few_labels_line(targets: NDArray[Any], task: Task, config: Config) -> str:
    """A line for the terminal where the rarest class has few training texts; empty otherwise."""
    if not task.one_of_classes or config.few_shot.enabled:
        return ""
    fewest = int(np.bincount(targets).min())
    if fewest >= FEW_LABELS:
        return ""
    return (
        f"note: the rarest class has {fewest} training texts; below about {FEW_LABELS} a recipe for few labels does "
        "better: [few_shot] enabled = true (explicate curve shows what it and more labels would buy)"
    )
