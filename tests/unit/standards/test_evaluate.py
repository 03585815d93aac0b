"""`explicate evaluate`: what it says, what it refuses, and that a killed one goes on with the same figures."""

import argparse
import json
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate_standards import cli
from explicate_standards.bootstrap import difference, figure
from explicate_standards.evaluated_model import EvaluatedModel, open_published
from explicate_standards.evaluation import chosen_metrics, evaluate, plan, told_time
from explicate_standards.held_out_rows import read_rows
from explicate_standards.measuring import Progress, measure
from explicate_standards.metric import mean, median
from explicate_standards.metrics.interpretability import METRICS
from explicate_standards.partial_file import PartialFile
from explicate_standards.told import as_document, as_message, as_table
from support.measured_models import LABELS, linear, publish_table, publish_texts, table_line, write_rows

COLUMNS = 4
NAMES = ("additive_r2", "comprehensiveness", "masked_accuracy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("repository")
    return publish_table(repository, linear([3, -2, 1, 0.5]), COLUMNS, labels=LABELS, spread=True)


@pytest.fixture(scope="module")
def model(folder: Path) -> EvaluatedModel:
    return open_published(folder)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    stream = np.random.Generator(np.random.Philox(1))
    values = stream.normal(size=(10, COLUMNS)).round(3).tolist()
    return write_rows(
        tmp_path / "rows.jsonl", [table_line(row, label=LABELS[number % 2]) for number, row in enumerate(values)]
    )


def command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    parsed = parser.parse_args(["evaluate", *arguments])
    return int(parsed.run(parsed))


def numbers(document: object) -> Iterator[float]:
    if isinstance(document, dict):
        for each in document.values():
            yield from numbers(each)
    elif isinstance(document, list):
        for each in document:
            yield from numbers(each)
    elif isinstance(document, float):
        yield document


KILLED = """
import os, signal, sys
from pathlib import Path
from explicate_standards.evaluated_model import open_published
from explicate_standards.evaluation import chosen_metrics, evaluate, plan
from explicate_standards.held_out_rows import read_rows

def told(done, of, rows):
    if done == 4:
        os.kill(os.getpid(), signal.SIGKILL)

folder, rows, partial, *names = sys.argv[1:]
model = open_published(Path(folder))
inputs = read_rows(Path(rows), model, count=8)
evaluate(model, inputs, plan(model, inputs, chosen_metrics(names)), told=told, folder=Path(partial))
"""


def test_a_killed_evaluation_goes_on_and_gives_the_same_json(
    folder: Path, model: EvaluatedModel, rows: Path, tmp_path: Path
) -> None:
    partial = tmp_path / "partial"
    script = [sys.executable, "-c", KILLED, str(folder), str(rows), str(partial), *NAMES]
    killed = subprocess.run(script, check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (file,) = partial.iterdir()
    assert len(file.read_text().splitlines()) == 4
    with file.open("a") as cut:
        cut.write('[7, {"additive_r2": {"defau')  # the process ended inside a line
    inputs = read_rows(rows, model, count=8)
    planned = plan(model, inputs, chosen_metrics(NAMES))
    told: list[tuple[int, int, int]] = []
    resumed = evaluate(model, inputs, planned, told=lambda *each: told.append(each), folder=partial)
    whole = evaluate(model, inputs, planned, folder=tmp_path / "other")
    assert json.dumps(as_document(resumed)) == json.dumps(as_document(whole))
    assert [rows for _, _, rows in told[:4]] == [0, 0, 0, 0]  # nothing went through the model again
    assert told[-1][2] > 0
    assert not list(partial.iterdir()), "what is finished is not kept"


def test_other_rows_or_metrics_do_not_take_over_what_was_measured(
    model: EvaluatedModel, rows: Path, tmp_path: Path
) -> None:
    inputs = read_rows(rows, model, count=3)
    keys = []
    for names in (NAMES, NAMES[:1]):
        planned = plan(model, inputs, chosen_metrics(names))
        with pytest.raises(KeyboardInterrupt):
            evaluate(model, inputs, planned, told=_interrupt, folder=tmp_path / "partial")
        keys.append({path.name for path in (tmp_path / "partial").iterdir()})
    assert len(keys[1]) == 2


def _interrupt(_done: int, _of: int, _rows: int) -> None:
    raise KeyboardInterrupt


def test_a_partial_file_that_was_changed_is_measured_anew(tmp_path: Path) -> None:
    key = {"a": 1}
    with PartialFile(key, tmp_path) as partial:
        partial.add(3, {"additive_r2": {"default": 0.5}})
    with PartialFile(key, tmp_path) as partial:
        assert partial.known == {3: {"additive_r2": {"default": 0.5}}}
        with pytest.raises(UsageError, match="another process"):
            PartialFile(key, tmp_path)
    partial.path.write_text('{"no": "pair"}\n')
    with PartialFile(key, tmp_path) as partial:
        assert partial.known == {}


def test_a_document_has_every_metric_and_no_nan(model: EvaluatedModel, rows: Path, tmp_path: Path) -> None:
    said: list[str] = []
    inputs = read_rows(rows, model, count=5)
    evaluation = measure(model, inputs, chosen_metrics(None), say=said.append, folder=tmp_path)
    document = as_document(evaluation)
    assert [metric["id"] for metric in document["metrics"]] == list(METRICS)
    assert all(math.isfinite(number) for number in numbers(document))
    for metric in document["metrics"]:
        assert ("missing" in metric) != bool(metric.get("figures"))
        for figures in metric.get("figures", {}).values():
            assert figures["lower"] <= figures["value"] <= figures["upper"]
    assert "5 rows, about" in said[0]
    assert "a second about" in said[0]
    table = as_table(evaluation)
    assert all(f"{name}: " in table for name in METRICS)
    message = as_message(evaluation)
    assert [metric.id for metric in message.metrics] == list(METRICS)
    assert message.inputs == 5


def test_the_command_prints_a_table_or_json_and_says_the_estimate(
    folder: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arguments = (str(folder), "--rows", str(rows), "--inputs", "3", "--metrics", "additive_r2,effective_players")
    assert command(*arguments) == 0
    out, err = capsys.readouterr()
    assert "additive_r2.median" in out
    assert "95 % INTERVAL" in out
    assert "model rows in all" in err
    assert command(*arguments, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [metric["id"] for metric in document["metrics"]] == ["additive_r2", "effective_players"]
    assert document["inputs"] == len(document["measured"]) == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "nothing to measure on"),
        (("--inputs", "0", "--rows", "x"), "--inputs must be at least 1"),
        (("--rows", "nowhere.jsonl"), "cannot be read"),
        (("--run", "nowhere"), "has no held_out.jsonl"),
        (("--rows", "x", "--metrics", "beauty"), "there is no metric 'beauty'"),
    ],
)
def test_wrong_usage_is_one_sentence(folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        command(str(folder), *arguments)


def test_what_is_no_bundle_is_refused_in_a_sentence(tmp_path: Path, folder: Path, rows: Path) -> None:
    with pytest.raises(UsageError, match="is not a bundle"):
        command(str(tmp_path), "--rows", str(rows))
    (tmp_path / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(UsageError, match="cannot be measured"):
        command(str(tmp_path), "--rows", str(rows))
    (tmp_path / "manifest.json").write_text((folder / "manifest.json").read_text())
    with pytest.raises(UsageError, match="is missing"):
        command(str(tmp_path), "--rows", str(rows))


HOSTILE: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"{", "line 1: is not JSON"),
    "not UTF-8": (b'{"row": "\xff"}', "line 1: is not JSON"),
    "too deep": (b"[" * 100_000, "line 1: is not JSON"),
    "a NaN": (b'{"row": {}, "label": NaN}', "line 1: is not JSON"),
    "a list": (b"[1, 2]", "line 1: is not a JSON object"),
    "no input": (b'{"text": "a", "label": "no"}', 'line 1: it has no "row"'),
    "a row that is none": (b'{"row": 3}', 'line 1: it has no "row"'),
    "a label of another model": (b'{"row": {"c0": 1, "c1": 1, "c2": 1, "c3": 1}, "label": "x"}', "its label is 'x'"),
    "a label that is a list": (b'{"row": {"c0": 1, "c1": 1, "c2": 1, "c3": 1}, "label": ["no"]}', "its label is "),
    "a word for a number": (b'{"row": {"c0": "much", "c1": 1, "c2": 1, "c3": 1}}', "line 1: "),
    "nothing": (b"\n\n", "has no rows that"),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_rows_are_refused_by_their_line(
    model: EvaluatedModel, tmp_path: Path, content: tuple[bytes, str]
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content[0])
    with pytest.raises(UsageError) as refused:
        read_rows(path, model, count=5)
    assert content[1] in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "rationale", ["good", [3], [[0, 99]], [[2, 1]], ["absent"], [[0.5, 2]], [[True, 2]], {"a": 1}, [[-1, 2]], [[]]]
)
def test_a_rationale_that_is_not_in_its_text_is_refused(tmp_path: Path, rationale: Any) -> None:
    texts = open_published(publish_texts(tmp_path / "repository", {"good": 1.0, "so": 0.0, "bad": -1.0, "it": 0.0}))
    path = write_rows(tmp_path / "rows.jsonl", [{"text": "so good", "label": "yes", "rationale": rationale}])
    inputs = read_rows(path, texts, count=1)
    with pytest.raises(UsageError, match='line 1 of the rows: its "rationale"'):
        evaluate(texts, inputs, plan(texts, inputs, chosen_metrics(["plausibility"])), folder=tmp_path)


def test_texts_that_a_server_refuses_are_passed_over(tmp_path: Path) -> None:
    texts = open_published(publish_texts(tmp_path / "repository", {"good": 1.0, "so": 0.0, "bad": -1.0, "it": 0.0}))
    lines = [{"text": text} for text in ("  ", "a\0b", "\ud800", "so good")]
    inputs = read_rows(write_rows(tmp_path / "rows.jsonl", lines), texts, count=4)
    assert [row.place for row in inputs.inputs] == [4]
    assert inputs.unusable == 3


def test_the_same_inputs_are_drawn_again_and_few_of_them_are_among_many(model: EvaluatedModel, rows: Path) -> None:
    places = [[row.place for row in read_rows(rows, model, count=count).inputs] for count in (4, 4, 8)]
    assert places[0] == places[1] == places[2][:4]


def test_intervals_are_percentiles_of_resampled_statistics() -> None:
    """Of the mean of 400 numbers: about 1.96 standard errors each way."""
    values = np.random.Generator(np.random.Philox(3)).normal(5, 2, 400)
    found = figure("x", values, mean)
    assert found is not None
    half = 1.96 * values.std() / np.sqrt(400)
    assert (found.lower, found.upper) == (
        pytest.approx(values.mean() - half, abs=0.03),
        pytest.approx(values.mean() + half, abs=0.03),
    )
    assert figure("x", np.zeros(0), median) is None


def test_a_difference_is_paired_so_what_is_hard_for_both_takes_nothing_from_it() -> None:
    stream = np.random.Generator(np.random.Philox(3))
    hard = stream.normal(0, 10, 100)
    found = difference("x", hard + 1, hard, mean)
    assert found is not None
    assert (found.lower, found.value, found.upper) == tuple(pytest.approx(1) for _ in range(3))
    with pytest.raises(ValueError, match="cannot be paired"):
        difference("x", hard, hard[1:], mean)


class Stream:
    def __init__(self, *, terminal: bool) -> None:
        self.terminal = terminal
        self.text = ""

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(terminal: bool) -> None:
    now_s = 0.0
    stream, said = Stream(terminal=terminal), list[str]()
    progress = Progress("rows", 0, said.append, stream, clock=lambda: now_s)  # type: ignore[arg-type]
    for done in range(1, 5):
        now_s += 6.0
        progress.told(done, 4, 100 * done)
    progress.end()
    if terminal:
        assert said == []
        assert stream.text.count("\r") == 4
        assert stream.text.endswith("\n")
    else:
        assert stream.text == ""
        assert said == [
            "2 of 4 rows, 200 model rows, 17 rows/s, about 12 s left",
            "4 of 4 rows, 400 model rows, 17 rows/s",
        ]


def test_times_are_told_in_the_unit_that_fits() -> None:
    assert [told_time(seconds) for seconds in (0.1, 59, 600, 9000)] == ["1 s", "59 s", "10 min", "2.5 h"]
