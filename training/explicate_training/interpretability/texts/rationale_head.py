"""Rationales: the encoder learns, beside the label, which words people or a lexicon hold responsible for it.

A linear head on the encoder's last states, the tokens of each word pooled by their mean, is trained by binary
cross-entropy; positive words weigh as much as all others together. The encoder is shared, the head is not kept: the
model is that of a run without rationales. A few rationales or a lexicon of the task suffice (Joshi and others: ER-Test,
EMNLP 2022 Findings).

What the head says is no explanation, and guidance can be gamed (Ferreira and others, COLING 2025): whether the model
rests on the words is measured with Shapley values of the exported model, `plausibility` of `explicate evaluate`, for
which held_out.jsonl has the rationales of its rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol  # Any: configs of any kind, models of transformers

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.nn import functional

from explicate.errors import UsageError
from explicate_training.config.sections import option
from explicate_training.interpretability.term import LossTerm, Prepared, Step, Term
from explicate_training.interpretability.texts.marks import OPTION, Marks, RationaleColumn, player_targets
from explicate_training.interpretability.texts.word_lists import names_file
from explicate_training.tasks.task import Loss

_OWNERS = "players"  # of each token its word, in what a model of texts reads
_TARGETS = "rationale"  # of each word how much it counts, in a training batch
_UNTOLD = -1.0  # of a word of a row without a rationale
_MOST_WEIGHT = 100.0  # of positive words, where they are rarer than one in so many
_TOGETHER = 64
_SEED = 20_220_501  # of the head's first weights


class PreparedTexts(Prepared, Protocol):
    """A run on texts."""

    def rationales(self, split: str) -> Sequence[Marks | None]:
        """What the rationale of each row of a split names; None of a row without."""

    def word_spans(self, split: str) -> list[list[tuple[int, int, int]]]:
        """Of each row its words as the model reads them: which text, start and stop."""

    def batch_of(self, name: str, rows: Sequence[int]) -> Mapping[str, Tensor]:
        """Some rows of a split as the model reads them, with the word of each token."""


@dataclass(frozen=True)
class Rationales(Term):
    """The encoder is told which words count."""

    name = "rationales"
    title = "cross-entropy of the words that rationales name"
    about = "the encoder learns, beside the label, which words people or a lexicon hold responsible for it"

    rationales: str = option(
        "",
        "texts: a column of words or spans (a JSON list, or words with rationale_separator between), or a lexicon file "
        "(a word, a tab and a weight in each line)",
    )
    rationale_separator: str = option(",", "what stands between the words of a cell that is no JSON list")
    rationale_weight: float = option(0.5, "weight of learning which words count", minimum=0, maximum=1000)

    @property
    def active(self) -> bool:
        """Whether there are any."""
        return bool(self.rationales)

    def column(self) -> RationaleColumn | None:
        """The column with the rationales; None where a lexicon has them, or nothing."""
        if not self.rationales or names_file(self.rationales):
            return None
        return RationaleColumn(self.rationales, self.rationale_separator)

    def check(self, config: Any) -> None:
        """Whether the model reads texts, and a column can be there."""
        if config.kind != "text":
            raise UsageError(f"{OPTION} is for texts, and this is a model of {config.data.counted}: leave it out")
        if not self.rationale_separator:
            raise UsageError("interpretability.rationale_separator must not be empty: give what stands between words")
        if config.data.demo and self.column():
            raise UsageError(
                f"{OPTION}: the demo set {config.data.demo} has no column {self.rationales!r}: give a lexicon file"
            )

    def start(self, run: Any, loss: Loss) -> LossTerm:  # noqa: ARG002
        """Raises UsageError when no training row has a rationale."""
        prepared: PreparedTexts = run
        targets = word_targets(prepared, "train")
        known = [one for one in targets if one is not None]
        if not known:
            raise UsageError(f"{OPTION}: no training text has a rationale in {self.rationales!r}: give some")
        if not any((one == 0).any() for one in known):
            raise UsageError(f"{OPTION}: the rationales name every word that the model reads: name those that count")
        run.say(
            f"rationales: {len(known):,} of {len(targets):,} training texts have one, which names "
            f"{np.mean([(one > 0).mean() for one in known]):.0%} of their words"
        )
        size = int(run.network.config.hidden_size)
        return RationaleHead(self.rationale_weight, targets, prepared.word_spans("train"), size)

    def after(self, run: Any) -> None:
        """How well the head finds the words of the validation rows' rationales, before it is dropped."""
        run.term_figures[self.name] = head_agreement(run.step_loss.terms[self.name], run)

    def told(self, figures: Mapping[str, Any]) -> str:
        """How well the head finds the words, and what that does not say."""
        if figures["auprc"] is None:
            return "no validation text has a rationale that leaves a word out, so the head is not measured"
        return (
            f"the head, which is not kept, finds the words that the rationales of {figures['rows']:,} validation texts "
            f"name with AUPRC {figures['auprc']:.3f} ({figures['prevalence']:.3f} by chance); whether the model's own "
            "answers rest on them is for explicate evaluate to say, as plausibility"
        )


class RationaleHead(LossTerm):
    """The head and its loss."""

    hidden_states = True

    def __init__(
        self,
        weight: float,
        targets: Sequence[NDArray[np.float32] | None],
        words: Sequence[Sequence[Any]],
        hidden_size: int,
    ) -> None:
        """`targets` are of the words of each row; None of a row without a rationale."""
        self.weight = weight
        self._targets = [
            np.full(len(own), _UNTOLD, dtype=np.float32) if one is None else one
            for one, own in zip(targets, words, strict=True)
        ]
        told = np.concatenate([one for one in targets if one is not None])
        self.positive_weight = min(float((1 - told).sum() / max(told.sum(), 1e-6)), _MOST_WEIGHT)
        with torch.random.fork_rng(devices=[]):  # so that a run's other draws are those of a run without
            torch.manual_seed(_SEED)
            self.head = nn.Linear(hidden_size, 1)
        self.module = self.head

    def columns(self) -> Mapping[str, Sequence[NDArray[Any]]]:
        return {_TARGETS: self._targets}

    def loss(self, step: Step) -> Tensor | None:
        """Mean binary cross-entropy over the words that are shown, of rows with a rationale."""
        logits, wanted = [], []
        for shown in step.shown:
            targets = step.batch[_TARGETS][shown.rows]
            scores, there = self.scores(shown.outputs["hidden_states"][-1], shown.inputs[_OWNERS], targets.shape[1])
            told = there & (targets >= 0)
            logits.append(scores[told])
            wanted.append(targets[told])
        if not sum(map(len, wanted)):
            return None
        return functional.binary_cross_entropy_with_logits(
            torch.cat(logits), torch.cat(wanted), pos_weight=torch.tensor(self.positive_weight, device=logits[0].device)
        )

    def scores(self, states: Tensor, owners: Tensor, words: int) -> tuple[Tensor, Tensor]:
        """The head's logits of words float [rows, words], and which words are there bool [rows, words].

        `states` float [rows, tokens, hidden], `owners` int64 [rows, tokens], below 0 for tokens of no word.
        """
        place = torch.where(owners < 0, words, owners)
        counts = torch.zeros((len(owners), words + 1), device=states.device)
        counts.scatter_add_(1, place, torch.ones_like(place, dtype=counts.dtype))
        sums = torch.zeros((len(owners), words + 1, states.shape[2]), device=states.device)
        sums = sums.scatter_add(1, place[:, :, None].expand(-1, -1, states.shape[2]), states.float())
        means = sums[:, :words] / counts[:, :words, None].clamp(min=1)
        logits: Tensor = self.head(means).squeeze(2)
        return logits, counts[:, :words] > 0


def word_targets(run: PreparedTexts, split: str) -> list[NDArray[np.float32] | None]:
    """How much each word of each row of a split counts, 0 to 1, float32 [words].

    None of a row without a rationale, and of one whose rationale is in a part that the model does not read.
    """
    found = [
        None if marks is None else np.array(player_targets(marks, words), dtype=np.float32)
        for marks, words in zip(run.rationales(split), run.word_spans(split), strict=True)
    ]
    # What a rationale names may be in the part of a text that the model does not read.
    return [None if one is None or not one.any() else one for one in found]


@torch.no_grad()
def head_agreement(head: RationaleHead, run: PreparedTexts) -> dict[str, Any]:
    """The area under the precision-recall curve of the head over the words of validation rows; None if undefined."""
    targets = word_targets(run, "validation")
    scores: list[NDArray[np.float32]] = []
    model: Any = run.network
    model.train(False)
    head.head.train(False).to(model.device)
    for start in range(0, len(targets), _TOGETHER):
        batch = run.batch_of("validation", range(start, min(start + _TOGETHER, len(targets))))
        owners = batch[_OWNERS].to(model.device)
        inputs = {name: values.to(model.device) for name, values in batch.items() if name != _OWNERS}
        states = model(**inputs, output_hidden_states=True)["hidden_states"][-1]
        logits, _ = head.scores(states, owners, int(owners.max()) + 1)
        counts = (owners.amax(dim=1) + 1).tolist()
        scores += [row[:count] for row, count in zip(logits.cpu().numpy(), counts, strict=True)]
    told = [(one > 0, row) for one, row in zip(targets, scores, strict=True) if one is not None]
    named = np.concatenate([one for one, _ in told]) if told else np.zeros(0, dtype=bool)
    if not 0 < named.sum() < len(named):
        return {"rows": len(told), "auprc": None, "prevalence": None}
    area = average_precision_score(named, np.concatenate([row for _, row in told]))
    return {"rows": len(told), "auprc": float(area), "prevalence": float(named.mean())}
