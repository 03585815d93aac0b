"""`python -m benchmarks.long_texts`: word and sentence values of long texts, at equal rows, against phrases.

Games first: texts of 150, 400 and 1,000 words whose Shapley values are known exactly (long_text_games.py), many of
each; errors of the word values and the sentences' sums, and how often the intervals of each hold the true value. Then a
model (`--model`, a bundle of a text model; its max_tokens is raised to `--max-tokens`, which its positions must allow):
reviews of `--texts` joined until they have `--words` words, against a reference, the mean of two runs of `--reference`
rows a word with other seeds, whose disagreement is told. References are kept under `--results`, text by text and part
by part, so that a run that was cut off goes on.

Before words were explained in sections, long texts were grouped into phrases, as many as the budget has 8 rows for, and
heavy ones were cut; `max_players` still asks for that. A phrase's value is spread evenly over its words.
"""

import argparse
import hashlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # records are JSON

import numpy as np
from numpy.typing import NDArray

from benchmarks.long_text_games import LongTextGame
from benchmarks.report import RESULTS
from explicate.v1 import bundle_pb2
from explicate_bundle.model_inputs import TextInput
from explicate_server.explain.attribution import Attribution
from explicate_server.explain.estimators import kernel_shap
from explicate_server.explain.game import GameInfo
from explicate_server.explain.method import Method
from explicate_server.explain.methods import METHODS
from explicate_server.explain.statistics.section_pairs import sections_of
from explicate_server.inference.explain_options import PLAYERS_WORTH_GROUPING, ROWS_THAT_TELL_A_PLAYER
from explicate_server.modalities.modalities import open_modality
from explicate_standards.evaluated_model import EvaluatedModel, open_published
from explicate_standards.held_out_rows import LabelledInput
from explicate_standards.subject import Subject

Floats = NDArray[np.float64]
Value = Callable[[NDArray[np.bool_]], Floats]

_SEED = 0
_REFERENCE_SEEDS = (1001, 1002)
# Rows asked of the model before what is known is kept.
_PART_ROWS = 500
_LEAST_WORDS = 100


@dataclass(frozen=True)
class Told:
    """Errors relative to the exact values, and shares of intervals that hold them (of the strongest tenth apart)."""

    words: float
    sections: float
    words_covered: float
    strongest_covered: float
    sections_covered: float


def default_rows(words: int) -> int:
    """The server's default budget for so many words."""
    return kernel_shap.METHOD.default_max_evaluations(min(words, PLAYERS_WORTH_GROUPING))


def attribution(
    value: Value, breaks: NDArray[np.intp], rows: int, *, seed: int, method: Method, max_players: int = 1024
) -> Attribution:
    """The last estimate of a game of one output."""
    n = len(breaks) + 1
    empty, full = value(np.array([[False] * n, [True] * n]))[:, None]
    game = GameInfo(n_players=n, empty=empty, full=full, seed=seed, breaks=breaks)
    settings = method.settings(n, max_evaluations=rows, tolerance=0.0)
    run = method.start(game, settings, max_players=max_players, spent=2)
    while (coalitions := run.next_round()) is not None:
        run.tell(value(np.asarray(coalitions, np.bool_))[:, None])
    return run.attribution


def compared(value: Value, breaks: NDArray[np.intp], exact: Floats, rows: int, *, seed: int) -> dict[str, Told]:
    """Three ways at the same rows: in sections (the default), each word by itself, and in phrases."""
    phrases = max(PLAYERS_WORTH_GROUPING, rows // ROWS_THAT_TELL_A_PLAYER)
    sections = sections_of(len(exact), breaks)
    ways = {
        "sections": attribution(value, breaks, rows, seed=seed, method=METHODS["kernel-shap"]),
        "words": attribution(value, breaks, rows, seed=seed, method=kernel_shap.METHOD),
        "phrases": attribution(value, breaks, rows, seed=seed, method=kernel_shap.METHOD, max_players=phrases),
    }
    return {name: _told(found, exact, sections) for name, found in ways.items()}


def _told(found: Attribution, exact: Floats, sections: NDArray[np.intp]) -> Told:
    of_sections = np.bincount(sections, exact)
    groups = found.groups
    values = found.values[0] if groups is None else (found.values[0] / np.bincount(groups))[groups]
    held = np.zeros(0) if groups is not None else np.abs(values - exact) <= found.half_widths[0]
    strongest = np.argsort(-np.abs(exact))[: len(exact) // 10]
    sums = found.sections
    sections_held = np.zeros(0) if sums is None else np.abs(sums.values[0] - of_sections) <= sums.half_widths[0]
    return Told(
        words=_relative(values, exact),
        sections=_relative(np.bincount(sections, values), of_sections),
        words_covered=_mean(held),
        strongest_covered=_mean(held[strongest]) if len(held) else np.nan,
        sections_covered=_mean(sections_held),
    )


def _relative(values: Floats, exact: Floats) -> float:
    return float(np.linalg.norm(values - exact) / np.linalg.norm(exact))


def _mean(held: NDArray[Any]) -> float:
    return float(held.mean()) if len(held) else float("nan")


HEADING = (
    "| text | way | rows | error of words | of sentences | words covered | strongest tenth | sentences covered |\n"
    "|---|---|---|---|---|---|---|---|"
)


def lines(name: str, rows: int, told: Sequence[dict[str, Told]]) -> Iterator[str]:
    """A line for each way: medians of errors, means of coverage."""
    for way in told[0]:
        of_way = [each[way] for each in told]
        errors = [np.median([getattr(each, field) for each in of_way]) for field in ("words", "sections")]
        fields = ("words_covered", "strongest_covered", "sections_covered")
        covered = [np.mean([getattr(each, field) for each in of_way]) for field in fields]
        cells = [f"{number:.3f}" if np.isfinite(number) else "–" for number in (*errors, *covered)]
        yield f"| {name} | {way} | {rows:,} | {' | '.join(cells)} |"


def games(words: int, count: int, rows: int) -> list[dict[str, Told]]:
    """The ways on games of so many words."""
    told = []
    for seed in range(count):
        game = LongTextGame.random(words, seed)
        told.append(compared(game, game.breaks, game.shapley_values(), rows, seed=seed))
        print(f"games of {words:,} words: {seed + 1} of {count}", file=sys.stderr, flush=True)
    return told


class LongReview:
    """A text and the model's answers to coalitions of its words; references are kept in `folder`."""

    def __init__(self, model: EvaluatedModel, text: str, folder: Path) -> None:
        self.subject = Subject(model, LabelledInput(1, TextInput(text), None, {}))
        digest = hashlib.sha256(f"{model.content_sha256} {text}".encode()).hexdigest()
        self._folder = folder / digest[:16]
        self._folder.mkdir(parents=True, exist_ok=True)

    @property
    def breaks(self) -> NDArray[np.intp]:
        """How much parts each word from the next."""
        breaks = self.subject.game.breaks
        assert breaks is not None
        return breaks

    def value(self, coalitions: NDArray[np.bool_]) -> Floats:
        """v(S) as the server explains it by default, float64[m]."""
        return self.subject.values(coalitions)

    def reference(self, rows_a_word: int, seed: int) -> Floats:
        """Values of all words by plain kernel-shap; what was evaluated is kept in parts."""
        kept = self._folder / f"reference-{rows_a_word}-{seed}.npy"
        if not kept.exists():
            parts = _Parts(self.value, self._folder / f"rows-{seed}")
            rows = rows_a_word * self.subject.n
            found = attribution(parts, self.breaks, rows, seed=seed, method=kernel_shap.METHOD)
            np.save(kept, found.values[0])
        known: Floats = np.load(kept)
        return known


class _Parts:
    """A game whose answers are kept in files, one for each part of the rows, in the order in which they are asked."""

    def __init__(self, value: Value, folder: Path) -> None:
        self._value = value
        self._folder = folder
        self._asked = 0
        folder.mkdir(exist_ok=True)

    def __call__(self, coalitions: NDArray[np.bool_]) -> Floats:
        parts = np.split(coalitions, range(_PART_ROWS, len(coalitions), _PART_ROWS))
        return np.concatenate([self._part(part) for part in parts])

    def _part(self, coalitions: NDArray[np.bool_]) -> Floats:
        digest = hashlib.sha256(np.packbits(coalitions, axis=1).tobytes()).hexdigest()[:16]
        kept = self._folder / f"{self._asked}-{digest}.npy"
        self._asked += 1
        if not kept.exists():
            np.save(kept, self._value(coalitions))
        values: Floats = np.load(kept)
        return values


def opened(folder: Path, max_tokens: int) -> EvaluatedModel:
    """The model of a bundle, reading up to `max_tokens` tokens of a text."""
    model = open_published(folder)
    manifest = bundle_pb2.Bundle()
    manifest.CopyFrom(model.bundle.manifest)
    manifest.text.max_tokens = max_tokens
    bundle = replace(model.bundle, manifest=manifest)
    return replace(model, bundle=bundle, modality=open_modality(bundle, model.settings), others={})


def texts_of(path: Path, words: int, count: int) -> list[str]:
    """Texts of about so many words: given ones of 100 words and more one after the other, cut at the end."""
    given = path.read_text(encoding="utf-8").splitlines()
    column = given[0].split("\t").index("Text") if "\tText" in given[0] else None
    texts = given if column is None else [line.split("\t")[column] for line in given[1:] if line]
    long = iter([text.strip('" ').replace("<br />", " ") for text in texts if len(text.split()) >= _LEAST_WORDS])
    joined = []
    while len(joined) < count:
        text = ""
        while len(text.split()) < words:
            text = f"{text}\n\n{next(long)}".strip()
        joined.append("".join(re.findall(r"\S+\s*", text)[:words]).strip())
    return joined


def main() -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=8, help="of each length (default: 8; 0: none)")
    parser.add_argument("--model", type=Path, help="folder of a published version of a text model")
    parser.add_argument("--max-tokens", type=int, default=512, help="tokens that it reads (default: 512)")
    parser.add_argument("--text-file", type=Path, help="a text a line, or a table with tabs")
    parser.add_argument("--texts", type=int, default=8, help="how many long texts (default: 8)")
    parser.add_argument("--words", type=int, default=400, help="words of each (default: 400)")
    parser.add_argument("--rows", type=int, help="rows of an answer (default: the server's)")
    parser.add_argument("--reference", type=int, default=32, help="rows a word of each reference run (default: 32)")
    parser.add_argument("--results", type=Path, default=RESULTS / "long_texts")
    args = parser.parse_args()
    print(f"$ python -m benchmarks.long_texts {' '.join(sys.argv[1:])}\n\n{HEADING}", flush=True)
    for words in (150, 400, 1000) if args.games else ():
        rows = min(default_rows(words), 8 * words)
        for line in lines(f"games, {words:,} words", rows, games(words, args.games, rows)):
            print(line, flush=True)
    if args.model:
        _model(opened(args.model, args.max_tokens), args)
    return 0


def _model(model: EvaluatedModel, args: argparse.Namespace) -> None:
    told, records, rows = [], [], args.rows or default_rows(args.words)
    for number, text in enumerate(texts_of(args.text_file, args.words, args.texts), start=1):
        started_s = time.process_time()
        review = LongReview(model, text, args.results)
        first, second = (review.reference(args.reference, seed) for seed in _REFERENCE_SEEDS)
        exact, n = (first + second) / 2, review.subject.n
        found = compared(review.value, review.breaks, exact, rows, seed=_SEED)
        told.append(found)
        disagreement = _relative(first, second)
        records.append({"words": n, "disagreement": disagreement, **{way: vars(one) for way, one in found.items()}})
        print(
            f"text {number}: {n} words read, references differ by {disagreement:.3f}, "
            + ", ".join(f"{way} {one.words:.3f}" for way, one in found.items())
            + f"; {(time.process_time() - started_s) / 60:.1f} CPU minutes",
            file=sys.stderr,
            flush=True,
        )
    for line in lines(f"{model.name}, {args.words} words", rows, told):
        print(line, flush=True)
    differ = np.median([record["disagreement"] for record in records])
    print(
        f"\nThe two references of {args.reference} rows a word differ by {differ:.3f} (median); half of that is the "
        "error of their mean, which the errors of the words hold too. Without it: "
        + ", ".join(f"{way} {_without(records, way):.3f}" for way in told[0])
    )
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / "texts.json").write_text(json.dumps(records, indent=2) + "\n", encoding="utf-8")


def _without(records: Sequence[dict[str, Any]], way: str) -> float:
    """The median error of the words without that of the reference: they are independent, so that squares add up."""
    squares = [record[way]["words"] ** 2 - (record["disagreement"] / 2) ** 2 for record in records]
    return float(np.sqrt(max(np.median(squares), 0.0)))


if __name__ == "__main__":
    sys.exit(main())
