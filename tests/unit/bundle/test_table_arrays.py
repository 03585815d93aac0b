"""Background and lime statistics of a table's bundle: what does not fit the manifest is refused, by name."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate_bundle.bundle import verify_bundle
from explicate_bundle.errors import BundleError
from support.bundle_edits import edit_arrays
from support.tiny_table_bundle import tiny_table, with_baselines


@pytest.fixture
def folder(table_repository: Path, tmp_path: Path) -> Path:
    """A private copy of the classifier's bundle."""
    return Path(shutil.copytree(table_repository / "loans" / "1", tmp_path / "1"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda a: a.pop("weights"), "not in the format"),
        (lambda a: a.update(numbers=a["numbers"].astype(object)), "not in the format"),  # would be a pickle
        (lambda a: a.update(numbers=a["numbers"].astype(np.float64)), "numbers of type float64, not float32"),
        (lambda a: a.update(weights=a["weights"].astype(np.int64)), "weights of type int64, not float64"),
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
    edit_arrays(folder, "background.npz", change)
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
    edit_arrays(folder, "lime.npz", change)
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
    ("change", "problem"),
    [
        (lambda a: a.pop("offsets"), "not in the format"),
        (lambda a: a.update(numbers=a["numbers"].astype(object)), "not in the format"),  # would be a pickle
        (lambda a: a.update(codes=a["codes"].astype(np.int32)), "codes of type int32, not int64"),
        (lambda a: a.update(offsets=np.array([0, 2, 5])), "groups of other sizes"),
        (lambda a: a.update(offsets=np.array([0, 5])), "groups of other sizes"),
        (lambda a: a.update(weights=a["weights"][:-1]), "groups of other sizes"),
        (lambda a: a.update(weights=np.full(5, 0.2)), "do not sum to 1"),  # all of them do, and no group's do
        (lambda a: a.update(codes=a["codes"] + 3), "not of the manifest's columns"),
    ],
)
def test_groups_of_rows_that_do_not_fit_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], problem: str
) -> None:
    table = with_baselines(tiny_table())
    folder = table.publish(tmp_path, "loans")
    kept = verify_bundle(folder, model="loans", version=1).baselines()
    for name, group in table.baselines:
        np.testing.assert_array_equal(kept[name].numbers, group.numbers)
        np.testing.assert_array_equal(kept[name].weights, group.weights)
    edit_arrays(folder, "baselines.npz", change)
    with pytest.raises(BundleError, match=rf"baselines\.npz.*{problem}"):
        verify_bundle(folder, model="loans", version=1).check_contents()


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("good", "good"), "names in tabular.baselines repeat"),
        (("background",), "the name of the model's own background"),
        (("../x",), "is not a name"),
    ],
)
def test_groups_of_rows_have_names_of_their_own(tmp_path: Path, names: tuple[str, ...], problem: str) -> None:
    table = with_baselines(tiny_table())
    groups = tuple((name, table.baselines[0][1]) for name in names)
    folder = replace(table, baselines=groups).publish(tmp_path, "loans")
    with pytest.raises(BundleError, match=problem):
        verify_bundle(folder, model="loans", version=1)
