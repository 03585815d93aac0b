"""The gate: a bundle's record judged by the operator's standard, whatever its publisher says."""

import json
import shutil
from pathlib import Path

import pytest

from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.errors import BundleError, StandardError
from explicate_bundle.standard.gate import StandardGate
from support.judged_bundles import (
    GOOD,
    WORSE,
    publish_version,
    read_manifest,
    record,
    rows_file,
    seal,
    standard_file,
)

REQUIREMENTS = """
{ id = "accuracy", metric = "accuracy", at_least = 0.8 },
{ id = "auroc", metric = "auroc", at_least = 0.8 },
{ id = "flips", metric = "negative_flips", against = "live", at_most = 0.1 },
{ id = "sites", metric = "accuracy", slices = "all", at_least = 0.75 },
"""
SLICES = '[slices]\nsite = "column:site"\nlow = "c0 < 0"\n'


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model whose version 2 was compared with version 1."""
    folder = tmp_path_factory.mktemp("judged")
    rows = rows_file(folder / "rows.jsonl")
    standard = standard_file(folder / "standard.toml", REQUIREMENTS, slices=SLICES)
    repository = folder / "repository"
    first = publish_version(repository, GOOD, 1)
    second = publish_version(repository, (*GOOD[:2], 1.1), 2)
    record(first, standard, rows)
    record(second, standard, rows, live=first)
    return first.parent


@pytest.fixture
def model(published: Path, tmp_path: Path) -> Path:
    return shutil.copytree(published, tmp_path / "repository" / published.name)


def problems(model: Path, gate: StandardGate, live: bundle_pb2.Bundle | None = None, version: int = 2) -> list[str]:
    bundle = model / str(version)
    return list(map(str, gate.unmet(VerifiedBundle(bundle, read_manifest(bundle), ""), live)))


def gate(tmp_path: Path, requirements: str = REQUIREMENTS, more: str = "", slices: str = SLICES) -> StandardGate:
    return StandardGate.read(standard_file(tmp_path / "gate.toml", requirements, more, slices))


def test_a_bundle_that_meets_the_standard_passes_and_the_manifest_says_so(model: Path, tmp_path: Path) -> None:
    assert problems(model, gate(tmp_path), read_manifest(model / "1")) == []
    verdict = read_manifest(model / "2").standard
    assert (verdict.name, verdict.version, verdict.verdict, verdict.met, verdict.judged) == ("s", "2", "met", 6, 6)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('accuracy", at_least = 0.8 }', 'accuracy", at_least = 0.95 }', "accuracy: accuracy: not met: 0.89"),
        ("at_least = 0.75", "at_least = 0.88", "sites: accuracy of site: A: "),
        ("at_most = 0.1", "at_most = 0.001", "flips: rows that table version 1 has right"),
        ('metric = "auroc"', 'metric = "brier"', "auroc: was not measured"),
        ('slices = "all"', 'slices = ["site"], class = "yes"', "sites: was not measured of the slice site"),
    ],
)
def test_the_operators_lines_count(model: Path, tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in REQUIREMENTS
    found = problems(model, gate(tmp_path, REQUIREMENTS.replace(old, new, 1)), read_manifest(model / "1"))
    assert any(problem.startswith(told) for problem in found), found


def test_a_slice_counts_only_by_its_rule(model: Path, tmp_path: Path) -> None:
    found = problems(model, gate(tmp_path, slices=SLICES.replace("c0 < 0", "c0 < -1")), read_manifest(model / "1"))
    assert found == ["sites: was not measured of the slice low (c0 < -1)"]


def test_more_rows_or_a_higher_confidence_can_be_wanted_than_were_measured(model: Path, tmp_path: Path) -> None:
    live = read_manifest(model / "1")
    assert problems(model, gate(tmp_path, more="confidence = 0.99\n"), live) == [
        "it was judged with a confidence of 0.95, and 0.99 is wanted"
    ]
    assert problems(model, gate(tmp_path, more="confidence = 0.9\n"), live) == []
    few = problems(model, gate(tmp_path, more="minimum_rows = 150\n"), live)
    assert [problem.partition(":")[0] for problem in few] == ["sites"] * 3  # each site, and the low ones
    assert problems(model, gate(tmp_path, more='minimum_rows = 150\ncannot_tell = "warn"\n'), live) == []


def test_a_comparison_with_what_is_no_longer_live_is_stale(model: Path, tmp_path: Path) -> None:
    other = publish_version(tmp_path / "other", WORSE, 3)
    (told,) = problems(model, gate(tmp_path), read_manifest(other))
    assert told.startswith(
        "flips: rows that table version 1 has right and this model has wrong: is stale: it was compared"
    )
    assert "table version 3, which is live" in told


def test_what_was_judged_when_nothing_was_live_passes_as_long_as_nothing_is(model: Path, tmp_path: Path) -> None:
    assert problems(model, gate(tmp_path), version=1) == []
    (told,) = problems(model, gate(tmp_path), read_manifest(model / "2"), version=1)
    assert "is stale" in told


def test_a_bundle_without_a_record_does_not_pass(model: Path, tmp_path: Path) -> None:
    (model / "2" / "standard.json").unlink()
    seal(model / "2", read_manifest(model / "2"))
    assert problems(model, gate(tmp_path)) == [
        "the bundle has no standard.json, and s 2 is required: export it with --standard"
    ]


def test_the_record_of_another_bundle_does_not_pass(model: Path, tmp_path: Path) -> None:
    worse = publish_version(tmp_path / "other", WORSE, 2)
    shutil.copyfile(model / "2" / "standard.json", worse / "standard.json")
    seal(worse, read_manifest(worse))
    assert problems(worse.parent, gate(tmp_path)) == ["its standard.json is about other files: export it anew"]


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"confidence": 1.5},
        {"confidence": "0.95"},
        {"figures": [{}]},
        {"figures": "all"},
        {"rows": -1},
        {"uses": 0.5},
        {"name": None},
    ],
)
def test_a_record_in_another_form_is_refused(model: Path, tmp_path: Path, change: dict[str, object]) -> None:
    path = model / "2" / "standard.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    seal(model / "2", read_manifest(model / "2"))
    with pytest.raises(BundleError, match=r"standard\.json is not in the format"):
        problems(model, gate(tmp_path))


@pytest.mark.parametrize("change", [{"lower": 1.0, "upper": 0.0}, {"value": "0.9"}, {"lower": float("nan")}])
def test_bounds_that_cannot_be_are_refused(model: Path, tmp_path: Path, change: dict[str, object]) -> None:
    path = model / "2" / "standard.json"
    document = json.loads(path.read_text())
    document["figures"][0].update(change)
    path.write_text(json.dumps(document))
    seal(model / "2", read_manifest(model / "2"))
    with pytest.raises(BundleError, match=r"standard\.json is not in the format"):
        problems(model, gate(tmp_path))


def test_other_cases_than_those_of_the_server_do_not_count(model: Path, tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text("{}")
    wanted = gate(tmp_path, '{ id = "x", suite = "a", failures_at_most = 0.1 }', 'suite = "cases.jsonl"\n')
    assert problems(model, wanted) == ["x: its cases were others than those of this server"]
    with pytest.raises(StandardError, match="cannot be read"):
        gate(tmp_path, '{ id = "x", suite = "a", failures_at_most = 0.1 }', 'suite = "none.jsonl"\n')


@pytest.mark.parametrize("line", ["", ', at_least = "a"', ", at_least = 0.1, at_most = 0.2"])
def test_a_requirement_without_one_line_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(StandardError, match="requirement 'x': it has one of at_least"):
        gate(tmp_path, f'{{ id = "x", metric = "accuracy"{line} }}')
