"""Forbidden words: the answer shall not depend on which word of a list is in a text. Counterfactual logit pairing.

E |f(x) − f(x′)|, f the centred logits and x′ the text with each forbidden word swapped for another of its list (Garg
and others: Counterfactual fairness in text classification through robustness, AIES 2019). Rows without such a word cost
nothing. Leaving the words out would not do: others tell of them.

`forbidden` of a table are columns, which are that kind's business.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol  # Any: configs of any kind, encodings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explicate.errors import UsageError
from explicate_bundle.players.word_swaps import Swaps
from explicate_training.config.sections import Names, option
from explicate_training.interpretability.term import LossTerm, Prepared, Step, Term
from explicate_training.interpretability.texts.word_lists import read_word_lists
from explicate_training.tasks.task import Loss

OPTION = "interpretability.forbidden"
_OF_COLUMNS = "table"  # the kind whose key it is, too
_SWAPS = 4  # of a row, at most; each step takes one of them
_PLACE = "swapped"  # of a training row among those with swaps, in a batch; -1 of others

Texts = Sequence[str]


class PreparedTexts(Prepared, Protocol):
    """A run on texts."""

    def encoded(self, rows: Sequence[Texts]) -> list[dict[str, list[int]]]:
        """The model's inputs for texts of no split, not padded."""

    def padded(self, rows: Sequence[Mapping[str, list[int]]]) -> dict[str, Tensor]:
        """A batch of them."""

    def logits(self, rows: Sequence[Texts]) -> NDArray[np.float32]:
        """What the model answers to texts as it is, float32 [rows, outputs], as the loss has it."""


@dataclass(frozen=True)
class ForbiddenWords(Term):
    """Texts and their swaps are answered alike."""

    name = "forbidden_words"
    title = "gap between the answers to texts and to the same with forbidden words swapped, in logits"
    about = "the answer shall be the same whichever word of a list is in a text"
    kinds = ("text",)

    forbidden: Names = option(  # noqa: RUF009 - a tuple
        (),
        "what the label must not depend on: columns of a table; of texts words, which are swapped for each other, or "
        "files with a list of them",
    )
    forbidden_weight: float = option(1.0, "texts: weight of answering alike after a swap", minimum=0, maximum=1000)

    @property
    def active(self) -> bool:
        """Whether anything is forbidden."""
        return bool(self.forbidden)

    def check(self, config: Any) -> None:
        """Whether the model reads something with words, or columns."""
        if config.kind not in (*self.kinds, _OF_COLUMNS):
            raise UsageError(
                f"{OPTION} is for words of texts and columns of tables, not for {config.data.counted}: leave it out"
            )

    def start(self, run: Any, loss: Loss) -> LossTerm | None:  # noqa: ARG002
        """Raises UsageError when a list cannot be read, or has a single word."""
        lists = read_word_lists(self.forbidden, OPTION)
        swaps, train = Swaps(lists), run.splits.train.texts.tolist()
        found = [_drawn(swaps, texts, run.config.training.seed, place) for place, texts in enumerate(train)]
        count, words = sum(map(bool, found)), len({word for of_list in lists for word in of_list})
        run.say(f"forbidden words: {count:,} of {len(train):,} training texts have one of {words:,}")
        self.measure(run, "before")
        if not count:
            told = f"none of the {words:,} forbidden words is in the {len(train):,} training texts"
            run.warn(f"{told}, so nothing is paired: check their language, or leave {OPTION} out")
            run.say(f"note: {run.report['warnings'][-1]}")
            return None
        return SwappedTexts(self.forbidden_weight, [run.encoded(rows) if rows else [] for rows in found], run.padded)

    def after(self, run: Any) -> None:
        """The gap and the flips on validation rows, beside what they were before the training."""
        self.measure(run, "after")

    def told(self, figures: Mapping[str, Any]) -> str:
        """How far swaps move the answer, before the training and after it."""
        before, after = figures["before"], figures["after"]
        if after["gap"] is None:
            return "no validation text has a forbidden word, so the gap is not measured"
        flips = ""
        if after["flips"] is not None:
            flips = f", and {after['flips']:.1%} of the swaps flip it ({before['flips']:.1%} before)"
        return (
            f"a forbidden word swapped for another of its list moves answers to {after['rows']:,} validation texts by "
            f"{after['gap']:.3f} logits on average ({before['gap']:.3f} before the training){flips}"
        )

    def measure(self, run: Any, when: str) -> None:
        """Adds the figures of the model as it is, "before" or "after", to those of the run."""
        swaps = Swaps(read_word_lists(self.forbidden, OPTION))
        found = gap_and_flips(run, swaps, run.splits.validation.texts.tolist(), run.config.training.seed)
        run.term_figures.setdefault(self.name, {})[when] = found


class SwappedTexts(LossTerm):
    """The gap between the answers to rows and to one of their swaps each."""

    def __init__(self, weight: float, swaps: Sequence[Sequence[Mapping[str, list[int]]]], padded: Any) -> None:
        """`swaps` are the encoded swaps of each training row, none of rows without a forbidden word."""
        self.weight = weight
        self._swaps = [one for one in swaps if one]
        places = iter(range(len(self._swaps)))
        self._places = [np.array([next(places) if one else -1]) for one in swaps]
        self._padded = padded

    def columns(self) -> Mapping[str, Sequence[NDArray[Any]]]:
        return {_PLACE: self._places}

    def loss(self, step: Step) -> Tensor | None:
        """Of the rows of the step with a swap; None where there are none."""
        places = step.batch[_PLACE][:, 0]
        rows = (places >= 0).nonzero().flatten()
        if not len(rows):
            return None
        chosen = [self._swaps[place] for place in places[rows].tolist()]
        drawn = [swaps[int(step.stream.integers(len(swaps)))] for swaps in chosen]
        inputs = {name: values.to(rows.device) for name, values in self._padded(drawn).items()}
        swapped = step.model(**inputs)["logits"].float()
        return gaps(step.task.centred(self._whole(step, rows)), step.task.centred(swapped)).mean()

    @staticmethod
    def _whole(step: Step, rows: Tensor) -> Tensor:
        """The answers to the whole rows: those that the loss saw whole are known."""
        known = step.present[rows].all(dim=1)
        answers = step.logits[rows].clone()
        if not known.all():
            others = rows[~known]
            answers[~known] = step.answers(others, torch.ones_like(step.present[others]))
        return answers


def gaps(answers: Tensor, swapped: Tensor) -> Tensor:
    """|f(x) − f(x′)| of each row, the mean over outputs, float [rows]; both float [rows, outputs]."""
    return (answers - swapped).abs().mean(dim=1)


def gap_and_flips(run: Any, swaps: Swaps, rows: Sequence[Texts], seed: int) -> dict[str, Any]:
    """The mean gap over rows with a forbidden word, and the share of their swaps that flip the answer.

    None where no row has one; flips are None of a regression, too.
    """
    found = [(texts, _drawn(swaps, texts, seed, place)) for place, texts in enumerate(rows)]
    pairs = [(texts, swap, 1 / len(own)) for texts, own in found for swap in own]
    if not pairs:
        return {"rows": 0, "gap": None, "flips": None}
    whole, swapped = run.logits([texts for texts, _, _ in pairs]), run.logits([swap for _, swap, _ in pairs])
    weights = np.array([weight for _, _, weight in pairs])  # each row counts once
    centred = [run.task.centred(torch.from_numpy(one)) for one in (whole, swapped)]
    decided = [run.task.decided(one) for one in (whole, swapped)]
    return {
        "rows": sum(1 for _, own in found if own),
        "gap": float(np.average(gaps(*centred).numpy(), weights=weights)),
        "flips": None if decided[0] is None else float(np.average(_differ(*decided), weights=weights)),
    }


def _differ(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.bool_]:
    differ = np.asarray(first != second).reshape(len(first), -1)
    return np.asarray(differ.any(axis=1))


def _drawn(swaps: Swaps, texts: Texts, seed: int, place: int) -> list[tuple[str, ...]]:
    """Some swaps of a row, a function of the seed and its place alone."""
    return swaps.several(texts, _SWAPS, np.random.Generator(np.random.Philox([seed, place])))
