"""`explicate auto` from data to bundle, on a tiny table, tiny networks and a clock of its own."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from explicate.errors import UsageError
from explicate_standards.evaluated_model import open_published
from explicate_studies.auto.whole import Ended, Request, auto
from support.auto_table import Clock, write_config

STANDARD = """
[standard]
name = "stays"
version = "1"
minimum_rows = 20
require = [ {{ id = "right", metric = "accuracy", at_least = {least} }} ]
"""
NAMES = ("linear", "network")


def ended(request: Request, lines: list[str] | None = None, clock: Clock | None = None) -> Ended:
    found = auto(request, say=(lines if lines is not None else []).append, clock=clock or Clock(of_a_look=0.2))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> Request:
    folder = tmp_path_factory.mktemp("auto")
    standard = folder / "standard.toml"
    standard.write_text(STANDARD.format(least=0.6), encoding="utf-8")
    return Request(
        str(write_config(folder)),
        minutes=1,
        only=(*NAMES, "additive"),
        standard=standard,
        output=folder / "found",
        name="stays",
    )


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture(scope="module")
def whole(request_: Request, lines: list[str]) -> Ended:
    return ended(request_, lines)


def test_the_plan_is_said_before_anything_is_trained(whole: Ended, lines: list[str]) -> None:
    planned = next(place for place, line in enumerate(lines) if line.startswith("plan for 1 min"))
    trained = next(place for place, line in enumerate(lines) if "validation AUROC" in line)
    assert planned < trained
    assert all(any(line.startswith(f"  {name}") for line in lines[planned:trained]) for name in (*NAMES, "additive"))


def test_the_winner_is_a_bundle_that_meets_the_standard_and_serves(whole: Ended) -> None:
    bundle = whole.published.bundle
    assert bundle is not None
    assert bundle.parts[-3:] == ("repository", "stays", "1")
    model = open_published(bundle)
    assert model.labels == ("no", "yes")
    assert model.bundle.manifest.standard.verdict == "met"
    assert whole.published.standard.startswith("MET: the model meets stays 1")


def test_the_paragraph_says_why_with_figures(whole: Ended) -> None:
    winner = whole.result["winner"]["name"]
    told = next(one for one in whole.result["candidates"] if one["name"] == winner)
    assert whole.paragraph.startswith(f"{winner} (")
    assert f"AUROC {told['metric']['value']:.4f} [" in whole.paragraph
    assert "\n" not in whole.paragraph
    assert "held-out rows, which chose nothing, it has AUROC" in whole.paragraph
    assert "rows of the model for each part of an input" in whole.paragraph
    assert "Not tried for lack of time: additive (a sum of networks over columns)." in whole.paragraph
    assert "The standard, judged once on the held-out rows: MET" in whole.paragraph


def test_the_folder_has_report_leaderboard_and_runs(request_: Request, whole: Ended) -> None:
    folder = request_.output
    assert folder is not None
    page = whole.report.read_text(encoding="utf-8")
    assert "What was tried" in page
    assert "leaderboard.html" in page
    assert "the model meets stays 1" in page
    board = json.loads((folder / "leaderboard.json").read_text())
    assert {one["run"] for one in board} == {one["name"] for one in whole.result["candidates"]} >= set(NAMES)
    assert len({one["rows"] for one in board}) == 1
    for one in whole.result["candidates"]:
        assert (Path(one["run"]) / "run.json").is_file()
    assert not list(folder.glob(".bundle-*"))


def test_the_same_command_again_trains_nothing_and_publishes_nothing_new(request_: Request, whole: Ended) -> None:
    lines: list[str] = []
    again = ended(request_, lines)
    assert again.published.bundle == whole.published.bundle
    assert again.paragraph.split("An explanation takes")[0] == whole.paragraph.split("An explanation takes")[0]
    assert sum("finished before" in line for line in lines) == len(NAMES)


def test_other_data_do_not_go_into_the_same_folder(request_: Request, whole: Ended) -> None:
    with pytest.raises(UsageError, match="holds a search with another config: choose another folder with --output"):
        ended(replace(request_, seed=5))


def test_a_standard_that_is_not_met_is_told_and_nothing_is_published(request_: Request, tmp_path: Path) -> None:
    hard = tmp_path / "hard.toml"
    hard.write_text(STANDARD.format(least=0.999), encoding="utf-8")
    found = ended(replace(request_, standard=hard, only=("linear",), output=tmp_path / "found"))
    assert found.published.bundle is None
    assert not (tmp_path / "found" / "repository" / "stays" / "1").exists()
    assert "The standard, judged once on the held-out rows: NOT MET" in found.paragraph
    assert found.result["bundle"] is None


def test_too_little_time_is_refused_before_anything_is_trained(request_: Request, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--minutes 0\.005 is too short: .*; give --minutes \d+"):
        ended(replace(request_, minutes=0.005, output=tmp_path / "found"))
    assert not list((tmp_path / "found" / "candidates").iterdir())


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"minutes": 0.0}, "--minutes must be above 0"),
        ({"task": "guess"}, "--task must be one of classification, multi-label, regression"),
        ({"name": "No Name"}, "the winner could not be published: 'No Name' cannot name a model"),
        ({"standard": Path("nowhere.toml")}, "nowhere.toml"),
        ({"only": ("forest",)}, "there is no candidate 'forest' for such data"),
        ({"metric": "speed"}, "tune.metric must be auto or one of"),
    ],
)
def test_wrong_wishes_are_refused(request_: Request, tmp_path: Path, changed: dict[str, object], refusal: str) -> None:
    wrong = replace(request_, output=tmp_path / "found")
    with pytest.raises(UsageError, match=refusal):
        ended(replace(wrong, **changed))  # type: ignore[arg-type]


def test_check_stops_at_the_plan(request_: Request, tmp_path: Path) -> None:
    lines: list[str] = []
    request = replace(request_, check=True, output=tmp_path / "found")
    assert auto(request, say=lines.append, clock=Clock(of_a_look=0.2)) is None
    assert any(line.startswith("plan for") for line in lines)
    assert not list((tmp_path / "found" / "candidates").iterdir())
