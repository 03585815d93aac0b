"""`explicate export --evaluate`: the figures in the manifest, the card, and the run's metrics and report."""

import json
from pathlib import Path

import pytest
from google.protobuf import json_format

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import verify_bundle
from explicate_export import cli
from explicate_export.export import ExportOptions, export_run
from explicate_standards.metrics.interpretability import METRICS
from support.tiny_bundle import compose_texts, write_tiny_run

NAMES = ("masked_accuracy", "additive_r2", "evaluations_per_player", "comprehensiveness", "sufficiency")
REPORT = "<html><body><h2>Metrics</h2><h2>Training</h2><p>steps</p></body></html>"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run") / "run"
    write_tiny_run(directory, texts=[*compose_texts(8, seed=4, longest=12)])
    (directory / "report.html").write_text(REPORT, encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def folder(run: Path, said: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        options = ExportOptions("tiny", allow_trivial=True, evaluated_inputs=3, evaluated_metrics=NAMES)
        export_run(run, repository, options, say=said.append)
        return export_run(run, repository, options, say=said.append)


def test_the_manifest_has_the_figures_under_its_digests(folder: Path, said: list[str]) -> None:
    manifest = verify_bundle(folder, model="tiny", version=2).manifest
    measured = manifest.interpretability
    assert [metric.id for metric in measured.metrics] == list(NAMES)
    assert measured.inputs == 3
    assert len(measured.rows_sha256) == 64
    for metric in measured.metrics:
        assert metric.sentence
        for figure in metric.figures:
            assert figure.interval.lower <= figure.value <= figure.interval.upper
    assert any("model rows in all" in line for line in said)


def test_the_card_tells_them_with_their_intervals(folder: Path) -> None:
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    manifest = json_format.Parse(text, bundle_pb2.Bundle())
    assert "## How well it can be explained" in card
    for metric in manifest.interpretability.metrics:
        assert f"| {METRICS[metric.id].title} |" in card
        assert metric.sentence in card


def test_the_run_gets_the_figures_once_however_often_it_is_exported(run: Path, folder: Path) -> None:
    assert folder.is_dir()
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    told = metrics["interpretability_metrics"]
    assert told["inputs"] == 3
    lower, upper = told["intervals"]["additive_r2.median"]
    assert lower <= told["additive_r2.median"] <= upper
    report = (run / "report.html").read_text(encoding="utf-8")
    assert report.count("<h2>How well it can be explained</h2>") == 1
    assert report.count("<svg") == 4
    assert report.index("How well") < report.index("<h2>Training</h2>")
    document = json.loads((run / "interpretability.json").read_text(encoding="utf-8"))
    assert len(document["measured"]) == 3


def test_without_the_flag_nothing_is_measured(run: Path, tmp_path: Path) -> None:
    folder = export_run(run, tmp_path, ExportOptions("tiny", allow_trivial=True))
    manifest = verify_bundle(folder, model="tiny", version=1).manifest
    assert not manifest.HasField("interpretability")
    assert "## How well it can be explained" not in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--evaluate", "--evaluate-inputs", "0"], "--evaluate-inputs must be at least 1"),
        (["--evaluate", "--evaluate-metrics", "beauty"], "there is no metric 'beauty'"),
    ],
)
def test_wrong_flags_are_refused_before_anything_is_done(
    run: Path, tmp_path: Path, flags: list[str], sentence: str
) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    arguments = parser.parse_args(["export", str(run), "--repository", str(tmp_path / "new"), *flags])
    with pytest.raises(UsageError, match=sentence):
        arguments.run(arguments)
    assert not (tmp_path / "new").exists()
