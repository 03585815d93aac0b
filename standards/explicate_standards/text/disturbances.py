"""Edits of texts that leave the right answer as it is, as people make them: typos, case, punctuation, contractions."""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from explicate_bundle.model_inputs import ModelInput, TextInput
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.outcomes.robustness import Disturb

_WORDS_OF_A_TYPO = 8
_SHORTEST_TYPO = 4  # letters of a word that is still read with a typo in it
_WORD = re.compile(r"\w+")
_CONTRACTED = {
    "do not": "don't", "does not": "doesn't", "did not": "didn't", "is not": "isn't", "are not": "aren't",
    "was not": "wasn't", "were not": "weren't", "will not": "won't", "would not": "wouldn't", "can not": "can't",
    "cannot": "can't", "could not": "couldn't", "should not": "shouldn't", "has not": "hasn't", "have not": "haven't",
    "had not": "hadn't", "it is": "it's", "that is": "that's", "i am": "i'm", "i have": "i've", "i will": "i'll",
    "you are": "you're", "they are": "they're", "we are": "we're",
}  # fmt: skip
_WHOLE = {short: whole for whole, short in _CONTRACTED.items() if whole != "can not"}
_EITHER = {**_CONTRACTED, **_WHOLE}
_CONTRACTION = re.compile("|".join(rf"(?<!\w){re.escape(each)}(?!\w)" for each in _EITHER), re.IGNORECASE)

Change = Callable[[str, np.random.Generator], str]


def _disturbed(change: Change) -> Disturb:
    def disturb(_model: EvaluatedModel, value: ModelInput, generator: np.random.Generator) -> Sequence[ModelInput]:
        assert isinstance(value, TextInput)
        return [TextInput(*(change(text, generator) for text in value.texts))]

    return disturb


def typos(text: str, generator: np.random.Generator) -> str:
    """A typo in one of eight words, and in one at least: a letter left out, doubled, or changed for its neighbour."""
    words = [match for match in _WORD.finditer(text) if sum(map(str.isalpha, match[0])) >= _SHORTEST_TYPO]
    if not words:
        return text
    count = min(len(words), max(1, round(len(_WORD.findall(text)) / _WORDS_OF_A_TYPO)))
    chosen = sorted(generator.choice(len(words), count, replace=False).tolist(), reverse=True)
    for place in chosen:
        start, end = words[place].span()
        text = text[:start] + _typo(text[start:end], generator) + text[end:]
    return text


def _typo(word: str, generator: np.random.Generator) -> str:
    place = int(generator.integers(1, len(word) - 1))
    match int(generator.integers(3)):
        case 0:
            return word[:place] + word[place + 1 :]
        case 1:
            return word[:place] + word[place] + word[place:]
        case _:
            return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def case(text: str, generator: np.random.Generator) -> str:
    """All in capitals, or none at all."""
    return text.upper() if generator.random() < 0.5 else text.lower()


def punctuation(text: str, _generator: np.random.Generator) -> str:
    """No punctuation but apostrophes within words."""
    without = re.sub(r"(?<!\w)['\u2019]|['\u2019](?!\w)|[^\w\s'\u2019]", " ", text)
    return re.sub(r"\s+", " ", without).strip() or text


def contractions(text: str, _generator: np.random.Generator) -> str:
    """Contracted words written out, and those that can be contracted so."""

    def other(match: re.Match[str]) -> str:
        changed = _EITHER[match[0].lower()]
        return changed[0].upper() + changed[1:] if match[0][0].isupper() else changed

    return _CONTRACTION.sub(other, text)


DISTURBANCES: Mapping[str, Disturb] = {
    "typos": _disturbed(typos),
    "case": _disturbed(case),
    "punctuation": _disturbed(punctuation),
    "contractions": _disturbed(contractions),
}
