"""What `explicate train` leaves and prints for each kind of input and objective, as it is today.

Data, splits and everything that does not depend on weights is recorded to the letter; of what was learnt only the
structure, because training is not the same to the bit on every machine.
"""

import html
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
import pytest

from pins import record, tiny
from pins.command import Said, explicate

each_model = pytest.mark.parametrize("name", tiny.NAMES)
_NUMBER = re.compile(r"(?<![\w#])-?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")
# How many there are depends on the machine's speed, and what was learnt on its arithmetic.
_PROGRESS = re.compile(r"(?m)^(?: +(?:step|validation at step)|rare classes:|next:) .*\n")
_VERDICT = re.compile(r"(?m)(?<=^VERDICT: ).*|(?<=<strong>Verdict:</strong> ).*(?=</p>)|(?<=verdict) failed(?=.>)")
# Of a report: figures, the rows of mistakes, the config that has a record of its own, and versions.
_OF_WHAT_WAS_LEARNT = (
    (re.compile(r" It was not shown to be better than always giving the same answer\. Do not rely on it\."), ""),
    (re.compile(r'(?s)<svg\b(?:[^>]*( aria-label="[^"]*"))?.*?</svg>'), r"<svg\1/>"),
    (re.compile(r"data:image/[\w+]+;base64,[\w+/=]+"), "<picture>"),
    (re.compile(r"(?s)<pre\b.*?</pre>"), "<pre/>"),
    (re.compile(r"accelerate \d[^<]*"), "<versions>"),
)

_LEARNT = ("verdict", "logit_offsets")

# What counts, examples, slices: which they are depends on the weights.
_EXPLAINED = re.compile(r"(?s)(?:<h2>What counts</h2>|<p class=\"quiet\">Too few ).*?(?=<h2>Metrics</h2>)")
_GROUNDS = re.compile(r"(?s)(?<=<h3>On what grounds\?</h3>\n).*?(?=<h3>When should)")
_SLICES = re.compile(
    r"(?s)<h3>(?:Where it is worse, and better|Slices with the most errors|Classes that are taken for each other)</h3>"
    r".*?(?=<h2>)"
)
_MISTAKES = re.compile(r"(?s)<h2>Worst mistakes(?:, explained)?</h2>.*?(?=<h2>)")


@dataclass(frozen=True)
class Trained:
    """A finished run directory, and what training printed."""

    folder: Path
    said: Said
    places: Mapping[Path, str]

    def json(self, name: str) -> Any:
        """A JSON file of the run."""
        return record.cleaned_values(json.loads((self.folder / name).read_text(encoding="utf-8")), self.places)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """Trains the model of that name, once."""
    home = tmp_path_factory.mktemp("training")

    @cache
    def train(name: str) -> Trained:
        config = tiny.write_training(name, home / "data" / name)
        run = home / "runs" / name
        said = explicate("train", str(config), "--output", str(run), "--seed", "5")
        assert said.code == 0, said.err
        return Trained(run, said, {home / "data" / name: "<data>", home / "runs": "<runs>"})

    return train


@each_model
def test_the_files_of_the_run(trained: Callable[[str], Trained], name: str) -> None:
    run = trained(name)
    folder = run.folder
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    held_out = [json.loads(line) for line in (folder / "held_out.jsonl").read_text(encoding="utf-8").splitlines()]
    seen = {
        "files": files,
        "run.json": record.masked(run.json("run.json"), ["data_sha256", "tool_versions", "train_s", *_LEARNT]),
        "run.json, its order": list(run.json("run.json")),
        "data.json": run.json("data.json"),
        "data digest": json.loads((folder / "data.json").read_text(encoding="utf-8"))["sha256"],
        "data.json, its order": list(run.json("data.json")),
        "held_out.jsonl": held_out,
        "metrics.json": record.shape_of(record.without(run.json("metrics.json"), ["parts"])),
        "arrays": {path.name: _arrays(path) for path in sorted(folder.glob("*.npz"))},
    }
    record.check(f"runs/{name}.json", seen)
    assert run.json("run.json")["data_sha256"] == run.json("data.json")["sha256"]


def _arrays(path: Path) -> dict[str, Any]:
    with np.load(path) as arrays:
        return {name: record.described_array(arrays[name]) for name in arrays.files}


@each_model
def test_the_config_that_is_kept(trained: Callable[[str], Trained], name: str) -> None:
    run = trained(name)
    config = (run.folder / "config.toml").read_text(encoding="utf-8")
    record.check(f"runs/{name}.toml", record.cleaned(config, run.places))


@each_model
def test_the_lines_that_training_prints(trained: Callable[[str], Trained], name: str) -> None:
    run = trained(name)
    before, training, after = record.cleaned(run.said.text(), run.places).partition("\ntraining ")
    assert training
    record.check(f"runs/{name}.txt", before + _NUMBER.sub("#", _VERDICT.sub("…", _PROGRESS.sub("", training + after))))


@each_model
def test_the_words_of_the_report(trained: Callable[[str], Trained], name: str) -> None:
    run = trained(name)
    report = (run.folder / "report.html").read_text(encoding="utf-8")
    style = re.search(r"(?s)<style>.*?</style>", report)
    assert style is not None
    words = record.cleaned(report.replace(style[0], "<style/>"), run.places)
    for pattern, replacement in _OF_WHAT_WAS_LEARNT:
        words = pattern.sub(replacement, words)
    words = _VERDICT.sub("…", words)
    for pattern in (_EXPLAINED, _GROUNDS, _SLICES):
        words = pattern.sub("…", words)
    words = _MISTAKES.sub(lambda match: _form(match[0]), words)
    record.check(f"reports/{name}.html", _NUMBER.sub("#", html.unescape(words)))
    record.check("reports/style.css", style[0])


def _form(mistakes: str) -> str:
    """The mistakes without what they are, which depends on the weights: each different line once."""
    blank = re.sub(r"(<(?:td|figcaption)\b[^>]*>).*?(?=</)", r"\1…", mistakes)
    blank = re.sub(r' (alt|title)="[^"]*"', r' \1="…"', blank)
    # Its parts, their order and colours are of the weights; the pages of `explicate explain` hold how it is drawn.
    blank = re.sub(r'(?m)(?<=^<div class="explicate">).*', "…", blank)
    blank = re.sub(r'(?m)^<h3 dir="auto">true: .*\n<p class="quiet">.* without any part, .*\n', "", blank)
    return "".join(dict.fromkeys(blank.splitlines(keepends=True)))
