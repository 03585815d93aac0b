"""`explicate auto` from data to bundle, on a tiny table, tiny networks and a clock of its own."""

import csv
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explicate.errors import UsageError
from explicate_standards.evaluated_model import open_published
from explicate_studies.auto.whole import Ended, Request, auto
from support.auto_table import Clock, write_config
from support.tiny_text_model import WORDS, write_tiny_text_model

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
    assert request_.output is not None
    (request_.output / "spent.json").write_text('{"seconds": 61.0}')  # more than it is given
    again = ended(request_, lines)
    assert again.published.bundle == whole.published.bundle
    assert again.paragraph.split("An explanation takes")[0] == whole.paragraph.split("An explanation takes")[0]
    assert sum("finished before," in line for line in lines) == len(NAMES)


def test_the_same_search_held_to_something_else_is_published_anew(
    request_: Request, whole: Ended, tmp_path: Path
) -> None:
    assert request_.output is not None
    shutil.copytree(request_.output, tmp_path / "found")
    (tmp_path / "found" / "spent.json").write_text('{"seconds": 61.0}')
    hard = tmp_path / "hard.toml"
    hard.write_text(STANDARD.format(least=0.999), encoding="utf-8")
    again = ended(replace(request_, output=tmp_path / "found", standard=hard))
    assert whole.published.bundle is not None
    assert again.published.bundle is None
    assert "NOT MET" in again.published.standard


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


def write_reviews(folder: Path) -> Path:
    stream = random.Random(0)
    write_tiny_text_model(folder / "base")
    with (folder / "reviews.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "score"])
        for number in range(160):
            words = [stream.choice(WORDS) for _ in range(8)]
            words[3] = ("wonderful", "horrible")[number % 2]
            writer.writerow([" ".join(words), ("great", "worse")[number % 2]])
    path = folder / "reviews.toml"
    path.write_text(
        '[data]\ntrain = "reviews.csv"\ntext_column = "review"\nlabel_column = "score"\n[model]\nbase = "base"\n'
        "max_tokens = 16\n[training]\nepochs = 1\nbatch_size = 32\n"
    )
    return path


def write_pictures(folder: Path) -> Path:
    stream = np.random.default_rng(0)
    for number in range(120):
        pixels = stream.integers(0, 90, (8, 8, 3)) + (number % 2) * 120
        target = folder / "photos" / ("dark", "light")[number % 2]
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(target / f"{number}.png")
    path = folder / "photos.toml"
    path.write_text(
        '[data]\nimages = "photos"\n[model]\narchitecture = "resnet"\nimage_size = 8\nwidth = 8\ndepth = 1\n'
        "[training]\nepochs = 1\nbatch_size = 32\n"
    )
    return path


@pytest.mark.parametrize(("write", "title"), [(write_reviews, "TF-IDF"), (write_pictures, "nearest neighbours")])
def test_texts_and_pictures_have_a_simple_model_beside_them_that_cannot_win(
    write: Callable[[Path], Path], title: str, tmp_path: Path
) -> None:
    request = Request(str(write(tmp_path)), only=("baseline", "network"), minutes=0.4, output=tmp_path / "found")
    found = ended(request)
    by_name = {one["name"]: one for one in found.result["candidates"]}
    assert not by_name["baseline"]["servable"]
    assert found.result["winner"]["name"] in ("network", "tuned")
    assert title in found.paragraph
    assert {"baseline", "network"} <= {
        one["run"] for one in json.loads((tmp_path / "found/leaderboard.json").read_text())
    }
    # A network of one epoch may not have learnt anything: then it is said, and not published.
    assert found.published.bundle is not None or "not better than" in found.paragraph


def test_check_stops_at_the_plan(request_: Request, tmp_path: Path) -> None:
    lines: list[str] = []
    request = replace(request_, check=True, output=tmp_path / "found")
    assert auto(request, say=lines.append, clock=Clock(of_a_look=0.2)) is None
    assert any(line.startswith("plan for") for line in lines)
    assert not list((tmp_path / "found" / "candidates").iterdir())
