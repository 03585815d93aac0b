"""`python -m benchmarks.edited_pairs BUNDLE...`: models of sentiment on reviews that people edited to flip the label.

Kaushik, Hovy, Lipton: Learning the difference that makes a difference with counterfactually-augmented data, ICLR 2020.
Each pair is a review and the same with as few words changed as its label needed to flip. So a pair is a contrast (a
model that looks at the right words is right on both), and its edited words are the ones that people hold responsible.

Told of each bundle: accuracy on originals, on edits, on both of a pair; and plausibility, (AUPRC − prevalence) / (1 −
prevalence) of kernel-shap's attributions of the right class against the edited words, 0 by chance and 1 at best. The
answers are kept one by one in benchmarks/results/edited-pairs/, so that a run that was cut off goes on.
"""

import argparse
import csv
import difflib
import hashlib
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.report import RESULTS
from benchmarks.server_process import server_process
from explicate import Client, ExplainResult

DATA = Path(__file__).parents[2] / "shared" / "data" / "cad"
ANSWERS = RESULTS / "edited-pairs"
_WORD = re.compile(r"\S+")
_EDGES = re.compile(r"^\W+|\W+$")
_BREAK = re.compile(r"<br\s*/?>")
_DRAWS = 2_000
_SIDES = ("original", "edited")
_BATCH_ROWS = 64
_TIMEOUT_S = 600.0

Span = tuple[int, int]


@dataclass(frozen=True)
class Pair:
    """A review and its edit, with whether each is positive; in the file the original comes first."""

    number: str
    texts: tuple[str, str]
    positive: tuple[bool, bool]


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file of the authors: columns Sentiment, Text and batch_id, with tabs between."""
    texts: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            text = " ".join(_BREAK.sub(" ", row["Text"]).split())
            texts[row["batch_id"]].append((text, row["Sentiment"] == "Positive"))
    pairs = []
    for number, sides in texts.items():
        if len(sides) == len(_SIDES) and sides[0][1] != sides[1][1]:
            (first, was), (second, becomes) = sides
            pairs.append(Pair(number, (first, second), (was, becomes)))
    return pairs


def edited_words(text: str, other: str) -> list[Span]:
    """Where the words are that a text does not share with another, by the longest matching blocks of words.

    Case and signs at the edges of a word do not count.
    """
    words = [match.span() for match in _WORD.finditer(text)]
    ours, theirs = ([_key(match[0]) for match in _WORD.finditer(one)] for one in (text, other))
    blocks = difflib.SequenceMatcher(a=ours, b=theirs, autojunk=False).get_matching_blocks()
    shared = {place for block in blocks for place in range(block.a, block.a + block.size)}
    return [span for place, span in enumerate(words) if place not in shared]


def _key(word: str) -> str:
    return _EDGES.sub("", word).casefold() or word


def plausibility(values: Sequence[float], named: Sequence[bool]) -> float | None:
    """(AUPRC − prevalence) / (1 − prevalence) of attributions against what people named.

    None where that is all of the words, or none. AUPRC is average precision, Σ (R_k − R_{k−1}) P_k over the distinct
    values.
    """
    wanted = np.asarray(named, dtype=bool)
    if not wanted.any() or wanted.all():
        return None
    scores = np.asarray(values, dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(wanted[order])[ends]
    area = float((np.diff(hits / wanted.sum(), prepend=0.0) * hits / (ends + 1)).sum())
    return (area - wanted.mean()) / (1 - wanted.mean())


def plausibility_of(answer: ExplainResult, edited: Sequence[Span]) -> float | None:
    """The same of an explanation's words, where edited ones share a character with a span."""
    named = [
        any(span.start < stop and span.end > start for span in feature.spans for start, stop in edited)
        for feature in answer.explanation.features
    ]
    return plausibility(answer.explanation.attributions[0].values, named)


@dataclass(frozen=True)
class Bundle:
    """A bundle in its repository, `repository/name/version`, and the label that means positive."""

    folder: Path
    positive: str

    @property
    def name(self) -> str:
        return f"{self.folder.parent.name}-{self.folder.name}"

    def key(self) -> str:
        """What its answers are kept under: its digest tells one bundle from another of the same name."""
        return f"{self.name}-{hashlib.sha256((self.folder / 'manifest.json').read_bytes()).hexdigest()[:12]}"


class Answers:
    """What a bundle answered, one JSON line each, by pair and side. Grows, on the disk too."""

    def __init__(self, path: Path) -> None:
        """Reads what an earlier run left; a last line that was cut off is asked again."""
        self._path = path
        self._known: dict[tuple[str, str, str], Any] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                what, number, side, value = json.loads(line)
            except ValueError:
                continue
            self._known[what, number, side] = value

    def has(self, what: str, number: str, side: str) -> bool:
        return (what, number, side) in self._known

    def add(self, what: str, number: str, side: str, value: Any) -> None:
        self._known[what, number, side] = value
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([what, number, side, value]) + "\n")

    def of(self, what: str, pairs: Sequence[Pair]) -> NDArray[np.float64]:
        """Values [pairs, sides]; NaN where there is none."""
        rows = [[self._known.get((what, pair.number, side)) for side in _SIDES] for pair in pairs]
        return np.array(rows, dtype=np.float64).reshape(len(pairs), len(_SIDES))


def figures(answers: Answers, pairs: Sequence[Pair], explained: Sequence[Pair]) -> dict[str, tuple[float, ...]]:
    """Each measure with its bootstrap interval over pairs: (value, lower, upper); NaN where nothing defines it."""
    right, found = answers.of("right", pairs), answers.of("plausibility", explained)
    by_pair = {
        "accuracy on originals": right[:, 0],
        "accuracy on edits": right[:, 1],
        "right on both": right.min(axis=1),
        "plausibility": _mean_of_known(found),
    }
    return {name: _with_interval(values) for name, values in by_pair.items()}


def _mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over sides, of those that are known [pairs]."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=1)
    return np.divide(total, known.sum(axis=1), out=np.full(len(values), np.nan), where=known.any(axis=1))


def _with_interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    values = values[np.isfinite(values)]
    if not len(values):
        return (float("nan"),) * 3
    stream = np.random.Generator(np.random.Philox(0))
    means = values[stream.integers(0, len(values), (_DRAWS, len(values)))].mean(axis=1)
    lower, upper = np.quantile(means, [0.025, 0.975]).tolist()
    return float(values.mean()), lower, upper


def measure(bundle: Bundle, pairs: Sequence[Pair], explained: Sequence[Pair], answers: Answers) -> None:
    """Asks a server with the bundle what is not known yet."""
    name, version = bundle.folder.parent.name, int(bundle.folder.name)
    todo = list(_todo(answers, pairs, "right")), list(_todo(answers, explained, "plausibility"))
    if not any(todo):
        return
    with (
        server_process("--repository", str(bundle.folder.parents[1].resolve())) as server,
        Client(server.address) as client,
    ):
        labels = client.get_model(name, version=version).class_labels
        if bundle.positive not in labels:
            raise SystemExit(f"{bundle.folder} answers {', '.join(labels)}: say with --positive which means positive")
        bar = tqdm(total=sum(map(len, todo)), desc=bundle.name, unit="text")
        for start in range(0, len(todo[0]), _BATCH_ROWS):
            batch = todo[0][start : start + _BATCH_ROWS]
            texts = [pair.texts[side] for pair, side in batch]
            found = client.predict(name, texts, version=version, timeout_s=_TIMEOUT_S).predictions
            for (pair, side), one in zip(batch, found, strict=True):
                answers.add("right", pair.number, _SIDES[side], (one.label == bundle.positive) == pair.positive[side])
            bar.update(len(batch))
        other = next(label for label in labels if label != bundle.positive)
        for pair, side in todo[1]:
            answer = client.explain(
                name,
                pair.texts[side],
                version=version,
                method="kernel-shap",
                target=bundle.positive if pair.positive[side] else other,
                timeout_s=_TIMEOUT_S,
            )
            value = plausibility_of(answer, edited_words(pair.texts[side], pair.texts[1 - side]))
            answers.add("plausibility", pair.number, _SIDES[side], value)
            bar.update()
        bar.close()


def _todo(answers: Answers, pairs: Sequence[Pair], what: str) -> Iterator[tuple[Pair, int]]:
    return (
        (pair, side) for pair in pairs for side, name in enumerate(_SIDES) if not answers.has(what, pair.number, name)
    )


def drawn(pairs: Sequence[Pair], count: int, *, most_words: int, seed: int = 0) -> list[Pair]:
    """So many pairs, drawn at random but the same ones for a seed, of reviews up to so many words."""
    short = [pair for pair in pairs if max(len(text.split()) for text in pair.texts) <= most_words]
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(short))[:count]
    return [short[place] for place in order]


def print_figures(found: Mapping[str, Mapping[str, tuple[float, ...]]], pairs: int, explained: int) -> None:
    """A line for each bundle."""
    width = max(map(len, found))
    names = list(next(iter(found.values())))
    print(f"{pairs:,} pairs, {explained:,} of them explained; 95 % intervals over pairs")
    print(f"{'bundle':<{width}}" + "".join(f"{name:>26}" for name in names))
    for bundle, one in found.items():
        cells = [f"{value:.3f} [{lower:.3f}, {upper:.3f}]" for value, lower, upper in one.values()]
        print(f"{bundle:<{width}}" + "".join(f"{cell:>26}" for cell in cells))


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description="Bundles on film reviews that people edited until the label flipped: accuracy, and plausibility "
        "against the edited words. A run that was cut off goes on where it was."
    )
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE", help="folders repository/name/version")
    parser.add_argument("--positive", default="Positive", help="the label that means positive (default: Positive)")
    parser.add_argument("--pairs", type=int, default=245, help="pairs to predict (default: 245, all of the file)")
    parser.add_argument("--explain", type=int, default=50, help="of them, pairs to explain (default: 50)")
    parser.add_argument("--words", type=int, default=120, help="longest review that is explained (default: 120)")
    parser.add_argument(
        "--data", type=Path, default=DATA, help="folder with dev_paired.tsv (default: ../shared/data/cad)"
    )
    arguments = parser.parse_args()
    path = arguments.data / "dev_paired.tsv"
    if not path.is_file():
        print(f"nothing is measured: {path} is not there (counterfactually augmented film reviews)", file=sys.stderr)
        return
    chosen = drawn(read_pairs(path), arguments.pairs, most_words=sys.maxsize)
    explained = drawn(chosen, arguments.explain, most_words=arguments.words)
    found = {}
    for folder in arguments.bundles:
        bundle = Bundle(folder.resolve(), arguments.positive)
        answers = Answers(ANSWERS / f"{bundle.key()}.jsonl")
        measure(bundle, chosen, explained, answers)
        found[bundle.name] = figures(answers, chosen, explained)
    print_figures(found, len(chosen), len(explained))
    (ANSWERS / "figures.json").write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
