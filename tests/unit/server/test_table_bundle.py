"""Bundles of tabular models: what does not fit the manifest is refused, by name."""

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate_bundle.bundle import verify_bundle
from explicate_bundle.errors import BundleError
from explicate_bundle.golden import GoldenRows
from explicate_server.modalities.modalities import open_modality
from explicate_server.registry.runtime_choice import AUTO, choose_runtime
from explicate_server.runtime.runtimes import RUNTIMES
from explicate_server.settings import Settings
from support.bundle_edits import edit_manifest, replace_file
from support.tiny_table_bundle import TARGET_NAME, tiny_table


@pytest.fixture
def folder(table_repository: Path, tmp_path: Path) -> Path:
    """A private copy of the classifier's bundle."""
    return Path(shutil.copytree(table_repository / "loans" / "1", tmp_path / "1"))


@pytest.mark.parametrize("model", ["loans", "losses"])
def test_every_runtime_gives_the_golden_answers_and_attributions(table_repository: Path, model: str) -> None:
    bundle = verify_bundle(table_repository / model / "1", model=model, version=1)
    modality = open_modality(bundle, Settings())
    _, trials = choose_runtime(bundle, modality, runtime=AUTO, threads=2)
    assert {trial.runtime for trial in trials} == {f"{name}-cpu" for name in RUNTIMES}
    for trial in trials:
        assert trial.passed, trial.reason
        assert trial.attribution_difference is not None


def test_golden_rows_are_read_as_inputs_with_their_answers(folder: Path) -> None:
    golden = verify_bundle(folder, model="loans", version=1).golden()
    assert isinstance(golden, GoldenRows)
    table = tiny_table()
    numbers, codes = table.rows(len(golden.inputs), seed=99)
    np.testing.assert_allclose(golden.outputs, table.answers(numbers, codes), atol=1e-6)
    for row, value in enumerate(golden.inputs):
        asked = table.cells(numbers[row], codes[row])
        assert {name: value.cells[name] for name in asked if asked[name] != "never seen"} == {
            name: cell for name, cell in asked.items() if cell != "never seen"
        }


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m: m.pop("class_labels"), "0 class_labels"),
        (lambda m: m.update(objective="OBJECTIVE_REGRESSION"), "class_labels of a regression"),
        (lambda m: (m.update(objective="OBJECTIVE_REGRESSION"), m.pop("class_labels")), "target_name is empty"),
        (lambda m: m.update(text={"max_tokens": 128}), "text is set"),
        (lambda m: m.update(input_kind="INPUT_KIND_TEXT"), "tabular is set"),
        (lambda m: m["tabular"].pop("columns"), "0 tabular.columns"),
        (lambda m: m["tabular"].update(background_rows=0), "background_rows is 0"),
        (lambda m: m["tabular"].update(background_rows=1 << 20), "background_rows"),
        (lambda m: m["tabular"]["columns"][0].update(name="purpose"), "names in tabular.columns repeat"),
        (lambda m: m["tabular"]["columns"][0].update(name=""), "name in tabular.columns is empty"),
        (lambda m: m["tabular"]["columns"][0].update(categories=["1"]), r"tabular\.columns\[income\] has numbers and"),
        (lambda m: m["tabular"]["columns"][0].pop("type"), r"type 0 of tabular\.columns\[income\]"),
        (lambda m: m["tabular"]["columns"][1].pop("categories"), r"columns\[purpose\] has no categories"),
        (lambda m: m["tabular"]["columns"][1].update(categories=["car", "car"]), "repeat"),
        (
            lambda m: m["tabular"]["columns"][3].update(categories=["no", "yes"]),
            r"\[owner\] are \['no', 'yes'\]",
        ),
        (lambda m: m.update(files=[f for f in m["files"] if f["name"] != "background.npz"]), "do not list background"),
        (lambda m: m.update(files=[f for f in m["files"] if f["name"] != "lime.npz"]), "do not list lime"),
    ],
)
def test_a_manifest_that_lies_is_refused_and_the_field_named(
    folder: Path, change: Callable[[dict[str, Any]], object], named: str
) -> None:
    edit_manifest(folder, change)
    with pytest.raises(BundleError, match=named):
        verify_bundle(folder, model="loans", version=1)


def test_a_regressions_target_has_a_name(table_repository: Path) -> None:
    manifest = verify_bundle(table_repository / "losses" / "1", model="losses", version=1).manifest
    assert (manifest.target_name, list(manifest.class_labels)) == (TARGET_NAME, [])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda a: a.pop("weights"), "not in the format"),
        (lambda a: a.update(numbers=a["numbers"].astype(object)), "not in the format"),  # would be a pickle
        (lambda a: a.update(weights=a["weights"][:-1]), "the manifest says 5 rows"),
        (lambda a: a.update(weights=a["weights"] * 2), "do not sum to 1"),
        (lambda a: a.update(weights=a["weights"] - 1), "below 0"),
        (lambda a: a.update(numbers=a["numbers"][:, :-1]), "not of the manifest's columns"),
        (lambda a: a.update(numbers=a["numbers"] + np.inf), "not of the manifest's columns"),
        (lambda a: a.update(codes=a["codes"] + 3), "not of the manifest's columns"),
        (lambda a: a.update(codes=a["codes"] - 9), "not of the manifest's columns"),
        (lambda a: a.update(codes=a["codes"][:-1]), "has 4 rows"),
    ],
)
def test_a_background_that_does_not_fit_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], problem: str
) -> None:
    change_arrays(folder, "background.npz", change)
    with pytest.raises(BundleError, match=rf"background\.npz.*{problem}"):
        verify_bundle(folder, model="loans", version=1).background()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda a: a.pop("edges"), "not in the format"),
        (lambda a: a.update(means=np.array([{}] * 16, dtype=object)), "not in the format"),  # would be a pickle
        (lambda a: a.update(edges=a["edges"][:, :-1]), r"edges of shape \(4, 4\)"),
        (lambda a: a.update(means=a["means"][:-1]), r"means of shape \(3, 4\)"),
        (lambda a: a.update(code_frequencies=a["code_frequencies"][:-1]), "code_frequencies of shape"),
        (lambda a: a.update(edges=a["edges"][:, ::-1]), "edges that do not ascend"),
        (lambda a: a.update(edges=a["edges"] * np.inf), "edges that are not finite"),
        (lambda a: a.update(edges=a["edges"] * 1e39), "edges beyond the numbers"),
        (lambda a: a.update(means=a["means"] * np.nan), "means that are not finite"),
        (lambda a: a.update(deviations=a["deviations"] - 9), "deviations below 0"),
        (lambda a: a.update(frequencies=a["frequencies"] * 2), "frequencies that are below 0 or do not sum to 1"),
        (lambda a: a.update(code_frequencies=np.roll(a["code_frequencies"], 1)), "do not sum to 1"),
        (lambda a: a.update(frequencies=a["frequencies"] - [2, -2, 0, 0, 0]), "below 0"),
    ],
)
def test_statistics_for_lime_that_do_not_fit_are_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], problem: str
) -> None:
    change_arrays(folder, "lime.npz", change)
    with pytest.raises(BundleError, match=rf"lime\.npz.*{problem}"):
        verify_bundle(folder, model="loans", version=1).lime_statistics()


def test_statistics_for_lime_are_read_as_they_were_written_and_none_where_there_are_none(
    folder: Path, tmp_path: Path
) -> None:
    read = verify_bundle(folder, model="loans", version=1).lime_statistics()
    assert read is not None
    for name, array in vars(tiny_table().lime_statistics()).items():
        np.testing.assert_array_equal(getattr(read, name), array)
    without = replace(tiny_table(), lime_missing=None).publish(tmp_path / "other", "loans")
    assert verify_bundle(without, model="loans", version=1).lime_statistics() is None


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.pop("outputs"),
        lambda a: a.update(outputs=a["outputs"][:, :2]),
        lambda a: a.update(outputs=a["outputs"][:-1]),
        lambda a: a.update(numbers=a["numbers"][:-1]),
        lambda a: a.update(codes=a["codes"] + 3),
        lambda a: a.update(numbers=a["numbers"].astype(object)),
        lambda a: a.pop("attribution_rows"),
        lambda a: a.update(attribution_rows=a["attribution_rows"] + 1000),
        lambda a: a.update(attribution_values=a["attribution_values"] * np.nan),
        lambda a: a.update(attribution_offsets=a["attribution_offsets"][::-1]),
    ],
)
def test_golden_arrays_that_do_not_fit_are_refused(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    change_arrays(folder, "golden.npz", change)
    with pytest.raises(BundleError, match=r"golden\.npz"):
        verify_bundle(folder, model="loans", version=1).golden()


def change_arrays(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    with np.load(folder / name) as stored:
        arrays = dict(stored)
    change(arrays)
    content = io.BytesIO()
    np.savez(content, **arrays)
    replace_file(folder, name, content.getvalue())
