"""`explicate hub`: the folder for the Hub, read by huggingface_hub's own readers."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard, parse_eval_result_entries

from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import check_bundle
from explicate_bundle.input_kind import ModelKind, kind_of
from explicate_bundle.repository import list_models, list_versions
from explicate_export import cli
from explicate_export.errors import UsageError
from explicate_export.hub.hub_folder import HubOptions, eval_results, front_matter
from support.tiny_table_bundle import tiny_table

HOSTILE = 'x": [y]\n---\nlicense: mine # <b>'


@pytest.fixture
def manifest() -> bundle_pb2.Bundle:
    told = bundle_pb2.Bundle(
        model="credit",
        version=2,
        class_labels=["bad", "good"],
        input_kind=bundle_pb2.INPUT_KIND_TABULAR,
        objective=bundle_pb2.OBJECTIVE_CLASSIFICATION,
        metrics={"accuracy": 0.7784431, "f1_macro": 0.71, "auroc": 0.83, "rows": 668},
        provenance=bundle_pb2.Provenance(base_model="new network", data_sha256="ab" * 32),
    )
    for name, lower, upper in (("accuracy", 0.75, 0.81), ("f1_macro", 0.67, 0.75), ("auroc", 0.8, 0.86)):
        told.metric_intervals[name].CopyFrom(bundle_pb2.Interval(lower=lower, upper=upper))
    told.create_time.FromJsonString("2026-11-27T02:30:00Z")
    return told


def kind(manifest: bundle_pb2.Bundle) -> ModelKind:
    found = kind_of(manifest)
    assert found is not None
    return found


def command(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    parsed = parser.parse_args(["hub", *map(str, arguments)])
    return int(parsed.run(parsed))


def test_the_front_matter_is_what_the_hubs_reader_reads(manifest: bundle_pb2.Bundle) -> None:
    options = HubOptions("acme/credit", license="apache-2.0", dataset_name=HOSTILE)
    data = ModelCard(
        f"{front_matter(manifest, kind(manifest), options)}\n# credit\n", ignore_metadata_errors=False
    ).data
    assert (data.library_name, data.license, data.pipeline_tag) == ("explicate", "apache-2.0", "tabular-classification")
    assert data.base_model is None
    found: dict[str, EvalResult] = {one.metric_type: one for one in data.eval_results or []}
    assert {name: one.metric_value for name, one in found.items()} == {
        "accuracy": 0.778443,
        "f1": 0.71,
        "roc_auc": 0.83,
    }
    one = found["f1"]
    assert one.metric_args == {"average": "macro", "interval_95": [0.67, 0.75]}
    assert (one.task_type, one.dataset_name, one.dataset_split) == ("tabular-classification", HOSTILE, "test")
    assert one.dataset_args == {"data_sha256": "ab" * 32}
    assert one.source_url == "https://huggingface.co/acme/credit/blob/main/credit/2/MODEL_CARD.md"


def test_the_entries_are_what_the_hubs_reader_reads(manifest: bundle_pb2.Bundle) -> None:
    manifest.standard.CopyFrom(bundle_pb2.StandardVerdict(name="credit-production", version="1", verdict="met"))
    options = HubOptions("acme/credit", dataset="acme/loans", task="loans_test")
    (entry,) = parse_eval_result_entries(
        yaml.safe_load(yaml.safe_dump(eval_results(manifest, kind(manifest), options)))
    )
    assert (entry.dataset_id, entry.task_id, entry.value) == ("acme/loans", "loans_test", 0.778443)
    assert entry.date == "2026-11-27T02:30:00Z"
    assert entry.source_name == "credit-production 1: met"
    assert entry.source_url == "https://huggingface.co/acme/credit/blob/main/credit/2/standard.json"
    assert entry.notes == "accuracy on the split test, 95 % interval 0.7500 to 0.8100; measured by the publisher"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (HubOptions("a/b", task="t"), "--dataset"),
        (HubOptions("a/b", dataset="a/d", task="t", metric="f2"), "no metric 'f2'"),
    ],
)
def test_what_cannot_be_told_is_named(manifest: bundle_pb2.Bundle, options: HubOptions, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        eval_results(manifest, kind(manifest), options)


def test_the_folder_is_a_repository_that_a_server_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = tiny_table().publish(tmp_path / "made", "loans", version=3)
    folder = tmp_path / "hub"
    assert command(bundle, "--repo", "acme/loans", "--into", folder) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(folder)
    assert "hf upload acme/loans" in told.err
    names, passed_over = list_models(folder)
    assert (names, [one.path for one in passed_over]) == (["loans"], ["README.md"])
    (version,), none = list_versions(folder, "loans")
    assert none == []
    check_bundle(version.folder, model="loans", version=3)
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == {
        path.name: path.read_bytes() for path in version.folder.iterdir()
    }
    card: Any = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "explicate"
    with pytest.raises(UsageError, match="exists already"):
        command(bundle, "--repo", "acme/loans", "--into", folder)


def test_what_is_no_bundle_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "loans" / "1").mkdir(parents=True)
    for wrong in (tmp_path / "loans" / "1", tmp_path):
        with pytest.raises(UsageError):
            command(wrong, "--repo", "a/b", "--into", tmp_path / "hub")
    assert not (tmp_path / "hub").exists()
