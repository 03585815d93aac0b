"""What a run says of its model's worth: export refuses a model that learnt nothing, and carries the verdict on."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from explicate.cli.main import main
from explicate.v1 import bundle_pb2
from explicate_export.errors import TrivialModel, UsageError
from explicate_export.export import ExportOptions, export_run
from support.exported import Bundles, ReuseGraph
from support.judged_bundles import standard_file
from support.run_files import change
from support.tiny_bundle import write_tiny_run

_VALUE, _INTERVAL = 0.812, {"lower": 0.75, "upper": 0.87}
HOSTILE = "always answering '<b>|`x`'"


def verdict(*, learnt: bool) -> dict[str, Any]:
    """As run.json has it."""
    lower = 0.25 if learnt else -0.02
    return {
        "metric": "auroc",
        "title": "AUROC",
        "value": _VALUE,
        "interval": _INTERVAL,
        "rivals": [
            {
                "name": HOSTILE,
                "value": 0.5,
                "interval": {"lower": 0.5, "upper": 0.5},
                "difference": 0.312,
                "difference_interval": {"lower": lower, "upper": 0.37},
            }
        ],
        "learnt": learnt,
        "rows": 40,
        "confidence": 0.95,
        "sentence": f"{'learnt' if learnt else 'learnt nothing'}: test AUROC 0.812 [0.750, 0.870]",
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_tiny_run(tmp_path / "run")


def judge(run: Path, *, learnt: bool) -> None:
    change(run / "run.json", verdict=verdict(learnt=learnt), logit_offsets=[0.5, -0.25])
    intervals = {"accuracy": [0.4, 0.6], "f1_macro": [0.3, 0.5], "per_class": {"great": {"recall": [0.1, 0.4]}}}
    per_class = {label: {"recall": 0.25, "texts": 20} for label in ("other", "great")}
    test = {"accuracy": 0.5, "f1_macro": 0.375, "per_class": per_class, "intervals": intervals}
    change(run / "metrics.json", test=test)


def test_a_model_that_learnt_nothing_is_refused_with_its_figure(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(run, learnt=False)
    repository = tmp_path / "repository"
    with pytest.raises(TrivialModel):
        export_run(run, repository, ExportOptions("m"))
    assert not repository.exists()
    assert main(["export", str(run), "--repository", str(repository)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"is not better than {HOSTILE} (learnt nothing: test AUROC 0.812 [0.750, 0.870])" in said
    assert "publish it all the same with --allow-trivial" in said


def published(folder: Path) -> tuple[bundle_pb2.Bundle, str]:
    manifest = json_format.Parse((folder / "manifest.json").read_text(encoding="utf-8"), bundle_pb2.Bundle())
    return manifest, (folder / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("learnt", [True, False])
def test_the_verdict_is_in_the_manifest_and_on_the_card(
    run: Path, tmp_path: Path, bundles: Bundles, reuse_graph: ReuseGraph, learnt: bool
) -> None:
    judge(run, learnt=learnt)
    reuse_graph(bundles["text"])
    options = ExportOptions("m", allow_trivial=not learnt)
    manifest, card = published(export_run(run, tmp_path / "repository", options))
    assert manifest.verdict.learnt == learnt
    assert manifest.verdict.rivals[0].difference_interval.upper == 0.37
    assert manifest.metric_intervals["accuracy"] == bundle_pb2.Interval(lower=0.4, upper=0.6)
    assert "per_class" not in manifest.metric_intervals
    assert list(manifest.logit_offsets) == [0.5, -0.25]
    assert f"`{manifest.verdict.sentence}`" in card
    assert "| this model | 0.812 [0.75, 0.87] |" in card
    assert "| accuracy | 0.5 [0.4, 0.6] |" in card
    assert "| great | 0.25 [0.1, 0.4] | 20 |" in card
    assert "offsets were added to the logits: `other` +0.50, `great` -0.25" in card
    assert "`always answering '<b>\\|'x''`" in card  # in code quotes, which it cannot end


def test_what_training_did_for_explanations_is_on_the_card(
    run: Path, tmp_path: Path, bundles: Bundles, reuse_graph: ReuseGraph
) -> None:
    masked = [{"removed": 0, "value": 0.875}, {"removed": 0.5, "value": 0.75}]
    did = {"settings": {"additivity": "0.05", "form": '"free"'}, "masked_metric": "accuracy", "masked": masked}
    change(run / "run.json", interpretability=did)
    reuse_graph(bundles["text"])
    _, card = published(export_run(run, tmp_path / "repository", ExportOptions("m")))
    assert '`additivity = 0.05`, `form = "free"`' in card
    assert "| 50% | 0.75 |" in card


def test_a_run_of_before_verdicts_is_published(run: Path, tmp_path: Path, bundles: Bundles, reuse_graph: Any) -> None:
    reuse_graph(bundles["text"])
    manifest, card = published(export_run(run, tmp_path / "repository", ExportOptions("m")))
    assert not manifest.HasField("verdict")
    assert "The run does not say how the model compares with others." in card


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"verdict": {"learnt": True}}, "'verdict' compares with nothing"),
        ({"logit_offsets": [1.0]}, "'logit_offsets' are not one for each label"),
    ],
)
def test_a_verdict_that_makes_no_sense_is_refused(
    run: Path, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    change(run / "run.json", **changes)
    with pytest.raises(UsageError, match=sentence):
        export_run(run, tmp_path / "repository", ExportOptions("m"))


def test_runs_of_other_seeds_reach_the_standard(
    run: Path, tmp_path: Path, bundles: Bundles, reuse_graph: ReuseGraph, capsys: pytest.CaptureFixture[str]
) -> None:
    reuse_graph(bundles["text"])
    wanted = '{ id = "seeds", metric = "seeds.accuracy", at_most = 0.1 }'
    standard = standard_file(tmp_path / "standard.toml", wanted, "minimum_rows = 1\n")
    command = ["export", str(run), "--repository", str(tmp_path / "repository"), "--seeds", str(tmp_path / "no-run")]
    assert main(command) == 2
    assert "--seeds are for what a standard requires of seeds.METRIC: give --standard, too" in capsys.readouterr().err
    assert main([*command, "--standard", str(standard)]) == 2
    assert f"{tmp_path / 'no-run'} is not the folder of a finished `explicate train`" in capsys.readouterr().err
