"""How many planted wrong labels `explicate labels` finds: 10 % of the food reviews' labels are turned, five times over.

The labels of the training and validation reviews are turned at random, the suspects are looked for as the command looks
for them, and the first 500 of the list are held against what was planted: precision is the share of them that are
planted, recall the share of the planted ones that are among them. By chance the first is the planted share, the second
500 over all. The labels of real reviews are wrong, too, or hard, so the precision told is a lower bound. Intervals are
95 % of Student's t over the seeds. What doubts is TF-IDF with a logistic regression of two strengths, and a logistic
regression on the features of MiniLM as it comes, which has seen none of the labels.

    python -m benchmarks.label_quality            all of it, 6 minutes of CPU
    python -m benchmarks.label_quality --seeds 2 --without-encoder
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from explicate_training.config.config_file import load_config
from explicate_training.label_review.label_model import FittedLabels, LabelModel, Reason, Rows
from explicate_training.label_review.out_of_fold import FOLDS, folds_of, kept_together, out_of_fold
from explicate_training.label_review.suspects import find_suspects
from explicate_training.text import tfidf
from explicate_training.text.model import load_text_model
from explicate_training.train import prepare_data

_PLANTED, _FIRST = 0.10, 500


class FeatureLabels(LabelModel):
    """A logistic regression on the features of an encoder."""

    name = "MiniLM and a logistic regression"

    def __init__(self, features: NDArray[np.floating[Any]], targets: NDArray[Any], strength: float) -> None:
        self.features, self.targets, self.strength = StandardScaler().fit_transform(features), targets, strength

    def fit(self, rows: Rows) -> FittedLabels:
        model = LogisticRegression(C=self.strength, max_iter=500)
        return _Fitted(self.features, model.fit(self.features[rows], self.targets[rows]))


class _Fitted(FittedLabels):
    def __init__(self, features: Any, model: Any) -> None:
        self._features, self._model = features, model

    def probabilities(self, rows: Rows) -> NDArray[np.float64]:
        return np.asarray(self._model.predict_proba(self._features[rows]))

    def reasons(self, row: int, given: int, suggested: int) -> list[Reason]:  # noqa: ARG002 - nobody reads them
        return []


class LinearOfStrength(tfidf.LinearLabels):
    """The command's own model, of another strength."""

    def __init__(self, rows: Sequence[Sequence[str]], targets: NDArray[Any], classes: int, strength: float) -> None:
        super().__init__(rows, targets, classes)
        self.strength = strength

    def fit(self, rows: Rows) -> FittedLabels:
        model = LogisticRegression(C=self.strength, max_iter=500)
        return _Fitted(self.weights, model.fit(self.weights[rows], self.targets[rows]))


def planted(targets: NDArray[Any], classes: int, seed: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Targets of which a tenth are another class each, and which they are."""
    stream = np.random.Generator(np.random.Philox(seed))
    wrong = np.zeros(len(targets), dtype=bool)
    wrong[stream.permutation(len(targets))[: round(_PLANTED * len(targets))]] = True
    moved = (targets + stream.integers(1, classes, len(targets))) % classes
    return np.where(wrong, moved, targets), wrong


def first_suspects(targets: NDArray[Any], probabilities: NDArray[np.float64]) -> list[int]:
    """The list of the command, and behind it, where that is shorter, the other rows by their margin."""
    listed = [one.row for one in find_suspects(targets, probabilities)]
    scores = get_label_quality_scores(targets, probabilities, method="normalized_margin")
    known = set(listed)
    return [*listed, *(row for row in np.argsort(scores).tolist() if row not in known)][:_FIRST]


def _quietly(*_: object) -> None:
    """Tells nobody."""


def models(
    texts: Sequence[Sequence[str]], targets: NDArray[Any], classes: int, features: NDArray[np.floating[Any]] | None
) -> Iterator[tuple[str, LabelModel]]:
    """What doubts, by name."""
    for strength in (1.0, 10.0):
        yield f"TF-IDF, strength {strength:g}", LinearOfStrength(texts, targets, classes, strength)
    if features is not None:
        for strength in (0.01, 0.1):
            yield f"MiniLM, strength {strength:g}", FeatureLabels(features, targets, strength)


def told(name: str, figures: Mapping[str, Sequence[float]]) -> str:
    """A line of the table: means over the seeds with their intervals."""
    cells = []
    for values in figures.values():
        mean, count = float(np.mean(values)), len(values)
        half = float(student.ppf(0.975, count - 1) * np.std(values, ddof=1) / np.sqrt(count)) if count > 1 else np.nan
        cells.append(f"{mean:.3f} [{mean - half:.3f}, {mean + half:.3f}]")
    return f"{name:<22}" + "".join(f"{cell:>24}" for cell in cells)


def main() -> None:
    """Plants, looks and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--without-encoder", action="store_true")
    arguments = parser.parse_args()
    run = prepare_data(load_config("food-reviews"), _quietly)
    parts = ("train", "validation")
    texts = [row for name in parts for row in run.splits.by_name()[name].texts.tolist()]
    clean = np.concatenate([run.targets[name] for name in parts])
    classes, features = len(run.labels), None
    if not arguments.without_encoder:
        begin_s = time.process_time()
        encoder = load_text_model(run.config.model, run.labels, seed=0, problem_type=run.task.problem_type)
        features = encoder.features(texts)
        print(f"features of {len(texts):,} texts: {time.process_time() - begin_s:.0f} s of CPU", file=sys.stderr)
    figures: dict[str, dict[str, list[float]]] = {}
    for seed in range(arguments.seeds):
        targets, wrong = planted(clean, classes, seed)
        fold = folds_of(targets, kept_together(texts, None), folds=FOLDS, seed=seed)
        for name, model in models(texts, targets, classes, features):
            begin_s = time.process_time()
            answers = out_of_fold(model, targets, fold, classes=classes, told=_quietly)
            found = wrong[first_suspects(targets, answers.probabilities)]
            of = figures.setdefault(name, {"precision": [], "recall": [], "cpu": []})
            of["precision"].append(float(found.mean()))
            of["recall"].append(float(found.sum() / wrong.sum()))
            of["cpu"].append(time.process_time() - begin_s)
            print(f"seed {seed}, {name}: {of['precision'][-1]:.3f}, {of['recall'][-1]:.3f}", file=sys.stderr)
    print(f"{'the first 500 of':<22}{'precision':>24}{'recall':>24}{'CPU seconds':>24}")
    for name, values in figures.items():
        print(told(name, values))
    share = round(_PLANTED * len(clean)) / len(clean)
    print(f"{'chance':<22}{share:>24.3f}{_FIRST / len(clean):>24.3f}")


if __name__ == "__main__":
    main()
