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

from explicate_training.tasks.task import baseline_loss

_STRENGTHS = (1.0, 10.0)
_MOST_FEATURES, _MOST_ROWS = 50_000, 20_000
_FEWEST_WORDS = 2  # of a text, on average; below it words are not what spaces separate
_MOST_STEPS = 500


@dataclass(frozen=True)
class WeighedTexts:
    """Texts as TF-IDF weights with their targets."""

    weights: Any  # sparse float64 [rows, features]
    targets: NDArray[Any]  # as the task gives them


def weigh(rows: Mapping[str, Sequence[Sequence[str]]], targets: Mapping[str, NDArray[Any]]) -> list[WeighedTexts]:
    """The "train", "validation" and "test" rows of one text or two; the training rows say what is frequent."""
    train = [text for row in rows["train"] for text in row]
    words = sum(len(text.split()) for text in train) / len(train)
    how: dict[str, Any] = {"ngram_range": (1, 2), "token_pattern": r"\w+"}
    if words < _FEWEST_WORDS:
        how = {"ngram_range": (1, 3), "analyzer": "char"}
    vectorizer = TfidfVectorizer(sublinear_tf=True, max_features=_MOST_FEATURES, **how)
    try:
        vectorizer.fit(train)
    except ValueError:  # not one word in them
        vectorizer = TfidfVectorizer(analyzer="char").fit(train)
    return [WeighedTexts(_weights(vectorizer, rows[name]), targets[name]) for name in ("train", "validation", "test")]


def _weights(vectorizer: Any, rows: Sequence[Sequence[str]]) -> Any:
    """Those of the texts, and of a pair also what both have in common."""
    parts = [vectorizer.transform(column) for column in zip(*rows, strict=True)]
    return sparse.hstack([*parts, *([parts[0].multiply(parts[1])] if len(parts) == 2 else [])]).tocsr()


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
