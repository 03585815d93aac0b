"""A linear model of TF-IDF weights: what a fine-tuned encoder of texts must be measured against.

Words and pairs of words, or where texts have no spaces between words groups of characters. It gets its chance: of a few
strengths of regularisation the validation rows choose, as they choose the encoder's checkpoint.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # sparse matrices; scikit-learn's estimators; targets of any number type

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from explicate_training.label_review.label_model import FittedLabels, LabelModel, Reason, Rows, spread, strongest
from explicate_training.tasks.task import baseline_loss

_STRENGTHS = (1.0, 10.0)
_MOST_FEATURES, _MOST_ROWS = 50_000, 20_000
_FEWEST_WORDS = 2  # of a text, on average; below it words are not what spaces separate
_MOST_STEPS = 500
_LABELS_STRENGTH = 1.0


@dataclass(frozen=True)
class WeighedTexts:
    """Texts as TF-IDF weights with their targets."""

    weights: Any  # sparse float64 [rows, features]
    targets: NDArray[Any]  # as the task gives them


def weigh(rows: Mapping[str, Sequence[Sequence[str]]], targets: Mapping[str, NDArray[Any]]) -> list[WeighedTexts]:
    """The "train", "validation" and "test" rows of one text or two; the training rows say what is frequent."""
    vectorizer = _vectorizer([text for row in rows["train"] for text in row])
    return [WeighedTexts(_weights(vectorizer, rows[name]), targets[name]) for name in ("train", "validation", "test")]


def _vectorizer(train: Sequence[str]) -> Any:
    words = sum(len(text.split()) for text in train) / len(train)
    how: dict[str, Any] = {"ngram_range": (1, 2), "token_pattern": r"\w+"}
    if words < _FEWEST_WORDS:
        how = {"ngram_range": (1, 3), "analyzer": "char"}
    vectorizer = TfidfVectorizer(sublinear_tf=True, max_features=_MOST_FEATURES, **how)
    try:
        return vectorizer.fit(train)
    except ValueError:  # not one word in them
        return TfidfVectorizer(analyzer="char").fit(train)


def _weights(vectorizer: Any, rows: Sequence[Sequence[str]]) -> Any:
    """Those of the texts, and of a pair also what both have in common."""
    parts = [vectorizer.transform(column) for column in zip(*rows, strict=True)]
    return sparse.hstack([*parts, *([parts[0].multiply(parts[1])] if len(parts) == 2 else [])]).tocsr()


class LinearLabels(LabelModel):
    """TF-IDF and a logistic regression, to doubt labels by. What is frequent is counted over all rows: no label is."""

    name = "TF-IDF and a logistic regression"

    def __init__(self, rows: Sequence[Sequence[str]], targets: NDArray[Any], classes: int) -> None:
        vectorizer = _vectorizer([text for row in rows for text in row])
        self.weights, self.targets, self.classes = _weights(vectorizer, rows), targets, classes
        words = vectorizer.get_feature_names_out().tolist()
        texts = ["", "2nd text: ", "both: "] if len(rows[0]) == 2 else [""]
        self.words = [f"{text}{word}" for text in texts for word in words]

    def fit(self, rows: Rows) -> FittedLabels:
        return _FittedLinearLabels(
            self, _model(_LABELS_STRENGTH, self.classes).fit(self.weights[rows], self.targets[rows])
        )


class _FittedLinearLabels(FittedLabels):
    def __init__(self, of: LinearLabels, model: Any) -> None:
        self._of, self._model = of, model

    def probabilities(self, rows: Rows) -> NDArray[np.float64]:
        return spread(self._model.predict_proba(self._of.weights[rows]), self._model.classes_, self._of.classes)

    def reasons(self, row: int, given: int, suggested: int) -> list[Reason]:
        """The words' exact parts of the log-odds of the linear model."""
        weights = self._of.weights[[row]]
        difference = self._coefficients(suggested) - self._coefficients(given)
        return strongest(
            [self._of.words[place] for place in weights.indices], weights.data * difference[weights.indices]
        )

    def _coefficients(self, label: int) -> NDArray[np.float64]:
        known, coefficients = self._model.classes_.tolist(), self._model.coef_
        if label not in known:
            return np.zeros(coefficients.shape[1])
        if len(known) == 2:
            return np.asarray(coefficients[0] * (known.index(label) - 0.5))
        return np.asarray(coefficients[known.index(label)])


def linear_outputs(
    train: WeighedTexts, validation: WeighedTexts, test: WeighedTexts, *, classes: int
) -> dict[str, NDArray[np.float64]]:
    """What the best linear model answers on "validation" and "test": log-probabilities float64 [rows, classes].

    Without classes it answers values [rows, 1].
    """
    rows = np.linspace(0, len(train.targets) - 1, min(len(train.targets), _MOST_ROWS)).astype(int)
    weights, targets = train.weights[rows], train.targets[rows]
    fitted = [_model(strength, classes).fit(weights, targets) for strength in _STRENGTHS]
    answers = [_answers(model, validation, classes) for model in fitted]
    best = fitted[int(np.argmin([baseline_loss(one, validation.targets, classes) for one in answers]))]
    return {name: _answers(best, part, classes) for name, part in (("validation", validation), ("test", test))}


def _model(strength: float, classes: int) -> Any:
    return LogisticRegression(C=strength, max_iter=_MOST_STEPS) if classes else Ridge(alpha=1 / strength)


def _answers(model: Any, part: WeighedTexts, classes: int) -> NDArray[np.float64]:
    if not classes:
        return np.asarray(model.predict(part.weights), dtype=np.float64)[:, np.newaxis]
    answers = np.full((part.weights.shape[0], classes), np.log(1e-12))  # of a class that the rows it was fitted to lack
    answers[:, model.classes_] = np.log(np.maximum(model.predict_proba(part.weights), 1e-12))
    return answers
