"""Random edits of texts, word by word: words left out, swapped, mistyped or replaced by a synonym.

Wei and Zou 2019, "EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks". What
is drawn for a copy is a function of the seed, the row and the copy alone. A rationale keeps its words: none of them is
deleted or changed, and its marks go with them when they move.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from explicate.errors import UsageError
from explicate_bundle.players.words import words
from explicate_training.data.labels import objects
from explicate_training.interpretability.texts.marks import Mark, Marks
from explicate_training.text.augmentation.edit_options import EDITS, TextAugmentation
from explicate_training.text.data import TextSet

_SHORTEST_TYPO = 4  # letters of a word that is still read with a typo in it
_STREAM = 3  # apart from those of splits and orders

Synonyms = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class _Word:
    """A word on its way through the edits."""

    text: str
    weight: float = 0.0  # of the rationale's mark on it; 0 of none
    fixed: bool = False  # no edit but a swap touches it


def read_synonyms(path: str) -> Synonyms:
    """The other words of each word, lower case, from a file with a comma-separated group a line.

    Raises UsageError when it cannot be read or has no group.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"augmentation.synonyms: {path} cannot be read as UTF-8 text: {error}") from None
    found: dict[str, dict[str, None]] = {}
    for number, line in enumerate(lines, start=1):
        group = [word.strip() for word in line.split(",") if word.strip()]
        if len(group) == 1:
            raise UsageError(
                f"augmentation.synonyms: {path}, line {number}: {group[0]!r} stands alone; write two words or more "
                "that mean the same, separated by commas"
            )
        for word in group:
            found.setdefault(word.lower(), {}).update(dict.fromkeys(other for other in group if other != word))
    if not found:
        raise UsageError(f"augmentation.synonyms: {path} has no words")
    return {word: list(others) for word, others in found.items()}


def with_copies(train: TextSet, options: TextAugmentation, *, seed: int) -> TextSet:
    """The rows, and behind them their edited copies with the same labels; copies that came out unchanged are left out.

    Raises UsageError when the list of synonyms cannot be read.
    """
    synonyms = read_synonyms(options.synonyms) if options.synonyms else {}
    rows: list[int] = []
    texts: list[tuple[str, ...]] = []
    marked: list[Marks | None] = []
    for copy in range(options.copies):
        for row, given in enumerate(train.texts):
            stream = np.random.Generator(np.random.Philox([seed, _STREAM, copy, row]))
            marks = None if train.rationales is None else train.rationales[row]
            changed, moved = edited(given, marks, options, synonyms, stream)
            if changed != given:
                rows.append(row)
                texts.append(changed)
                marked.append(moved)
    added = train.take(np.array(rows, dtype=np.intp))
    return replace(
        train,
        texts=np.concatenate([train.texts, objects(texts)]),
        rationales=None if train.rationales is None else np.concatenate([train.rationales, objects(marked)]),
        labels=np.concatenate([train.labels, added.labels]),
        splits=np.concatenate([train.splits, added.splits]),
        groups=None if train.groups is None or added.groups is None else np.concatenate([train.groups, added.groups]),
    )


def edited(
    texts: Sequence[str],
    marks: Marks | None,
    options: TextAugmentation,
    synonyms: Synonyms,
    stream: np.random.Generator,
) -> tuple[tuple[str, ...], Marks | None]:
    """An edited row of one text or two, and where what its rationale names is now."""
    changed, moved = [], []
    for number, text in enumerate(texts):
        one, own = _edited_text(text, [mark for mark in marks or () if mark.text == number], options, synonyms, stream)
        changed.append(one)
        moved += [Mark(number, *mark) for mark in own]
    return tuple(changed), tuple(moved) or None


def _edited_text(
    text: str, marks: Sequence[Mark], options: TextAugmentation, synonyms: Synonyms, stream: np.random.Generator
) -> tuple[str, list[tuple[int, int, float]]]:
    spans = words(text)
    if not spans:
        return text, [(mark.start, mark.stop, mark.weight) for mark in marks]
    kept = {word.lower() for word in options.kept}
    found: list[_Word | None] = []
    for start, stop in spans:
        weight = max((mark.weight for mark in marks if mark.start < stop and mark.stop > start), default=0.0)
        word = text[start:stop]
        fixed = weight > 0 or _bare(word) in kept or _bare(word).endswith(("n't", "n’t"))
        found.append(_Word(word, weight, fixed))
    drawn = stream.random((len(spans), len(EDITS)))  # always as many: an edit that is off changes no other one
    for place in range(len(found)):
        _edit(found, place, dict(zip(EDITS, drawn[place], strict=True)), options, synonyms, stream)
    if not any(found):
        return text, [(mark.start, mark.stop, mark.weight) for mark in marks]
    return _joined(text, spans, found)


def _edit(
    found: list[_Word | None],
    place: int,
    drawn: Mapping[str, float],
    options: TextAugmentation,
    synonyms: Synonyms,
    stream: np.random.Generator,
) -> None:
    word = found[place]
    if word is None:
        return
    if not word.fixed:
        if drawn["deletion"] < options.deletion:
            found[place] = None
            return
        if drawn["synonym"] < options.synonym and (others := synonyms.get(_bare(word.text))):
            word = replace(word, text=_as_written(word.text, others[int(stream.integers(len(others)))]))
        if drawn["typos"] < options.typos:
            word = replace(word, text=_typo(word.text, stream))
        found[place] = word
    if drawn["swap"] < options.swap and place + 1 < len(found) and found[place + 1] is not None:
        found[place], found[place + 1] = found[place + 1], found[place]


def _joined(
    text: str, spans: Sequence[tuple[int, int]], found: Sequence[_Word | None]
) -> tuple[str, list[tuple[int, int, float]]]:
    """The words with what stood between them; where a word is gone, the space before it is gone, too."""
    parts: list[str] = []
    marks: list[tuple[int, int, float]] = []
    end = length = 0
    for (start, stop), word in zip(spans, found, strict=True):
        gap = text[end:start]
        piece = gap.rstrip() if word is None else gap + word.text
        if word is not None and word.weight:
            marks.append((length + len(gap), length + len(piece), word.weight))
        parts.append(piece)
        length += len(piece)
        end = stop
    whole = "".join([*parts, text[end:]])
    lead = len(whole) - len(whole.lstrip())  # of a text whose first word is gone
    return whole.strip(), [(start - lead, stop - lead, weight) for start, stop, weight in marks]


def _bare(word: str) -> str:
    return word.strip(".,;:!?()[]\"'“”‘’").lower()


def _as_written(word: str, other: str) -> str:
    """Another word with the capital and the punctuation of the one that it replaces."""
    bare = _bare(word)
    start = word.lower().find(bare)
    other = other[:1].upper() + other[1:] if word[start : start + 1].isupper() else other
    return word[:start] + other + word[start + len(bare) :]


def _typo(word: str, stream: np.random.Generator) -> str:
    """A letter inside left out, doubled, or changed for its neighbour."""
    if sum(map(str.isalpha, word)) < _SHORTEST_TYPO:
        return word
    place = int(stream.integers(1, len(word) - 1))
    kind = int(stream.integers(3))
    if kind == 0:
        return word[:place] + word[place + 1 :]
    if kind == 1:
        return word[:place] + word[place] + word[place:]
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
