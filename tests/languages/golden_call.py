"""The golden calls: two explanations that a program in every language asks of the same server, with the same numbers.

`golden_calls(folder)` starts a real server with two tiny random models, asks each call with the Python client, and
writes what it answered to a JSON file. A program in another language asks the same, by hand or by that file:

    {"address": "127.0.0.1:40123",
     "calls": [{"name": "text", "model": "tiny",
                "text": "this tea 🍵 is ...",                  a row of a table instead of a text in the second call:
                "row": {"income": 1.5, "owner": "true", ...},  a number, a category, or null where it is missing
                "options": {"method": "kernel-shap", "seed": 7, "max_evaluations": 256, "top_k": null},
                "expected": {"version": 1, "label": "great", "probability": 0.51..., "class_label": "great",
                             "method": "kernel-shap", "baseline": 0.49..., "instance": 0.51..., "evaluations": 256,
                             "features": [{"name": "tea", "value": 0.01..., "lower": ..., "upper": ...,
                                           "start": 5, "end": 8, "utf16_start": 5, "utf16_end": 8}, ...],
                             "lines": ["0.514832 great", "+0.012345 [+0.001100, +0.025700] tea", ...]}}, ...]}

`features` are in reading order (a column has no places: null), and their numbers are equal in every language bit for
bit: same seed, same answer. A program prints `lines`: the probability with its label, then the features, the strongest
first, each as its value with its interval and its name, with six digits. So a test compares what it prints.

Without pytest, from the root of the checkout, with what follows the file run in an environment that has
EXPLICATE_GOLDEN (the file) and EXPLICATE_SERVER (the address):

    PYTHONPATH=tests .venv/bin/python -m languages.golden_call golden.json npm test
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any  # JSON values

from explicate import Client
from explicate.results import Contribution, ExplainResult, Prediction
from support.harness import server_process
from support.tiny_bundle import build_tiny_repository
from support.tiny_table_bundle import tiny_table

TEXT = "this tea 🍵 is great but the box was not good and it came very late"
ROW = {
    "income": 1.5,
    "purpose": "car",
    "debt_short": -0.25,
    "owner": "true",
    "age": 0.75,
    "rating": "never seen",
    "debt_long": None,
}


@dataclass(frozen=True)
class Options:
    """The options that a call sets; the server resolves the others. None: not sent."""

    method: str
    seed: int
    max_evaluations: int | None
    top_k: int | None


@dataclass(frozen=True)
class Call:
    """One call with its answer, as the JSON file has it."""

    name: str
    model: str
    text: str | None
    row: dict[str, float | str | None] | None
    options: Options
    expected: dict[str, Any]


@dataclass(frozen=True)
class Golden:
    """What the JSON file at `path` says; the server runs as long as the context that made it."""

    path: Path
    address: str
    calls: tuple[Call, ...]

    def call(self, name: str) -> Call:
        """The call "text" or "row"."""
        return next(call for call in self.calls if call.name == name)


def build_golden_repository(folder: Path) -> Path:
    """A repository with the model "tiny", which reads texts, and "loans", which reads rows; a few seconds.

    Beside the golden calls' models there are, for rows, too, "losses", which predicts a number, and "duties" of several
    labels.
    """
    repository = build_tiny_repository(folder)
    tiny_table().publish(repository, "loans")
    tiny_table(labels=(), seed=1).publish(repository, "losses")
    tiny_table(multi_label=True, seed=2).publish(repository, "duties")
    return repository


@contextmanager
def golden_calls(folder: Path, *flags: str, connection: Any = None) -> Iterator[Golden]:
    """A server and `folder/golden.json`; `flags` go to `explicate serve`, `connection` to the Python client."""
    repository = build_golden_repository(folder)
    with server_process(repository, "--device", "cpu", "--threads", "1", *flags) as (_, address):
        with Client(address, **(connection or {})) as client:
            client.wait_ready(timeout_s=60)
            calls = tuple(_calls(client))
        golden = Golden(folder / "golden.json", address, calls)
        document = {"address": address, "calls": [asdict(call) for call in calls]}
        golden.path.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1), encoding="utf-8")
        yield golden


def lines(answer: ExplainResult) -> list[str]:
    """What a program prints of an answer, first the prediction; numbers come first, so that nothing needs padding."""
    features = answer.explanation.top(len(answer.explanation.features))
    return [
        _outcome(answer.prediction),
        *(f"{line.value:+.6f} [{line.lower:+.6f}, {line.upper:+.6f}] {line.feature.name}" for line in features),
    ]


def _outcome(prediction: Prediction) -> str:
    if prediction.value is not None:
        return f"{prediction.value:.6f}"
    if prediction.labels is not None:
        return ", ".join(prediction.labels)
    return f"{prediction.probability:.6f} {prediction.label}"


def _calls(client: Client) -> Iterator[Call]:
    sampled = Options("kernel-shap", seed=7, max_evaluations=256, top_k=None)
    yield Call("text", "tiny", TEXT, None, sampled, _expected(client.explain("tiny", TEXT, **_set(sampled)), TEXT))
    strongest = Options("auto", seed=7, max_evaluations=None, top_k=2)
    yield Call("row", "loans", None, ROW, strongest, _expected(client.explain("loans", ROW, **_set(strongest)), ""))


def _set(options: Options) -> Any:
    return {name: value for name, value in asdict(options).items() if value is not None}


def _expected(answer: ExplainResult, text: str) -> dict[str, Any]:
    explanation = answer.explanation
    attribution = explanation.attributions[0]
    return {
        "version": answer.model.version,
        "label": answer.prediction.label,
        "probability": answer.prediction.probability,
        "class_label": attribution.class_label,
        "method": explanation.options.method,
        "baseline": attribution.baseline_value,
        "instance": attribution.instance_value,
        "evaluations": explanation.evaluations,
        "features": [_feature(line, text) for line in explanation.contributions()],
        "lines": lines(answer),
    }


def _feature(line: Contribution, text: str) -> dict[str, Any]:
    told = {"name": line.feature.name, "value": line.value, "lower": line.lower, "upper": line.upper}
    (start, end) = (line.feature.spans[0].start, line.feature.spans[0].end) if line.feature.spans else (None, None)
    return {**told, "start": start, "end": end, "utf16_start": _utf16(text, start), "utf16_end": _utf16(text, end)}


def _utf16(text: str, place: int | None) -> int | None:
    """The place in UTF-16 code units of a place in code points, as Python itself encodes the text."""
    return None if place is None else len(text[:place].encode("utf-16-le")) // 2


def main() -> int:
    """Write the file, run the command, and answer its exit code."""
    path, *command = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder, golden_calls(Path(folder)) as golden:
        Path(path).write_bytes(golden.path.read_bytes())
        told = {"EXPLICATE_GOLDEN": str(Path(path).resolve()), "EXPLICATE_SERVER": golden.address}
        return subprocess.run(command, env={**os.environ, **told}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
