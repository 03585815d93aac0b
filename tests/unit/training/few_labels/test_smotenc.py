"""Made-up rows of rare classes: what they are, where they go, and what they do to probabilities."""

import builtins
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate_bundle.columns import TableRows
from explicate_training.table.config import TableConfig, TableTrainingConfig
from explicate_training.table.fitting import TableExamples
from explicate_training.table.resampling.resampling_options import ResamplingConfig
from explicate_training.table.resampling.smotenc import check_resampling, resampled_rows, true_shares
from explicate_training.tasks.registry import task_named

SMOTENC = ResamplingConfig("smotenc")


def rows_of(
    *, common: int = 30, rare: int = 8, numbers: int = 2, codes: int = 1, missing: bool = True
) -> TableExamples:
    """Rows whose rare class has larger numbers and another category."""
    stream = np.random.default_rng(0)
    targets = np.array([0] * common + [1] * rare)
    values = stream.normal(size=(len(targets), numbers)).astype(np.float32) * 100 + 1000 * targets[:, None]
    if missing and numbers:
        values[targets == 1, 0] = np.nan
        values[:4, 0] = np.nan
    categories = np.tile((targets + 2)[:, None], (1, codes)).astype(np.int64)
    return TableExamples(TableRows(values, categories), targets)


@pytest.mark.parametrize(("numbers", "codes"), [(2, 1), (2, 0), (0, 2)])
def test_classes_become_even_and_the_given_rows_stay(numbers: int, codes: int) -> None:
    given = rows_of(numbers=numbers, codes=codes, missing=False)
    found = resampled_rows(given, SMOTENC, seed=0)
    assert np.bincount(found.targets).tolist() == [30, 30]
    np.testing.assert_array_equal(found.encoded.numbers[: len(given.targets)], given.encoded.numbers)
    np.testing.assert_array_equal(found.encoded.codes[: len(given.targets)], given.encoded.codes)
    made = found.encoded.numbers[len(given.targets) :]
    rare = given.encoded.numbers[given.targets == 1]
    if numbers:  # between two rows of the class
        assert (made >= rare.min(axis=0) - 1e-2).all()
        assert (made <= rare.max(axis=0) + 1e-2).all()
    assert set(found.encoded.codes[len(given.targets) :].ravel()) <= {3}


def test_a_number_is_missing_where_its_neighbours_lack_it() -> None:
    given = rows_of()
    found = resampled_rows(given, SMOTENC, seed=0)
    made = found.encoded.numbers[len(given.targets) :]
    assert np.isnan(made[:, 0]).all()  # all rare rows lack the first number
    assert np.isfinite(made[:, 1]).all()


def test_the_seed_decides_and_few_rows_have_fewer_neighbours() -> None:
    given = rows_of(rare=2, missing=False)
    once, again = (resampled_rows(given, SMOTENC, seed=1) for _ in range(2))
    np.testing.assert_array_equal(once.encoded.numbers, again.encoded.numbers)
    other = resampled_rows(given, SMOTENC, seed=2)
    assert (once.encoded.numbers != other.encoded.numbers).any()


def test_a_class_of_one_row_is_refused() -> None:
    with pytest.raises(UsageError, match="a class has one training row"):
        resampled_rows(rows_of(rare=1), SMOTENC, seed=0)


def test_true_shares_take_even_probabilities_to_the_true_ones() -> None:
    targets, even = np.array([0] * 90 + [1] * 10), np.array([0] * 90 + [1] * 90)
    logits = true_shares(targets, even)  # of a model that knows nothing, which answers even logits
    probabilities = np.exp(logits) / np.exp(logits).sum()
    assert probabilities == pytest.approx([0.9, 0.1])


@pytest.mark.parametrize(
    ("task", "training", "named"),
    [
        ("regression", {}, "the label is read as regression"),
        ("multi-label", {}, "the label is read as multi-label"),
        ("classification", {"imbalance": "over-sampling"}, "two remedies"),
    ],
)
def test_what_does_not_go_with_it_is_refused(task: str, training: dict[str, Any], named: str) -> None:
    config = TableConfig(resampling=SMOTENC, training=TableTrainingConfig(**training))
    with pytest.raises(UsageError, match=named):
        check_resampling(config, task_named(task))


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name.startswith("imblearn"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"explicate\[resampling\]"):
        check_resampling(TableConfig(resampling=SMOTENC), task_named("classification"))
    check_resampling(replace(TableConfig()), task_named("regression"))  # off: nothing is needed
