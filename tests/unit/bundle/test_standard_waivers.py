"""Waivers: given at check, on record, counted only where the operator says so, and only until their day."""

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.errors import BundleError, StandardError
from explicate_bundle.standard.gate import StandardGate, Unmet
from explicate_bundle.standard.waivers import Waiver, today, waiver_for, waivers_of
from support.judged_bundles import WORSE, publish_version, read_manifest, record, rows_file, seal, standard_file

REQUIREMENTS = """
{ id = "accuracy", metric = "accuracy", at_least = 0.8 },
{ id = "auroc", metric = "auroc", at_least = 0.8 },
{ id = "brier", metric = "brier", at_most = 0.5 },
"""
DAY = today()
UNTIL = DAY + timedelta(days=30)


def waiver(requirement: str) -> Waiver:
    return Waiver(requirement, "anna", "mended in version 3", UNTIL)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that does not meet two requirements, which are waived."""
    folder = tmp_path_factory.mktemp("waived")
    rows, standard = rows_file(folder / "rows.jsonl"), standard_file(folder / "standard.toml", REQUIREMENTS)
    bundle = publish_version(folder / "repository", WORSE, 1)
    record(bundle, standard, rows, waivers=[waiver("accuracy"), waiver("auroc"), waiver("brier")])
    return bundle


def unmet(bundle: Path, tmp_path: Path, more: str = "", requirements: str = REQUIREMENTS, days: int = 0) -> list[Unmet]:
    gate = StandardGate.read(standard_file(tmp_path / "gate.toml", requirements, more))
    verified = VerifiedBundle(bundle, read_manifest(bundle), "")
    return gate.unmet(verified, None, day=DAY + timedelta(days=days))


def test_the_verdict_says_waived_and_what_is_met_stays_met(published: Path) -> None:
    manifest = read_manifest(published)
    assert (manifest.standard.verdict, manifest.standard.met) == ("waived", 1)
    assert [(one.requirement, one.until) for one in manifest.standard.waivers] == [
        (name, UNTIL.isoformat()) for name in ("accuracy", "auroc", "brier")
    ]
    figures = json.loads((published / "standard.json").read_text())["figures"]
    assert [one["verdict"] for one in figures] == ["waived", "waived", "met"]
    assert figures[0]["note"].startswith(f"not met, waived until {UNTIL} by anna: mended in version 3")


def test_a_waiver_counts_only_where_the_operator_says_so(published: Path, tmp_path: Path) -> None:
    refused = unmet(published, tmp_path)
    assert [(one.requirement, one.waiver) for one in refused] == [("accuracy", None), ("auroc", None)]
    assert all("(this server takes no waivers)" in str(one) for one in refused)
    taken = unmet(published, tmp_path, "waivers = true\n")
    assert [(one.requirement, one.waiver) for one in taken] == [(name, waiver(name)) for name in ("accuracy", "auroc")]


def test_a_waiver_counts_up_to_its_day(published: Path, tmp_path: Path) -> None:
    assert all(one.waiver for one in unmet(published, tmp_path, "waivers = true\n", days=30))
    expired = unmet(published, tmp_path, "waivers = true\n", days=31)
    assert not any(one.waiver for one in expired)
    assert f"its waiver has expired on {UNTIL}" in str(expired[0])


def test_a_waiver_is_for_one_requirement_about_the_same(published: Path, tmp_path: Path) -> None:
    other = '{ id = "accuracy", metric = "auroc", at_least = 0.8 },'
    assert [one.waiver for one in unmet(published, tmp_path, "waivers = true\n", other)] == [None]
    renamed = '{ id = "right", metric = "accuracy", at_least = 0.8 },'
    assert [one.waiver for one in unmet(published, tmp_path, "waivers = true\n", renamed)] == [None]


def test_what_was_not_measured_cannot_be_waived(published: Path, tmp_path: Path) -> None:
    more = '{ id = "accuracy", metric = "f1_macro", at_least = 0.5 },'
    (one,) = unmet(published, tmp_path, "waivers = true\n", more)
    assert (one.problem, one.waiver) == ("was not measured", None)


def test_waivers_in_another_form_are_refused(published: Path, tmp_path: Path) -> None:
    for changed in ({"until": "soon"}, {"who": ""}, {"why": 3}, {"requirement": None}):
        with pytest.raises((ValueError, TypeError)):
            waivers_of([{**waiver("a").document(), **changed}])
    with pytest.raises(TypeError):
        waivers_of({})
    bundle = shutil.copytree(published, tmp_path / "table" / "1")
    path = bundle / "standard.json"
    document = json.loads(path.read_text())
    document["waivers"][0]["until"] = "soon"
    path.write_text(json.dumps(document))
    seal(bundle, read_manifest(bundle))
    with pytest.raises(BundleError, match="not in the format"):
        unmet(bundle, tmp_path)


def test_the_longest_waiver_that_counts_is_taken() -> None:
    longer = replace(waiver("a"), until=UNTIL + timedelta(days=1))
    assert waiver_for([waiver("a"), longer, waiver("b")], "a", DAY) == longer
    assert waiver_for([waiver("a")], "b", DAY) is None


def test_the_switch_is_true_or_false(tmp_path: Path) -> None:
    with pytest.raises(StandardError, match=r"line 4: waivers is 'yes', not true or false"):
        StandardGate.read(standard_file(tmp_path / "s.toml", REQUIREMENTS, 'waivers = "yes"\n'))
