"""How models of texts are measured: typos and other words for the same as edits, rationales as words or spans."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate_bundle.model_inputs import ModelInput, TextInput, text_figures
from explicate_bundle.players.word_swaps import Swaps
from explicate_server.modalities.modality import TextPlayer
from explicate_standards.evaluated_kind import EvaluatedKind
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.held_out_rows import LabelledInput
from explicate_standards.subject import Subject

RATIONALE = "rationale"
"""The field of a row: a list of words, or of spans [first, end) of code points of the text."""
PAIR_RATIONALE = "rationale_pair"
"""The same of the second text of a pair."""

# Words that say the same in nearly every sentence, and neither of them for or against anything.
_PAIRS = """movie/film big/large begin/start kids/children buy/purchase bought/purchased maybe/perhaps often/frequently
almost/nearly entire/whole everybody/everyone toward/towards though/although truly/really picture/photo shop/store
package/parcel couch/sofa sick/ill little/small moreover/besides need/require speak/talk get/receive"""
_OTHER = dict(pair.split("/")[::way] for pair in _PAIRS.split() for way in (1, -1))
MOST_SWAPS = 5  # of the forbidden words of one text
_STREAM = 4
_SHORTEST_TYPO = 5  # letters of a word in which two may change places and it is still read


class TextKind(EvaluatedKind):
    """Texts and pairs of texts."""

    edits_are = "one word with two letters exchanged, or another word for the same"

    def read(self, line: Mapping[str, Any], model: EvaluatedModel, folder: Path) -> ModelInput | None:  # noqa: ARG002
        """Of "text", and "text_pair" where the model reads pairs."""
        names = ("text", "text_pair") if model.bundle.manifest.text.pairs else ("text",)
        texts = []
        for name in names:
            if not isinstance(line.get(name), str):
                raise UsageError(f'it has no "{name}" that is a text, which this model reads')
            texts.append(line[name])
        # A lone surrogate has no UTF-8 form; no request could hold it.
        return None if any("\ud800" <= c <= "\udfff" for text in texts for c in text) else TextInput(*texts)

    def fields(self, row: LabelledInput) -> Mapping[str, Any]:
        """How long its texts are."""
        assert isinstance(row.value, TextInput)
        return text_figures(row.value.texts)

    def edits(self, subject: Subject, generator: np.random.Generator) -> Iterator[ModelInput]:
        """One word changed in each, in an order drawn at random."""
        value = subject.row.value
        assert isinstance(value, TextInput)
        players = [player for player in subject.players if isinstance(player, TextPlayer)]
        for place in generator.permutation(len(players)).tolist():
            player = players[place]
            changed = _changed(player.text, generator)
            if changed is not None:
                texts = list(value.texts)
                (start, end) = player.spans[0]
                text = texts[player.in_pair]
                texts[player.in_pair] = text[:start] + changed + text[end:]
                yield TextInput(*texts)

    def rationale(self, subject: Subject) -> NDArray[np.bool_] | None:
        """Words that share a character with what is named."""
        value, line = subject.row.value, subject.row.line
        assert isinstance(value, TextInput)
        given = [line.get(name) for name in (RATIONALE, PAIR_RATIONALE)][: len(value.texts)]
        if all(one is None for one in given):
            return None
        pairs = zip(given, value.texts, strict=True)
        named = [[] if one is None else rationale_spans(one, text) for one, text in pairs]
        players = [player for player in subject.players if isinstance(player, TextPlayer)]
        return np.array([_touches(player.spans, named[player.in_pair]) for player in players], dtype=np.bool_)

    def claims(self, model: EvaluatedModel) -> bool:
        """Lists of words within which the model answers alike."""
        return bool(model.bundle.manifest.text.forbidden)

    def contradictions(self, subject: Subject) -> Mapping[str, Sequence[bool]]:
        """Of a few texts with the forbidden words swapped for others of their lists, whether the answer flips; nothing
        of a text without such words, nor where nothing is decided.
        """
        value, model = subject.row.value, subject.model
        assert isinstance(value, TextInput)
        decide = model.kind.predicts.decisions
        swaps = Swaps([words.words for words in model.bundle.manifest.text.forbidden])
        swapped = swaps.several(value.texts, MOST_SWAPS, subject.generator(_STREAM))
        inputs = [each for texts in swapped if not model.modality.violations(each := TextInput(*texts), "input")]
        if decide is None or not inputs:
            return {}
        rows = [model.modality.encode(each).row for each in (value, *inputs)]
        before, *after = decide(model.kind.predicts.scores(model.answers(rows)))
        return {"forbidden": [bool(np.any(each != before)) for each in after]}


def rationale_spans(given: object, text: str) -> list[tuple[int, int]]:
    """Where a rationale of words or spans is in a text.

    Raises:
        UsageError: it is neither, or not in the text.
    """
    if not isinstance(given, list):
        raise UsageError(f'its "{RATIONALE}" is not a list of words or of [first, end] spans')
    spans: list[tuple[int, int]] = []
    for each in given:
        if isinstance(each, str) and each:
            found = list(_places(each, text))
            if not found:
                raise UsageError(f'its "{RATIONALE}" names {each[:60]!r}, which is not in its text')
            spans += found
        elif _is_span(each, len(text)):
            spans.append((each[0], each[1]))
        else:
            raise UsageError(f'its "{RATIONALE}" has {repr(each)[:60]}, which is neither a word nor a span of its text')
    return spans


def _is_span(each: object, length: int) -> bool:
    whole = isinstance(each, list) and len(each) == 2 and all(type(end) is int for end in each)
    return whole and isinstance(each, list) and 0 <= each[0] < each[1] <= length


def _places(word: str, text: str) -> Iterator[tuple[int, int]]:
    """Where a word is in a text as a whole word, whatever its case."""
    lower, wanted = text.lower(), word.lower()
    if len(lower) != len(text):  # a letter whose lower case is two would move what comes after it
        lower, wanted = text, word
    start = lower.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        inside = (start and lower[start - 1].isalnum()) or (end < len(lower) and lower[end].isalnum())
        if not inside:
            yield start, end
        start = lower.find(wanted, start + 1)


def _touches(spans: Sequence[tuple[int, int]], named: Sequence[tuple[int, int]]) -> bool:
    return any(start < last and first < end for start, end in spans for first, last in named)


def _changed(word: str, generator: np.random.Generator) -> str | None:
    """A word for the same, or the word with two of its inner letters exchanged; None where neither can be."""
    other = _OTHER.get(word)
    if other is not None:
        return other
    inner = [
        place
        for place in range(1, len(word) - 2)
        if word[place : place + 2].isalpha() and word[place] != word[place + 1]
    ]
    if not inner or sum(map(str.isalpha, word)) < _SHORTEST_TYPO:
        return None
    place = inner[int(generator.integers(len(inner)))]
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


KIND = TextKind()
