"""What a tree may ask of rows, each as a condition in the language of slices: thresholds, categories, words.

It knows no kinds of data, only what rows tell of themselves by name: numbers, true or false, short lists of categories,
and texts, of which it asks whether they have a word.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # cells of any type

import numpy as np
from numpy.typing import NDArray

from explicate.scoring.conditions.row_rules import quoted_name, quoted_text, with_a_word

Fields = Mapping[str, Sequence[Any]]
"""What rows tell of themselves, by name: the value of each row, None where it has none."""

NEGATION = ("not", "no", "never", "n't", "cannot")
_TEXTS = ("text", "text_pair")
_MOST_CATEGORIES, _MOST_VALUES = 15, 60
_MOST_WORDS = 40
_WORD = re.compile(r"(?<!['’\w])\w+")  # not the t of "isn't"


@dataclass(frozen=True)
class Feature:
    """A question to rows.

    values: float64 [rows], of a yes or no 1 or 0, of a number below all others where it is missing.
    condition: of a yes or no what it asks; of a number its name.
    whole: of a number, whether it is whole. missing: whether some rows lack it.
    """

    values: NDArray[np.float64]
    condition: str
    number: bool = False
    whole: bool = False
    missing: bool = False
    opposite: str = ""  # of a yes or no the condition of the others


def features_of(fields: Fields, errors: NDArray[np.float64], *, fewest: int) -> list[Feature]:
    """The questions to rows whose errors float64 [rows] are known; yes or no of `fewest` rows and more each."""
    found = [
        feature
        for name, values in fields.items()
        if name not in _TEXTS
        for feature in _of_column(name, values, fewest=fewest)
    ]
    found += _of_words(fields, errors, fewest=fewest) if "text" in fields else []
    return [feature for feature in found if feature.values.min() < feature.values.max()]


def _of_column(name: str, values: Sequence[Any], *, fewest: int) -> Iterator[Feature]:
    known = [value for value in values if value is not None]
    quoted = quoted_name(name)
    if not known:
        return
    if all(isinstance(value, bool) for value in known):
        yes = np.array([value is True for value in values], dtype=np.float64)
        yield Feature(yes, f"{quoted} == true", opposite=f"({quoted} == false or {quoted} is null)")
    elif all(isinstance(value, int | float) for value in known):
        least = min(known)
        numbers = np.array([least - 1.0 if value is None else value for value in values], dtype=np.float64)
        whole = all(float(value).is_integer() for value in known)
        yield Feature(numbers, quoted, number=True, whole=whole, missing=len(known) < len(values))
    elif all(isinstance(value, str) for value in known):
        counts = Counter(known)
        if len(counts) > _MOST_VALUES:
            return  # a text of its own in each row
        for value, count in counts.most_common(_MOST_CATEGORIES):
            if count >= fewest:
                same = np.array([one == value for one in values], dtype=np.float64)
                written = quoted_text(value)
                yield Feature(same, f"{quoted} == {written}", opposite=f"({quoted} != {written} or {quoted} is null)")


def _of_words(fields: Fields, errors: NDArray[np.float64], *, fewest: int) -> Iterator[Feature]:
    """Negation, and the words whose rows' errors differ most from those of the others."""
    yield _with_words(NEGATION, fields)
    texts = [
        " ".join(map(str, of_row)) for of_row in zip(*(fields[one] for one in _TEXTS if one in fields), strict=True)
    ]
    rows_of: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        for word in set(_WORD.findall(text.casefold())):
            rows_of.setdefault(word, []).append(row)
    spread = float(errors.std()) or 1.0
    scores = {
        word: abs(errors[rows].mean() - errors.mean()) / spread * np.sqrt(len(rows) * (1 - len(rows) / len(errors)))
        for word, rows in rows_of.items()
        if fewest <= len(rows) <= len(errors) - fewest
    }
    for word in sorted(scores, key=lambda word: (-scores[word], word))[:_MOST_WORDS]:
        yield _with_words((word,), fields)


def _with_words(words: Sequence[str], fields: Fields) -> Feature:
    condition = f"any_word({', '.join(words)})"
    has = np.array(with_a_word(words, fields), dtype=np.float64)
    return Feature(has, condition, opposite=f"not {condition}")
