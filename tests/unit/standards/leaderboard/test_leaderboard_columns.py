"""The columns of a leaderboard: runs and bundles side by side, and nothing told that was not measured."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from unit.standards.leaderboard.test_leaderboard import command, write_run

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.objective import CLASSIFICATION
from explicate_standards.held_out_rows import HELD_OUT_NAME
from explicate_standards.leaderboard.boards import as_csv, as_documents, as_text
from explicate_standards.leaderboard.bundles import read_entry
from explicate_standards.leaderboard.ranking import Standing, ranked
from explicate_standards.leaderboard.runs import read_run, rows_digest
from explicate_standards.outcomes.measures import MEASURES
from support.judged_bundles import GOOD, publish_version, read_manifest, record, rows_file, seal, standard_file

SLICES: dict[str, Any] = {
    "measured": "answered rightly",
    "large_is_bad": False,
    "whole": 0.8,
    "groups": [
        {"name": "short", "rows": 30, "value": 0.61, "lower": 0.5, "upper": 0.7, "apart": True},
        {"name": "long", "rows": 30, "value": 0.9, "lower": 0.8, "upper": 1.0, "apart": False},
    ],
    "small": {},
}
REQUIREMENTS = """
  { id = "accuracy", metric = "accuracy", at_least = 0.75 },
  { id = "sites", metric = "accuracy", slices = "all", at_least = 0.5 },
  { id = "calibrated", metric = "calibration_error", at_most = 0.9 },
  { id = "noise", metric = "robustness.noise", ratio = 0.5 },
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle that was judged, with metrics as export puts them into the manifest."""
    folder = publish_version(tmp_path / "repository", GOOD, 1)
    manifest = read_manifest(folder)
    manifest.metrics["accuracy"] = 0.9
    manifest.metric_intervals["accuracy"].CopyFrom(bundle_pb2.Interval(lower=0.86, upper=0.94))
    manifest.test_rows_sha256 = "ab" * 32
    seal(folder, manifest)
    standard = standard_file(tmp_path / "standard.toml", REQUIREMENTS, slices='[slices]\nsite = "column:site"\n')
    record(folder, standard, rows_file(tmp_path / "rows.jsonl"))
    return folder


def standing(*folders: Path) -> Standing:
    (group,) = ranked([read_entry(folder) for folder in folders])
    (found,) = group.standings
    return found


def test_a_run_has_its_worst_slice_and_its_calibration(tmp_path: Path) -> None:
    found = standing(write_run(tmp_path / "one", 0.8, slices=SLICES))
    assert found.worst == ("short", 0.61)
    outcomes = read_run(tmp_path / "one").outcomes
    assert outcomes is not None
    assert found.measured("calibration") == MEASURES["calibration_error"].value(outcomes)
    assert (found.measured("robustness"), found.measured("latency_ms"), found.verdict) == (None, None, None)


def test_seeds_that_do_not_all_have_a_figure_have_none(tmp_path: Path) -> None:
    found = standing(
        write_run(tmp_path / "a", 0.8, seed=0, price=5.0, slices=SLICES), write_run(tmp_path / "b", 0.8, seed=1)
    )
    assert (found.seeds, found.worst, found.pareto) == (2, None, None)
    assert found.mean("evaluations_per_player.median") is None


def test_a_bundle_is_told_by_what_it_has_on_record(bundle: Path) -> None:
    found = standing(bundle)
    assert (found.name, found.seeds, found.rank, found.verdict) == ("table/1", None, None, "met")
    assert (found.value, found.lower, found.upper) == (0.9, 0.86, 0.94)
    # Every tenth row is wrong, at both sites.
    assert found.worst == ("site: A", pytest.approx(0.9))
    assert found.measured("calibration") is not None
    robustness = found.measured("robustness")
    assert robustness is not None
    assert 0.8 < robustness < 1.0
    assert found.train_s is None


def test_what_was_not_measured_is_missing_and_never_0(bundle: Path, tmp_path: Path) -> None:
    manifest = read_manifest(bundle)
    manifest.ClearField("standard")
    manifest.ClearField("metric_intervals")
    (bundle / "standard.json").unlink()
    seal(bundle, manifest)
    groups = ranked([read_entry(bundle)])
    (document,) = as_documents(groups)
    unknown = {name for name, value in document.items() if value is None}
    assert unknown >= {"value", "lower", "upper", "worst_slice", "calibration", "robustness", "latency_ms", "train_s"}
    assert unknown >= {"verdict", "additive_r2.median", "stability", "seeds", "best_rank", "pareto", "standard_sha256"}
    (line,) = csv.DictReader(io.StringIO(as_csv(groups)))
    assert line["value"] == line["calibration"] == line["verdict"] == ""
    shown = as_text(groups, wide=True).splitlines()[3]
    assert "0.0" not in shown.replace(f"{document['size_bytes'] / 1e6:.1f}", "")


def test_a_run_and_a_bundle_of_the_same_rows_share_a_table_and_other_standards_do_not(
    bundle: Path, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", 0.8)
    manifest = read_manifest(bundle)
    manifest.class_labels[:] = ["no", "yes"]
    manifest.test_rows_sha256 = rows_digest(run / HELD_OUT_NAME, CLASSIFICATION, ("no", "yes"))
    seal(bundle, manifest)
    apart = ranked([read_run(run), read_entry(bundle)])
    assert [len(group.standings) for group in apart] == [1, 1]
    assert apart[1].standard == manifest.standard.sha256
    manifest.ClearField("standard")
    (bundle / "standard.json").unlink()
    seal(bundle, manifest)
    (together,) = ranked([read_run(run), read_entry(bundle)])
    assert [one.name for one in together.standings] == ["run", "table/1"]
    assert [one.seeds for one in together.standings] == [1, None]


def test_the_table_fits_into_100_columns_and_wide_has_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        write_run(tmp_path / f"{name}-with-quite-a-long-name-of-its-own", 0.8, epochs=place, price=8.0, slices=SLICES)
        for place, name in enumerate(("one", "two"))
    ]
    assert command(*runs) == 0
    narrow = capsys.readouterr().out
    assert max(map(len, narrow.splitlines())) <= 100
    assert "0.610" in narrow
    assert command(*runs, "-o", "wide") == 0
    wide = capsys.readouterr().out
    assert all(head in wide for head in ("WORST SLICE", "ROBUST", "STABLE", "MASKED", "MB", "MS", "TRAINED", "VERDICT"))
    assert "two-with-quite-a-long-name-of-its-own" in wide


def test_runs_of_the_same_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / where / "credit", 0.8, epochs=place) for place, where in enumerate(("old", "new"))]
    (group,) = ranked([read_run(run) for run in runs])
    assert sorted(one.name for one in group.standings) == ["new/credit", "old/credit"]


def test_a_page_links_the_card_of_a_bundle(bundle: Path, tmp_path: Path) -> None:
    (bundle / "MODEL_CARD.md").write_text("# table\n")
    seal(bundle, read_manifest(bundle))
    assert command(bundle, "--html", tmp_path / "board.html", "-o", "json") == 0
    assert '<a href="repository/table/1/MODEL_CARD.md">table/1</a>' in (tmp_path / "board.html").read_text()


def test_a_bundle_that_was_changed_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "standard.json").write_text(json.dumps({}))
    with pytest.raises(UsageError, match="is not a whole bundle"):
        read_entry(bundle)
    with pytest.raises(UsageError, match="is not the folder of a version"):
        read_entry(bundle.rename(tmp_path / "moved"))
