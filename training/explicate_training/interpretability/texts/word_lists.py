"""Words of a config or a file, and where they are in a text: as whole words, whatever their case.

In scripts that have no spaces between words, and of what begins with a sign such as ":)", any place will do.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from explicate.errors import UsageError

UNSPACED = re.compile(r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff])")
"""Scripts written without spaces: Thai, Lao, Myanmar, Khmer, kana, Han."""
_TOKEN = re.compile(r"\w+")  # so that Anna is found in Anna's
_FILE = re.compile(r"[/\\]|\.(?:txt|tsv|csv|lst|words)$")


class Found(NamedTuple):
    """A word of a list in a text: characters [start, stop)."""

    start: int
    stop: int
    word: str  # as the list has it, folded


class WordFinder:
    """Finds the words and phrases of a list; where two overlap the one that begins first, then the longer."""

    def __init__(self, words: Iterable[str]) -> None:
        self._by_first: dict[str, list[str]] = defaultdict(list)  # words, by the first token of each
        self._anywhere: list[str] = []
        for word in dict.fromkeys(folded(one) for one in words):
            first = _TOKEN.match(word)
            if first is None or UNSPACED.search(word):
                self._anywhere.append(word)
            else:
                self._by_first[first[0]].append(word)

    def find(self, text: str) -> list[Found]:
        """Where they are, in order, without overlaps."""
        places = []
        for token in _TOKEN.finditer(text):
            start = token.start()
            for word in self._by_first.get(token[0].casefold(), ()):
                stop = max(start + len(word), token.end())
                if text[start:stop].casefold() == word and not _TOKEN.match(text[stop : stop + 1]):
                    places.append(Found(start, stop, word))
        for word in self._anywhere:
            places += [Found(*one.span(), word) for one in re.finditer(re.escape(word), text, re.IGNORECASE)]
        kept: list[Found] = []
        for found in sorted(places, key=lambda one: (one.start, -one.stop)):
            if not kept or found.start >= kept[-1].stop:
                kept.append(found)
        return kept


def folded(word: str) -> str:
    """A word as it is compared."""
    return " ".join(word.split()).casefold()


def names_file(entry: str) -> bool:
    """Whether an entry of a config is a file, or is written like one, and not a word or a column."""
    return Path(entry).is_file() or bool(_FILE.search(entry))


def read_lexicon(path: str, option: str) -> dict[str, float]:
    """Words with how much each counts, above 0 and 1 at most: |weight| / the largest; 1 of a word without a weight.

    The file has a word, or a word, a tab and a number, in each line. Raises UsageError, naming the option and the line.
    """
    weights: dict[str, float] = {}
    for number, line in _lines(path, option):
        word, _, weight = (cell.strip() for cell in line.partition("\t"))
        try:
            weights[folded(word)] = max(abs(float(weight or 1)), weights.get(folded(word), 0.0))
        except ValueError:
            raise UsageError(
                f"{option}: {path} line {number}: {weight!r} is not a number: write a word, a tab and its weight"
            ) from None
    largest = max(weights.values())
    if not 0 < largest < float("inf"):
        raise UsageError(
            f"{option}: {path} has no word of a finite weight that is not 0: give the words that count one"
        )
    return {word: weight / largest for word, weight in weights.items() if weight}


def read_word_lists(entries: Sequence[str], option: str) -> list[tuple[str, ...]]:
    """The lists within which words are swapped: the words among the entries are one, and each file has its own.

    The lines of a file with one word each are one list; a line with several words, with tabs between them, is a list.
    Raises UsageError when a file cannot be read, or a list has a single word.
    """
    words = [entry for entry in entries if not names_file(entry)]
    lists = [(tuple(dict.fromkeys(words)), option)] if words else []
    for path in (entry for entry in entries if names_file(entry)):
        alone: list[str] = []
        for number, line in _lines(path, option):
            cells = [cell.strip() for cell in line.split("\t") if cell.strip()]
            if "\t" in line:
                lists.append((tuple(dict.fromkeys(cells)), f"{option}: {path} line {number}"))
            else:
                alone += cells
        if alone:
            lists.append((tuple(dict.fromkeys(alone)), f"{option}: {path}"))
    for list_of_words, where in lists:
        if len({folded(word) for word in list_of_words}) < 2:
            raise UsageError(
                f"{where} has a single word, {list_of_words[0]!r}, and nothing to swap it with: add words that may "
                "stand in its place"
            )
    return [list_of_words for list_of_words, _ in lists]


def _lines(path: str, option: str) -> list[tuple[int, str]]:
    """The lines of a file with something in them, with their numbers."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{option}: {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{option}: {path} cannot be read as UTF-8 text: {error}") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise UsageError(f"{option}: {path} is empty: write a word in each line")
    return lines
