"""What is kept of the training rows for lime is what the lime library keeps; what that lacks has a place of its own."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from lime.lime_tabular import LimeTabularExplainer

from explicate_bundle.table_arrays import write_lime_statistics
from explicate_training.table.background import lime_statistics


def test_statistics_are_those_of_the_library_bin_by_bin() -> None:
    random = np.random.default_rng(2)
    numbers = np.stack([random.normal(size=200), random.exponential(size=200) * 1e6], axis=1).astype(np.float32)
    codes = random.integers(2, 6, size=(200, 1))
    rows = np.concatenate([numbers, codes], axis=1).astype(np.float64)
    explainer = LimeTabularExplainer(rows, categorical_features=[2], random_state=0)
    ours = lime_statistics(numbers, codes, [6])
    for column in range(2):
        discretizer = explainer.discretizer
        np.testing.assert_array_equal(ours.means[column], discretizer.means[column])
        np.testing.assert_array_equal(ours.deviations[column] + 1e-11, discretizer.stds[column])
        np.testing.assert_array_equal(ours.edges[column, :-1], discretizer.mins[column])
        np.testing.assert_array_equal(ours.edges[column, 1:], discretizer.maxs[column])
        np.testing.assert_array_equal(ours.frequencies[column, :4], explainer.feature_frequencies[column])
        assert ours.frequencies[column, 4] == 0
    known = np.array(explainer.feature_values[2], dtype=int)
    np.testing.assert_array_equal(ours.code_frequencies[known], explainer.feature_frequencies[2])
    assert ours.code_frequencies.sum() == pytest.approx(1)
    assert len(ours.code_frequencies) == 6


def test_missing_values_are_a_bin_of_their_own_and_change_no_other() -> None:
    column = np.arange(40, dtype=np.float32)[:, None]
    with_holes = np.concatenate([column, np.full((10, 1), np.nan, np.float32)])
    no_codes = np.zeros((50, 0), np.int64)
    whole, holes = lime_statistics(column, no_codes[:40], []), lime_statistics(with_holes, no_codes, [])
    for name in ("edges", "means", "deviations"):
        np.testing.assert_array_equal(getattr(holes, name), getattr(whole, name))
    np.testing.assert_allclose(holes.frequencies, [[0.2, 0.2, 0.2, 0.2, 0.2]])
    np.testing.assert_allclose(whole.frequencies, [[0.25, 0.25, 0.25, 0.25, 0]])


def test_bins_between_equal_quartiles_are_empty() -> None:
    column = np.array([1.0] * 6 + [2.0, 3.0], dtype=np.float32)[:, None]  # quartiles 1, 1 and 1.25
    ours = lime_statistics(column, np.zeros((8, 0), np.int64), [])
    np.testing.assert_array_equal(ours.edges, [[1, 1, 1, 1.25, 3]])
    np.testing.assert_allclose(ours.frequencies, [[0.75, 0, 0, 0.25, 0]])
    np.testing.assert_allclose(ours.means, [[1, 0, 0, 2.5]])
    np.testing.assert_allclose(ours.deviations, [[0, 0, 0, 0.5]])


def test_columns_without_values_and_tables_without_numbers_have_statistics(tmp_path: Path) -> None:
    empty = lime_statistics(np.full((5, 1), np.nan, np.float32), np.zeros((5, 0), np.int64), [])
    np.testing.assert_array_equal(empty.frequencies, [[0, 0, 0, 0, 1]])
    codes = lime_statistics(np.zeros((4, 0), np.float32), np.array([[0], [1], [2], [2]]), [4])
    np.testing.assert_array_equal(codes.code_frequencies, [0.25, 0.25, 0.5, 0])
    assert codes.edges.shape == (0, 5)
    write_lime_statistics(tmp_path / "lime.npz", codes)
    with np.load(tmp_path / "lime.npz", allow_pickle=False) as arrays:
        for name, array in vars(codes).items():
            np.testing.assert_array_equal(arrays[name], array)


def test_no_row_can_be_read_out_of_the_statistics_but_each_columns_ends() -> None:
    random = np.random.default_rng(5)
    numbers = random.normal(size=(101, 1)).astype(np.float32)
    ours = lime_statistics(numbers, np.zeros((101, 0), np.int64), [])
    kept = {float(value) for array in vars(ours).values() for value in array.ravel()}
    ends = {float(numbers.min()), float(numbers.max())}
    quartiles = {float(value) for value in np.percentile(numbers.astype(np.float64), [25, 50, 75])}
    assert kept & {float(value) for value in numbers.ravel()} <= ends | quartiles
    assert all(low <= high for low, high in pairwise(ours.edges[0]))
