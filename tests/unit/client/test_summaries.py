"""`explicate summarize`: figures of many scored rows, and their pictures."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import statistics
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from explicate.cli import main
from explicate.errors import UsageError
from explicate.scoring.output_folder import FAILED
from explicate.scoring.run_manifest import MANIFEST
from explicate.scoring.summaries import attribution_sums, charts
from explicate.scoring.summaries.row_sample import RowSample
from explicate.scoring.summaries.scored_parts import ATTRIBUTED, scored_folder
from explicate.scoring.summaries.summary import Summary, summarize
from explicate.views.look import palette

COLUMNS = ("age", "job", "owner")
SVG = "{http://www.w3.org/2000/svg}"
ITEM = pa.struct([("feature", pa.string()), *((name, pa.float64()) for name in ("value", "lower", "upper"))])
Row = dict[str, object]


def rows(count: int, seed: int = 0) -> list[Row]:
    """Rows of a table with what their columns add; one of seven is not explained, some values are missing."""
    draw = random.Random(seed)
    found: list[Row] = []
    for number in range(count):
        added = None if number % 7 == 3 else {name: draw.gauss(place, 1) for place, name in enumerate(COLUMNS)}
        found.append(
            {
                "id": number,
                "years": None if number % 11 == 0 else draw.randrange(18, 90),
                "job": draw.choice(["clerk", "driver"]),
                "owner": draw.random() < 0.5,
                "label": draw.choice(["bad", "good", "good"]),
                "added": added,
            }
        )
    return found


def folder(path: Path, own: list[Row], *, part_rows: int = 40, wide: bool = False, manifest: bool = True) -> Path:
    """The folder that `explicate score` leaves of these rows."""
    (path / FAILED).mkdir(parents=True)
    for number, start in enumerate(range(0, len(own), part_rows)):
        some = own[start : start + part_rows]
        columns = {name: [row[name] for row in some] for name in ("id", "years", "job", "owner", "label")}
        table = pa.table({**columns, "years": pa.array(columns["years"], pa.int64())})
        for name, array in _explained(some, wide=wide).items():
            table = table.append_column(name, array)
        told = [None if row["added"] is None else "exact" for row in some]
        table = table.append_column("stop_reason", pa.array(told, pa.string()))
        spent = [None if row["added"] is None else 8 for row in some]
        pq.write_table(
            table.append_column("evaluations", pa.array(spent, pa.int64())), path / f"part-{number:06d}.parquet"
        )
    if manifest:
        told_of = {
            "model": {"name": "credit", "version": 3, "kind": "tabular-classification"},
            "options": {"columns": {"age": "years"}, "top": 0},
            "plan": {"rows": len(own), "part_rows": part_rows},
        }
        (path / MANIFEST).write_text(json.dumps(told_of))
    return path


def _explained(some: list[Row], *, wide: bool) -> dict[str, pa.Array]:
    if wide:
        return {
            f"attr_{name}": pa.array([row["added"] and row["added"][name] for row in some], pa.float64())
            for name in COLUMNS
        }
    lists = [
        None if row["added"] is None else [{"feature": name, "value": value} for name, value in row["added"].items()]
        for row in some
    ]
    return {"explanation": pa.array(lists, pa.list_(ITEM))}


def summed(path: Path, **how: object) -> Summary:
    return summarize(scored_folder(path), **how)[0]


@pytest.mark.parametrize("wide", [False, True], ids=["long", "wide"])
class TestFigures:
    def test_means_and_intervals_are_those_of_statistics(self, tmp_path, wide):
        own = rows(300)
        summary = summed(folder(tmp_path / "out", own, wide=wide))
        for label in (None, "bad", "good"):
            figures = summary.features
            if label:
                figures = next(each.features for each in summary.classes if each.label == label)
            by_name = {one.feature: one for one in figures}
            for name in COLUMNS:
                values = [row["added"][name] for row in own if row["added"] and label in (None, row["label"])]
                one = by_name[name]
                assert one.rows == len(values)
                for mean, ends, sample in (
                    (one.mean_size, one.mean_size_interval, list(map(abs, values))),
                    (one.mean_value, one.mean_value_interval, values),
                ):
                    half = 1.959963984540054 * statistics.stdev(sample) / math.sqrt(len(sample))
                    assert mean == pytest.approx(statistics.mean(sample))
                    assert ends == pytest.approx((mean - half, mean + half))
            assert [one.feature for one in figures] == sorted(by_name, key=lambda name: -by_name[name].mean_size)

    def test_counts(self, tmp_path, wide):
        own = rows(100)
        path = folder(tmp_path / "out", own, wide=wide)
        failures = {"row": [3, 8, 9], "reason": ["INVALID_FIELD"] * 2 + ["UNREADABLE"], "field": ["age", "age", ""]}
        pq.write_table(pa.table(failures), path / FAILED / "part-000000.parquet")
        summary = summed(path)
        explained = sum(row["added"] is not None for row in own)
        assert (summary.model, summary.rows, summary.explained) == ("credit version 3", 100, explained)
        assert summary.labels["bad"] == sum(row["label"] == "bad" for row in own)
        assert summary.stop_reasons == {"exact": explained, "not explained": 100 - explained}
        assert (summary.mean_evaluations, summary.missing_parts) == (8, 0)
        assert (summary.failed, summary.failed_rows) == ({"INVALID_FIELD: age": 2, "UNREADABLE": 1}, 3)

    def test_parts_make_no_difference(self, tmp_path, wide):
        own = rows(120)
        one = summed(folder(tmp_path / "one", own, part_rows=120, wide=wide))
        many = summed(folder(tmp_path / "many", own, part_rows=7, wide=wide))
        assert [(a.feature, a.rows) for a in one.features] == [(b.feature, b.rows) for b in many.features]
        assert [a.mean_value for a in one.features] == pytest.approx([b.mean_value for b in many.features])


class TestFolders:
    def test_a_run_that_is_not_done_says_so(self, tmp_path):
        path = folder(tmp_path / "out", rows(100))
        (path / "part-000002.parquet").unlink()
        summary = summed(path)
        assert summary.missing_parts == 1
        assert summary.notes == ("the run is not done: 1 of its parts are missing",)

    def test_parts_without_a_manifest_are_summed_up_all_the_same(self, tmp_path):
        summary = summed(folder(tmp_path / "out", rows(50), manifest=False))
        assert (summary.model, summary.rows, summary.missing_parts) == ("", 50, None)

    def test_only_strongest_features_is_said(self, tmp_path):
        path = folder(tmp_path / "out", rows(20))
        told = json.loads((path / MANIFEST).read_text())
        told["options"]["top"] = 2
        (path / MANIFEST).write_text(json.dumps(told))
        assert "only the 2 strongest features" in summed(path).notes[0]

    @pytest.mark.parametrize("what", ["missing", "empty", "cut", "mixed"])
    def test_what_is_not_such_a_folder_is_told(self, tmp_path, what):
        path = tmp_path / "out"
        if what == "empty":
            path.mkdir()
        elif what != "missing":
            folder(path, rows(80))
            part = path / "part-000001.parquet"
            if what == "cut":
                part.write_bytes(part.read_bytes()[:-10])
            else:
                pq.write_table(pa.table({"label": ["a"]}), part)
        told = {
            "missing": "is not a folder", "empty": "there are no parts", "cut": "cannot read .*part-000001",
            "mixed": "part-000001.parquet has other columns than .*part-000000",
        }  # fmt: skip
        with pytest.raises(UsageError, match=told[what]):
            summed(path)

    def test_values_of_a_regression(self, tmp_path):
        (tmp_path / "out").mkdir()
        pq.write_table(pa.table({"value": [1.5, 2.5, 8.0]}), tmp_path / "out" / "part-000000.parquet")
        summary = summed(tmp_path / "out")
        assert summary.values is not None
        assert (summary.values.least, summary.values.mean, summary.values.largest) == (1.5, 4.0, 8.0)
        assert (summary.explained, summary.features, summary.labels) == (0, (), {})

    def test_several_labels_are_counted_one_by_one(self, tmp_path):
        (tmp_path / "out").mkdir()
        labels = pa.array([["a", "b"], ["a"], [], None], pa.list_(pa.string()))
        pq.write_table(pa.table({"labels": labels}), tmp_path / "out" / "part-000000.parquet")
        assert summed(tmp_path / "out").labels == {"a": 2, "b": 1}

    def test_every_class_that_was_explained_has_its_figures(self, tmp_path):
        (tmp_path / "out").mkdir()
        item = pa.struct([("class", pa.string()), *ITEM])
        lists = [
            [{"class": label, "feature": "age", "value": value} for label, value in (("bad", 1.0), ("good", -3.0))]
        ] * 4
        table = pa.table({"label": ["good"] * 4, "explanation": pa.array(lists, pa.list_(item))})
        pq.write_table(table, tmp_path / "out" / "part-000000.parquet")
        summary = summed(tmp_path / "out")
        assert [(each.label, each.features[0].mean_value) for each in summary.classes] == [("bad", 1.0), ("good", -3.0)]
        assert summary.features[0].rows == 8


class TestWords:
    def test_words_are_the_same_without_case_and_what_touches_them(self, tmp_path):
        path = tmp_path / "out"
        path.mkdir()
        lists = [[{"feature": word, "value": 1.0}] for word in ("Soup,", "soup", "SOUP!", "don't", "...")]
        table = pa.table({"label": ["x"] * 5, "explanation": pa.array(lists, pa.list_(ITEM))})
        pq.write_table(table, path / "part-000000.parquet")
        (path / MANIFEST).write_text(json.dumps({"model": {"name": "r", "version": 1, "kind": "text-classification"}}))
        assert {one.feature: one.rows for one in summed(path).features} == {"soup": 3, "don't": 1, "...": 1}

    def test_rare_words_are_forgotten_before_memory_is_full(self, monkeypatch):
        monkeypatch.setattr(attribution_sums, "_MOST_FEATURES", 10)
        sums = attribution_sums.AttributionSums(is_text=True)
        for start in range(0, 30, 5):
            words = ["often", *(f"rare{number}" for number in range(start, start + 5))]
            sums.add(pa.table([[0] * 6, ["x"] * 6, words, [1.0] * 6], schema=ATTRIBUTED))
        assert sums.forgotten > 0
        assert len(sums.overall()) <= 10
        assert next(one for one in sums.overall() if one.feature == "often").rows == 6


class TestSample:
    def test_each_row_is_drawn_as_often_as_any_other(self):
        """Of 40 rows in batches of 8, 10 are drawn; over 400 seeds each about 100 times (standard deviation 8.7)."""
        drawn = [0] * 40
        for seed in range(400):
            sample = RowSample(10, seed, {"x": "x"})
            for start in range(0, 40, 8):
                numbers = list(range(start, start + 8))
                attributed = pa.table(
                    [list(range(8)), [""] * 8, ["x"] * 8, list(map(float, numbers))], schema=ATTRIBUTED
                )
                sample.add(pa.table({"x": numbers}), attributed)
            assert len(sample.rows) == 10
            for row in sample.rows:
                assert row.added["", "x"] == row.values["x"]
                drawn[row.values["x"]] += 1
        assert min(drawn) > 100 - 5 * 8.7
        assert max(drawn) < 100 + 5 * 8.7

    def test_the_same_seed_draws_the_same_rows(self, tmp_path):
        path = folder(tmp_path / "out", rows(300))
        (_, one), (_, again), (_, other) = (summarize(scored_folder(path), dots=20, seed=seed) for seed in (1, 1, 2))
        assert one == again != other
        assert len(one) == 20


class TestPictures:
    @pytest.fixture
    def drawn(self, tmp_path, capsys) -> dict[str, ElementTree.Element]:
        path = folder(tmp_path / "out", rows(300))
        assert (
            main.main(["summarize", str(path), "--svg", str(tmp_path / "svg"), "--html", str(tmp_path / "a.html")]) == 0
        )
        return {file.stem: ElementTree.parse(file).getroot() for file in (tmp_path / "svg").iterdir()}

    def test_there_is_a_pair_for_each_class_and_a_page(self, drawn, tmp_path):
        assert sorted(drawn) == ["bars-bad", "bars-good", "swarm-bad", "swarm-good"]
        page = (tmp_path / "a.html").read_text()
        assert page.count("<svg") == 4
        assert "<script" not in page
        assert "credit version 3" in page

    def test_bars_are_as_long_as_their_means(self, drawn, tmp_path):
        figures = next(each.features for each in summed(tmp_path / "out").classes if each.label == "bad")
        drawn_bars = [float(bar.get("width")) for bar in drawn["bars-bad"].iter(f"{SVG}rect") if bar.get("rx")]
        longest = figures[0].mean_size
        assert drawn_bars == pytest.approx([drawn_bars[0] * one.mean_size / longest for one in figures], abs=0.2)
        whiskers = [path for path in drawn["bars-bad"].iter(f"{SVG}path") if path.get("class") == "whisker"]
        assert len(whiskers) == len(COLUMNS)

    def test_a_dot_lies_where_its_row_is(self, tmp_path):
        path = folder(tmp_path / "out", rows(60))
        summary, drawn_rows = summarize(scored_folder(path), dots=1000)
        own = next(each for each in summary.classes if each.label == "bad")
        names = [one.feature for one in own.features]
        root = ElementTree.fromstring(charts.swarm("t", names, "bad", drawn_rows, unit="u"))
        dots = [dot for dot in root.iter(f"{SVG}circle") if dot.get("r") == str(charts._DOT)]
        of_class = [row for row in drawn_rows if ("bad", "age") in row.added]
        assert len(dots) == len(COLUMNS) * len(of_class)
        xs = sorted(float(dot.get("cx")) for dot in dots[: len(of_class)])
        added = sorted(row.added["bad", names[0]] for row in of_class)
        slope = (xs[-1] - xs[0]) / (added[-1] - added[0])
        assert xs == pytest.approx([xs[0] + slope * (value - added[0]) for value in added], abs=0.2)

    def test_colours_say_what_the_column_holds(self):
        low, high = palette.hexadecimal(palette.LEAST_RGB), palette.hexadecimal(palette.MOST_RGB)
        colours = [
            colour and palette.hexadecimal(colour) for colour in charts._colours([1, None, 2.5, 1000, float("nan")])
        ]
        assert (colours[0], colours[1], colours[3], colours[4]) == (low, None, high, None)
        assert colours[2] == palette.hexadecimal(palette.MIDDLE_RGB)  # by rank: 1000 does not take it
        assert set(charts._colours(["clerk", "driver"])) == {palette.MIDDLE_RGB}
        assert charts._colours([False, True]) == [palette.LEAST_RGB, palette.MOST_RGB]

    def test_names_of_strangers_are_escaped(self):
        sums = attribution_sums.AttributionSums(is_text=False)
        sums.add(pa.table([[0], ["<b>"], ["<script>&"], [1.0]], schema=ATTRIBUTED))
        svg = charts.bars("<&>", sums.overall(), unit="<i>")
        assert "<script" not in svg
        ElementTree.fromstring(svg)

    def test_a_row_alone_and_zeros_can_be_drawn(self):
        sums = attribution_sums.AttributionSums(is_text=False)
        sums.add(pa.table([[0], [""], ["x"], [0.0]], schema=ATTRIBUTED))
        (one,) = sums.overall()
        assert (one.mean_size_interval, one.mean_value) == (None, 0.0)
        ElementTree.fromstring(charts.bars("t", [one], unit="u"))
        ElementTree.fromstring(charts.swarm("t", ["x"], "", [], unit="u"))


class TestCommand:
    def test_a_table_for_people(self, tmp_path, capsys):
        path = folder(tmp_path / "out", rows(300))
        assert main.main(["summarize", str(path), "--format", "table", "--top", "2"]) == 0
        out = capsys.readouterr().out
        assert out.startswith("credit version 3: 300 rows, 257 explained with 8.0 evaluations each\n")
        assert "what features add to bad" in out
        assert "and 1 more" in out

    def test_json_and_csv_have_all_features(self, tmp_path, capsys):
        path = folder(tmp_path / "out", rows(100))
        assert main.main(["summarize", str(path), "--format", "json", "--top", "1"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert [len(each["features"]) for each in document["classes"]] == [3, 3]
        assert main.main(["summarize", str(path), "--format", "csv"]) == 0
        lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert [line["class"] for line in lines] == [""] * 3 + ["bad"] * 3 + ["good"] * 3
        assert float(lines[0]["mean_size"]) == document["features"][0]["mean_size"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("nowhere",), "nowhere is not a folder"),
            (("predicted", "--html", "a.html"), "has predictions only"),
            (("out", "--html", "no/such/folder.html"), "cannot write no/such/folder.html"),
        ],
    )
    def test_mistakes_are_told_in_one_sentence(self, tmp_path, capsys, monkeypatch, arguments, message):
        monkeypatch.chdir(tmp_path)
        folder(Path("out"), rows(20))
        Path("predicted").mkdir()
        pq.write_table(pa.table({"label": ["a"]}), "predicted/part-000000.parquet")
        assert main.main(["summarize", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_memory_does_not_grow_with_the_rows(tmp_path):
    """Arrow's memory while 60,000 rows pass by, at most a few batches of 4,096; all rows would be ten times that."""
    own = rows(1000)
    path = folder(tmp_path / "out", own, part_rows=1000)
    part = pq.read_table(path / "part-000000.parquet")
    pq.write_table(pa.concat_tables([part] * 60), path / "part-000000.parquet", row_group_size=60_000)
    whole = pa.concat_tables([part] * 60).nbytes
    before = pa.total_allocated_bytes()
    peaks = []
    summarize(scored_folder(path), progress=lambda _: peaks.append(pa.total_allocated_bytes() - before))
    assert len(peaks) == 15
    assert max(peaks) < whole / 2


def test_what_score_writes_is_summed_up(explicate, tmp_path):
    """From a CSV file of strangers by way of a condition to figures: the names of columns fit one another."""
    lines = "".join(f"{number};{number % 100};;{'clerk' if number % 2 else ''};no\n" for number in range(60))
    (tmp_path / "in.csv").write_text(f"nr;alter;income;job;owner\n{lines}", encoding="utf-16")
    condition = 'p["bad"] >= 0.3 and job is not null or alter in (1, 3)'
    out = str(tmp_path / "out")
    code, _, said = explicate(
        *("score", "--model", "credit", "--input", str(tmp_path / "in.csv"), "--column", "age=alter"),
        *("--output", out, "--explain", "--explain-if", condition),
    )
    assert (code, pq.read_table(tmp_path / "out")["nr"].to_pylist()) == (0, list(range(60))), said
    expected = sum((number >= 30 and number % 2 == 1) or number in (1, 3) for number in range(60))
    code, printed, _ = explicate("summarize", out, "--format", "json", "--svg", str(tmp_path / "svg"))
    summary = json.loads(printed)
    assert (code, summary["rows"], summary["explained"], summary["model"]) == (0, 60, expected, "credit version 3")
    assert {one["feature"]: one["rows"] for one in summary["features"]} == dict.fromkeys(
        ("age", "income", "job", "owner"), expected
    )
    swarm = next((tmp_path / "svg").glob("swarm*")).read_text()
    assert palette.hexadecimal(palette.LEAST_RGB) in swarm.rpartition("</style>")[2]  # the ages, by way of --column
