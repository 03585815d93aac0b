"""`explicate leaderboard`: who is ahead by more than chance, on runs of which the right order is known."""

import argparse
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate_standards import cli
from explicate_standards.leaderboard.ranking import ranked
from explicate_standards.leaderboard.runs import read_run

ROWS = 400


def write_run(
    folder: Path,
    right: float,
    *,
    seed: int = 0,
    epochs: int = 3,
    price: float | None = None,
    rows: int = ROWS,
    shuffled: bool = False,
    labels: Sequence[str] = ("no", "yes"),
    slices: dict[str, object] | None = None,
) -> Path:
    """A run that has a share of its rows right, each with its own probability; its config says how many epochs."""
    folder.mkdir(parents=True)
    stream = np.random.Generator(np.random.Philox(key=np.array([seed, epochs], np.uint64)))
    hard = np.random.Generator(np.random.Philox(7)).random(rows)
    lines = []
    for number in range(rows):
        label = number % 2
        wins = hard[number] * 0.5 + stream.random() * 0.5 < right
        logits = [1.0, -1.0] if (label == 0) == wins else [-1.0, 1.0]
        lines.append({"text": f"text {number}", "label": labels[label], "outputs": logits})
    if shuffled:
        lines.reverse()
    (folder / "held_out.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "config.toml").write_text(f"[training]\nseed = {seed}\nepochs = {epochs}\n")
    record = {
        "objective": "classification",
        "labels": list(labels),
        "target_name": "label",
        "seed": seed,
        "train_s": 60.0,
    }
    (folder / "run.json").write_text(json.dumps({**record, "seed": seed, "train_s": 60.0}))
    explained = {} if price is None else {"interpretability_metrics": {"evaluations_per_player.median": price}}
    told = {"test": {}, **explained, **({"slices": slices} if slices else {})}
    (folder / "metrics.json").write_text(json.dumps(told))
    (folder / "model").mkdir()
    (folder / "model" / "model.safetensors").write_bytes(b"0" * 2_000_000)
    return folder


def seeds(folder: Path, name: str, right: float, *, epochs: int, price: float | None = None) -> list[Path]:
    return [write_run(folder / f"{name}-{seed}", right, seed=seed, epochs=epochs, price=price) for seed in range(3)]


def command(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    parsed = parser.parse_args(["leaderboard", *map(str, arguments)])
    return int(parsed.run(parsed))


def test_a_recipe_that_is_ahead_by_more_than_chance_is_first_and_equals_share_a_range(tmp_path: Path) -> None:
    runs = [
        *seeds(tmp_path, "good", 0.8, epochs=3),
        *seeds(tmp_path, "like", 0.8, epochs=4),
        *seeds(tmp_path, "bad", 0.5, epochs=5),
    ]
    (group,) = ranked([read_run(run) for run in runs])
    assert {standing.name: standing.rank for standing in group.standings} == {
        "good-0": (1, 2),
        "like-0": (1, 2),
        "bad-0": (3, 3),
    }
    assert [len(standing.runs) for standing in group.standings] == [3, 3, 3]
    assert all(standing.lower <= standing.value <= standing.upper for standing in group.standings)


def test_fewer_than_three_seeds_have_no_rank(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "one", 0.8), write_run(tmp_path / "other", 0.5, epochs=5)]
    (group,) = ranked([read_run(run) for run in runs])
    assert [standing.rank for standing in group.standings] == [None, None]
    assert [standing.name for standing in group.standings] == ["one", "other"]


def test_the_same_rows_in_another_order_are_the_same_rows_and_other_rows_are_not(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "one", 0.8),
        write_run(tmp_path / "two", 0.8, epochs=4, shuffled=True),
        write_run(tmp_path / "few", 0.8, epochs=4, rows=ROWS - 1),
        write_run(tmp_path / "named", 0.8, epochs=4, labels=("non", "oui")),
    ]
    groups = ranked([read_run(run) for run in runs])
    assert [[standing.name for standing in group.standings] for group in groups] in (
        [["one", "two"], ["few"], ["named"]],
        [["two", "one"], ["few"], ["named"]],
    )


def test_pareto_marks_what_none_beats_in_both(tmp_path: Path) -> None:
    prices = {"best": (0.85, 12.0), "cheap": (0.7, 6.0), "neither": (0.6, 9.0), "unknown": (0.9, None)}
    for number, (name, (right, price)) in enumerate(prices.items()):
        write_run(tmp_path / name, right, epochs=number + 1, price=price)
    (group,) = ranked([read_run(tmp_path / name) for name in prices])
    marks = {standing.name: standing.pareto for standing in group.standings}
    assert marks == {"best": True, "cheap": True, "neither": False, "unknown": None}


def test_it_is_printed_as_a_table_csv_json_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = seeds(tmp_path, "a <b>", 0.8, epochs=3, price=8.0)
    (runs[0] / "report.html").write_text("")
    assert command(*runs, "--html", tmp_path / "board.html") == 0
    told = capsys.readouterr().out
    assert "accuracy on the same 400 held-out rows, higher is better" in told
    assert "pareto" in told
    page = (tmp_path / "board.html").read_text()
    assert '<a href="a%20%3Cb%3E-0/report.html">a &lt;b&gt;-0</a>' in page
    assert "<b>" not in page
    assert command(*runs, "--csv") == 0
    (line,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (line["seeds"], line["best_rank"], line["worst_rank"]) == ("3", "1", "1")
    assert command(*runs, "--json", "--metric", "f1_macro") == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert (document["metric"], document["train_s"], document["size_bytes"]) == ("f1_macro", 60.0, 2_000_000)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda run: (run / "run.json").write_text("{"), "is not the folder of a finished"),
        (lambda run: (run / "run.json").write_text('{"objective": "ranking"}'), "'objective' is 'ranking'"),
        (lambda run: (run / "held_out.jsonl").write_text('{"outputs": [1]}'), "are not 2 numbers"),
        (lambda run: (run / "held_out.jsonl").write_text('{"outputs": [1, 2], "label": "x"}'), "its label is 'x'"),
        (lambda run: (run / "held_out.jsonl").write_text('{"outputs": [1, 2]}'), "has no rows that say what is right"),
        (lambda run: (run / "config.toml").write_text("["), "cannot be read"),
    ],
)
def test_what_is_not_a_run_is_named(tmp_path: Path, change: object, told: str) -> None:
    run = write_run(tmp_path / "run", 0.8)
    change(run)  # type: ignore[operator]
    with pytest.raises(UsageError, match=told):
        read_run(run)


@pytest.mark.parametrize(("metric", "told"), [("r2", "is not of what these runs predict"), ("x", "is not a metric")])
def test_another_metric_is_refused(tmp_path: Path, metric: str, told: str) -> None:
    run = write_run(tmp_path / "run", 0.8)
    with pytest.raises(UsageError, match=told):
        command(run, "--metric", metric)
