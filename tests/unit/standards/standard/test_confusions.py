"""What is taken for what in slices, and which of them are unlike the rest beyond chance."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import hypergeom
from statsmodels.stats.multitest import multipletests

from explicate_bundle.objective import CLASSIFICATION, MULTI_LABEL, REGRESSION
from explicate_standards.outcomes.confusions import confusions
from explicate_standards.outcomes.outcomes import Outcomes
from explicate_standards.standard.check import check
from explicate_standards.standard.standard import read_standard
from explicate_standards.standard.verdict_report import as_document, confusion_tables
from support.judged_bundles import GOOD, rows_file, standard_file
from support.measured_models import LABELS, linear, publish_table


def answered(targets: np.ndarray, answers: np.ndarray, classes: int = 2) -> Outcomes:
    return Outcomes("m", CLASSIFICATION, tuple("abcde"[:classes]), np.eye(classes)[answers] * 3, targets)


def flipped(stream: np.random.Generator, targets: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    return np.where(stream.random(len(targets)) < share, 1 - targets, targets)


def test_counts_are_those_of_the_rows() -> None:
    targets, answers = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    whole, first = confusions(answered(targets, answers), {"first": np.arange(5) < 3}, 1)
    assert whole.counts.tolist() == [[1, 1], [1, 2]]
    assert first.counts.tolist() == [[1, 1], [0, 1]]
    assert (whole.rows, whole.wrong, first.rows, first.wrong) == (5, 2, 3, 1)


def test_a_slice_that_is_answered_otherwise_is_found_and_one_with_another_mix_of_classes_is_not() -> None:
    stream = np.random.Generator(np.random.Philox(1))
    targets = stream.integers(0, 2, 2000)
    odd = stream.random(2000) < 0.2
    answers = flipped(stream, targets, np.where(odd, 0.3, 0.1))
    mixed = stream.random(2000) < np.where(targets == 1, 0.6, 0.2)
    _, found, other = confusions(answered(targets, answers), {"odd": odd, "mixed": mixed}, 50)
    assert found.differs
    assert not other.differs
    assert "in it" in found.note


def test_of_many_slices_that_are_like_the_rest_few_are_ever_called_different() -> None:
    """With 20 slices at a time, any of them in at most one of twenty times; 60 times know that to ±.06."""
    stream = np.random.Generator(np.random.Philox(2))
    wrong = 0
    for _ in range(60):
        targets = stream.integers(0, 2, 300)
        answers = flipped(stream, targets, 0.15)
        slices = {str(number): stream.random(300) < 0.4 for number in range(20)}
        wrong += any(one.differs for one in confusions(answered(targets, answers), slices, 50))
    assert wrong / 60 <= 0.12


def test_of_one_class_and_two_answers_p_is_the_hypergeometric_one_and_all_are_adjusted_as_statsmodels_does() -> None:
    """Rows of one class alone: how many in the slice are wrong has a known distribution; 999 draws know p to ±.05."""
    stream = np.random.Generator(np.random.Philox(3))
    targets = np.zeros(400, np.intp)
    answers = flipped(stream, targets, 0.1)
    slices = {str(number): stream.random(400) < 0.3 for number in range(6)}
    _, *found = confusions(answered(targets, answers), slices, 50)
    for one, rows in zip(found, slices.values(), strict=True):
        inside, wrong = int(rows.sum()), int(answers.sum())
        possible = np.arange(wrong + 1)
        expected = inside * wrong / 400
        as_far = np.abs(possible - expected) >= abs(int(answers[rows].sum()) - expected) - 1e-9
        assert one.p == pytest.approx(hypergeom.pmf(possible, 400, wrong, inside)[as_far].sum(), abs=0.05)
    adjusted = multipletests([one.p for one in found], method="holm")[1]
    assert [one.adjusted for one in found] == pytest.approx(adjusted.tolist(), abs=1e-12)


def test_few_rows_are_counted_and_not_tested() -> None:
    targets = np.zeros(100, np.intp)
    _, small, most = confusions(
        answered(targets, targets), {"small": np.arange(100) < 10, "most": np.arange(100) < 95}, 50
    )
    assert (small.p, small.note) == (None, "10 rows in it: too few")
    assert (most.p, most.note) == (None, "5 rows outside it: too few")


def test_labels_have_a_table_each_and_numbers_none() -> None:
    stream = np.random.Generator(np.random.Philox(4))
    targets = stream.integers(0, 2, (200, 3)).astype(np.bool_)
    given = Outcomes("m", MULTI_LABEL, ("x", "y", "z"), np.where(targets, 2.0, -2.0), targets)
    found = confusions(given, {"half": np.arange(200) < 100}, 50)
    assert [(one.about, one.slice) for one in found] == [(label, name) for label in "xyz" for name in ("", "half")]
    assert all(one.wrong == 0 and not one.differs for one in found)
    numbers = Outcomes("m", REGRESSION, ("price",), np.zeros((60, 1)), np.zeros(60))
    assert confusions(numbers, {}, 50) == []


def test_a_check_tells_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundle = publish_table(tmp_path / "r", linear(GOOD), len(GOOD), labels=LABELS, spread=True)
    standard = standard_file(
        tmp_path / "s.toml",
        '{ id = "a", metric = "accuracy", at_least = 0.8 }',
        slices='[slices]\nsite = "column:site"\n',
    )
    found = check(read_standard(standard), bundle, rows_file(tmp_path / "rows.jsonl"), say=lambda _: None)
    table = confusion_tables(found)
    assert "all rows: 200 rows, 20 wrong" in table
    assert "site: A: 100 rows, 10 wrong" in table
    assert "adjusted for 2 comparisons (Holm)" in table
    document = json.loads(json.dumps(as_document(found)))
    assert [one.get("slice", "") for one in document["confusions"]] == ["", "site: A", "site: B"]
    assert sum(map(sum, document["confusions"][0]["counts"])) == 200
