"""Wrong labels: found, listed for a person, and corrected by what the person said."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate.cli.main import main
from explicate.errors import UsageError
from explicate_training.config.config_file import format_config
from explicate_training.image.config import ImageConfig
from explicate_training.label_review.doubts import Doubted, look_for_wrong_labels, review_rows
from explicate_training.label_review.network import NetworkLabels
from explicate_training.label_review.out_of_fold import folds_of, kept_together
from explicate_training.label_review.review_file import ReviewRow, key_of, read_review, write_review
from explicate_training.table.config import TableConfig
from explicate_training.text.config import Config
from explicate_training.text.tfidf import LinearLabels
from explicate_training.train import prepare_data
from support.training_runs import MARKUP

PLANTED = 8


def quietly(*_: object) -> None:
    """Tells nobody."""


def wrongly_labelled(config: Config, folder: Path) -> Config:
    """The reviews with the labels of every 20th row turned; the first eight of them."""
    rows = list(csv.reader(Path(config.data.train).read_text(encoding="utf-8").splitlines()))
    for place in range(1, 1 + 20 * PLANTED, 20):
        rows[place][1] = {"great": "bad", "bad": "great"}[rows[place][1]]
    path = folder / "wrong.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return replace(config, data=replace(config.data, train=str(path)))


def look(config: Any, parts: Sequence[str] = ("train", "validation")) -> tuple[Any, Doubted, list[ReviewRow]]:
    run = prepare_data(config, quietly)
    doubted = look_for_wrong_labels(run, parts=parts, folds=5, say=quietly)
    return run, doubted, review_rows(run, doubted, most=500)


def labels_of(run: Any) -> dict[Any, str]:
    parts = run.splits.by_name().values()
    return {texts: label for part in parts for texts, label in zip(part.texts, part.labels, strict=True)}


def reviewed(rows: Sequence[ReviewRow], path: Path, **of: Any) -> Path:
    """The list with the columns of the reviewer filled in, the same in each row, or by what a function says of it."""
    said = [
        replace(row, **{name: value(row) if callable(value) else value for name, value in of.items()}) for row in rows
    ]
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        write_review(file, said)
    return path


def with_review(config: Any, path: Path) -> Any:
    return replace(config, data=replace(config.data, reviewed_labels=str(path)))


def as_written_by_a_spreadsheet(path: Path, target: Path) -> Path:
    """Semicolons, a mark at the start, columns in another order, one more of them with a line end in its cells."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    names = ["Comment", *sorted(rows[0], reverse=True)]
    with target.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, names, delimiter=";", lineterminator="\r\n")
        writer.writeheader()
        writer.writerows({"Comment": 'first; line\nsecond "line"', **row} for row in rows)
    return target


def test_planted_labels_are_found_and_a_review_corrects_them_in_their_own_split(
    text_config: Config, tmp_path: Path
) -> None:
    config = wrongly_labelled(text_config, tmp_path)
    before, doubted, rows = look(config, ("train", "validation", "test"))
    planted = {1 + 20 * number for number in range(PLANTED)}
    found = planted & {row.row for row in rows}
    assert len(found) >= PLANTED - 1  # texts say their class twice
    assert {row.row for row in rows[: len(found)]} == found
    assert doubted.told()["rows"] == sum(len(part) for part in before.splits.by_name().values())

    mine = [row for row in rows if row.row in found]
    path = reviewed(mine, tmp_path / "reviewed.csv", reviewed_label=lambda row: row.suggested_label, reviewer="Ann")
    again = as_written_by_a_spreadsheet(path, tmp_path / "excel.csv")
    after = prepare_data(with_review(config, again), quietly)
    right = prepare_data(text_config, quietly)
    for name, part in after.splits.by_name().items():
        same = before.splits.by_name()[name]
        assert part.texts.tolist() == same.texts.tolist()
    true, old, new = ({**labels_of(run)} for run in (right, before, after))
    assert sum(old[text] != true[text] for text in new) - sum(new[text] != true[text] for text in new) == len(found)
    assert after.sha256 != before.sha256
    told = after.report["reviewed_labels"]
    assert sum(told["labels_changed"].values()) == len(found)
    assert told["reviewers"] == {"Ann": len(found)}
    touched = sum(row.part == "test" for row in mine)
    assert told["labels_changed"].get("test", 0) == touched
    assert any("another test set" in one for one in after.report.get("warnings", [])) == bool(touched)


def test_a_row_is_dropped_only_where_the_reviewer_says_so(text_config: Config, tmp_path: Path) -> None:
    config = wrongly_labelled(text_config, tmp_path)
    before, _, rows = look(config)
    path = reviewed(rows[:3], tmp_path / "r.csv", drop=lambda row: "yes" if row == rows[0] else "")
    after = prepare_data(with_review(config, path), quietly)
    counts = [sum(map(len, run.splits.by_name().values())) for run in (before, after)]
    assert counts[0] - counts[1] == 1
    assert after.report["reviewed_labels"]["rows_dropped"] == {rows[0].part: 1}
    untouched = reviewed(rows, tmp_path / "u.csv")
    assert prepare_data(with_review(config, untouched), quietly).sha256 == before.sha256


def test_what_was_reviewed_is_not_doubted_again(text_config: Config, tmp_path: Path) -> None:
    config = wrongly_labelled(text_config, tmp_path)
    _, _, rows = look(config)
    path = reviewed(rows[:4], tmp_path / "r.csv", reviewed_label=lambda row: row.given_label)
    run, _, others = look(with_review(config, path))
    assert not {row.row for row in others} & {row.row for row in rows[:4]}
    assert run.report["reviewed_labels"]["labels_confirmed"] == 4


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        ({"key": "k0"}, "line 5, column key: row"),
        ({"given_label": "bad or great"}, "line 5, column given_label: the row was reviewed with the label"),
        ({"reviewed_label": "grat"}, "line 5, column reviewed_label: no class is called 'grat'; did you mean 'great'?"),
        ({"row": "100000"}, "line 5, column row: row 100000 of the train file is not among the rows"),
        ({"row": "one"}, "line 5, column row: 'one' is not the number of a row"),
        ({"file": "tain"}, "line 5, column file: 'tain' is none of train, validation, test"),
        ({"drop": "perhaps"}, "line 5, column drop: 'perhaps' is neither yes nor empty"),
        ({"drop": "yes"}, "line 5, column drop: the row has a reviewed_label, 'great', too"),
    ],
)
def test_a_review_of_other_rows_is_refused_with_line_and_column(
    edit: Mapping[str, str], sentence: str, text_config: Config, tmp_path: Path
) -> None:
    run = prepare_data(text_config, quietly)
    part = run.splits.train
    rows = [
        ReviewRow("train", int(part.numbers[place]), "train", part.labels[place], "", "", "", "two\nlines", "", "")
        for place in range(2)
    ]
    rows = [replace(row, key=key_of(part.content(place)), reviewed_label="great") for place, row in enumerate(rows)]
    rows[1] = replace(rows[1], **edit)  # behind a row of two lines and the header: it begins in line 4
    rows.insert(1, replace(rows[0], reviewed_label="", input="one line"))
    path = reviewed(rows, tmp_path / "r.csv")
    with pytest.raises(UsageError) as refused:
        prepare_data(with_review(text_config, path), quietly)
    assert sentence in str(refused.value)


def test_a_row_that_is_decided_twice_in_two_ways_is_refused(tmp_path: Path) -> None:
    row = ReviewRow("train", 1, "train", "a", "b", "", "", "", "", "k1", reviewed_label="b")
    assert len(read_review(reviewed([row, row], tmp_path / "same.csv"))) == 1
    with pytest.raises(UsageError, match=r"line 3: the row is also in .*line 2 and is decided otherwise"):
        read_review(reviewed([row, replace(row, reviewed_label="a")], tmp_path / "other.csv"))


def test_a_list_without_a_column_of_the_review_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("file,row,given_label\ntrain,1,a\n")
    with pytest.raises(UsageError, match=r"line 1 has no column 'key'"):
        read_review(tmp_path / "r.csv")
    with pytest.raises(UsageError, match="does not exist"):
        read_review(tmp_path / "none.csv")


@pytest.mark.parametrize("label", ["=1+1", "-1", "@a", "+3", "'quoted'", "plain"])
def test_no_cell_is_a_formula_and_labels_come_back_as_they_were(label: str, tmp_path: Path) -> None:
    row = ReviewRow("train", 1, "train", label, label, "0.9", "0.1", "=cmd|' /C calc'!A0", "", "k1", label)
    file = io.StringIO(newline="")
    write_review(file, [row])
    _, cells = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    (tmp_path / "r.csv").write_text(file.getvalue(), encoding="utf-8")
    (decision,) = read_review(tmp_path / "r.csv")
    assert (decision.given, decision.label) == (label, label)


def test_rows_that_are_the_same_and_rows_of_a_group_share_a_fold() -> None:
    stream = np.random.default_rng(0)
    targets, keys = stream.integers(0, 3, 300), stream.integers(0, 200, 300).tolist()
    groups = stream.integers(0, 150, 300).tolist()
    fold = folds_of(targets, kept_together(keys, groups), folds=5, seed=1)
    for names in (keys, groups):
        folds_of_name: dict[int, set[int]] = {}
        for name, number in zip(names, fold.tolist(), strict=True):
            folds_of_name.setdefault(name, set()).add(number)
        assert all(len(found) == 1 for found in folds_of_name.values())


def test_every_class_is_in_every_fold_about_alike_and_rare_ones_are_no_error() -> None:
    targets = np.array([0] * 100 + [1] * 50 + [2] * 2)
    fold = folds_of(targets, np.arange(152), folds=5, seed=0)
    assert np.bincount(fold[100:150]).tolist() == [10] * 5
    assert set(np.bincount(fold[:100]).tolist()) <= {18, 19, 20, 21}
    assert set(fold.tolist()) == set(range(5))


def test_reasons_of_texts_are_the_linear_models_own_terms() -> None:
    texts = [("good soup",), ("bad soup",), ("good tea",), ("bad tea",), ("odd tea",), ("odd soup",)] * 5
    for classes, of in ((2, [0, 1, 0, 1, 1, 0]), (3, [0, 1, 0, 1, 2, 2])):
        model = LinearLabels(texts, np.array(of * 5), classes)
        fitted: Any = model.fit(np.arange(30))
        logs = np.log(fitted.probabilities(np.array([1])))[0]
        sums = sum(reason.amount for reason in fitted.reasons(1, 0, 1))
        inner = fitted._model
        start = inner.intercept_[0] if classes == 2 else inner.intercept_[1] - inner.intercept_[0]
        assert sums + start == pytest.approx(logs[1] - logs[0], abs=0.01)


def test_trees_doubt_rows_of_a_table_and_name_the_column(table_config: TableConfig, tmp_path: Path) -> None:
    rows = list(csv.reader(Path(table_config.data.table).read_text(encoding="utf-8").splitlines()))
    dear = [place for place, row in enumerate(rows[1:], 1) if row[1] and float(row[1]) > 62 and row[-2] == "no"]
    planted = dear[:5]
    for place in planted:
        rows[place][-2] = "yes"  # who pays as much leaves
    path = tmp_path / "wrong.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    config = replace(table_config, data=replace(table_config.data, table=str(path)))
    _, _, found = look(config, ("train", "validation", "test"))
    assert len({row.row for row in found} & set(planted)) >= len(planted) - 1
    mine = next(row for row in found if row.row in planted)
    assert mine.reasons.startswith("price +")
    assert f"price = {float(rows[mine.row][1]):g}"[:10] in mine.input


def test_neighbours_doubt_pictures_and_name_some(image_config: ImageConfig) -> None:
    run = prepare_data(image_config, quietly)
    train = run.splits.train
    train.labels[0] = next(label for label in run.labels if label != train.labels[0])
    run.targets["train"] = run.task.targets(train.labels.tolist(), run.labels)
    doubted = look_for_wrong_labels(run, parts=("train",), folds=5, say=quietly)
    first = review_rows(run, doubted, most=1)[0]
    assert first.input == train.names[0]
    assert first.reasons.startswith("of the 15 nearest pictures")


def test_the_network_itself_may_doubt(text_config: Config, tmp_path: Path) -> None:
    config = wrongly_labelled(text_config, tmp_path)
    config = replace(config, training=replace(config.training, epochs=1))
    run = prepare_data(config, quietly)
    doubted = look_for_wrong_labels(run, parts=("train",), folds=2, say=quietly, model=NetworkLabels(run))
    assert doubted.answers.probabilities.sum(axis=1) == pytest.approx(np.ones(len(run.splits.train)))
    assert len(np.unique(doubted.answers.probabilities[:, 0])) > len(run.splits.train) // 2


def test_numbers_and_several_labels_are_refused(table_config: TableConfig) -> None:
    data = replace(table_config.data, label_column="spend", columns={}, groups={})
    run = prepare_data(replace(table_config, data=data), quietly)
    with pytest.raises(UsageError, match="among classes, and this is a regression"):
        look_for_wrong_labels(run, parts=("train",), folds=5, say=quietly)


def test_without_cleanlab_the_extra_is_named(text_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cleanlab.filter", None)
    with pytest.raises(UsageError, match=r"pip install 'explicate\[labels\]'"):
        look(text_config)


def test_the_command_writes_the_list_and_the_section_and_never_over_a_review(
    text_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / "config.toml").write_text(format_config(wrongly_labelled(text_config, tmp_path)), encoding="utf-8")
    (directory / "report.html").write_text("<h1>a</h1>\n<h2>Data</h2>\n", encoding="utf-8")
    assert main(["labels", str(directory), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    with (directory / "suspects.csv").open(newline="", encoding="utf-8-sig") as file:
        listed = list(csv.DictReader(file))
    assert len(document["suspects"]) == len(listed) == document["doubted"]
    assert list(listed[0]) == list(asdict(ReviewRow(*[""] * 10)))  # type: ignore[arg-type]
    assert main(["labels", str(directory)]) == 2
    assert "may hold a review" in capsys.readouterr().err
    assert main(["labels", str(directory), "--overwrite", "--with-test"]) == 0
    page = (directory / "report.html").read_text(encoding="utf-8")
    assert page.count("<h2>Labels that are likely wrong</h2>") == 1
    assert page.index("likely wrong") < page.index("<h2>Data</h2>")
    assert MARKUP not in page


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--folds", "1"], "--folds must be from 2"),
        (["--count", "0"], "--count"),
        (["--by", "network", "--with-test"], "--with-test"),
    ],
)
def test_wrong_use_is_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["labels", "food-reviews", *arguments]) == 2
    assert sentence in capsys.readouterr().err
