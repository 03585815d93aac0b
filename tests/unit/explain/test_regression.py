"""The regression beneath the estimators, against refitting and against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV

from explicate_server.explain.estimators.local_model import fit_local_model
from explicate_server.explain.statistics.least_squares import PENALTY_GRID, Design, sandwich_variances


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    rows = random.normal(size=(30, 6))
    return rows, rows @ random.normal(size=(6, 2)) + random.normal(size=(30, 2))


@pytest.mark.parametrize("penalty", [0.0, 2.5])
def test_coefficients_are_those_of_scikit_learn(data: tuple[np.ndarray, np.ndarray], penalty: float) -> None:
    rows, targets = data
    expected = Ridge(alpha=penalty, fit_intercept=False, solver="svd").fit(rows, targets).coef_.T
    assert Design(rows).fit(targets, penalty).coefficients == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("penalty", [0.0, 2.5])
def test_left_out_residuals_are_those_of_a_refit_without_the_row(
    data: tuple[np.ndarray, np.ndarray], penalty: float
) -> None:
    rows, targets = data
    left_out = Design(rows).fit(targets, penalty).left_out_residuals
    for row in range(len(rows)):
        others = np.arange(len(rows)) != row
        refit = Ridge(alpha=penalty, fit_intercept=False, solver="svd").fit(rows[others], targets[others])
        assert left_out[row] == pytest.approx(targets[row] - rows[row] @ refit.coef_.T, abs=1e-10)


def test_the_penalty_is_the_one_with_the_least_generalised_cross_validation_error(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    rows, targets = data
    noisy = targets[:, 0] + 3 * np.random.default_rng(1).normal(size=30)

    def gcv(penalty: float) -> float:
        hat = rows @ np.linalg.solve(rows.T @ rows + penalty * np.eye(6), rows.T)
        return float(((noisy - hat @ noisy) ** 2).mean() / (1 - np.trace(hat) / 30) ** 2)

    grid = np.append(PENALTY_GRID, 0) * np.linalg.eigvalsh(rows.T @ rows)[-1]
    chosen_by_us = float(Design(rows).cross_validated_penalties(noisy[:, None])[0])
    assert chosen_by_us == pytest.approx(min(grid, key=gcv))
    # scikit-learn's own leave-one-out choice is of the same order.
    chosen = RidgeCV(alphas=grid[:-1], fit_intercept=False).fit(rows, noisy).alpha_
    assert 0.1 < chosen_by_us / chosen < 10


def test_no_penalty_is_chosen_for_targets_without_noise() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 6))
    assert Design(rows).cross_validated_penalties(rows @ np.arange(12.0).reshape(6, 2)).tolist() == [0, 0]


def test_directions_that_no_row_reaches_get_the_coefficient_zero() -> None:
    rows = np.array([[1.0, -1.0, 0.0], [2.0, -2.0, 0.0]])
    design = Design(rows)
    assert design.rank == 1
    assert design.fit(np.array([[2.0], [4.0]])).coefficients[:, 0] == pytest.approx([1, -1, 0])


def test_sandwich_is_the_textbook_hc3(data: tuple[np.ndarray, np.ndarray]) -> None:
    rows, targets = data
    inverse = np.linalg.inv(rows.T @ rows)
    residuals = targets[:, 0] - rows @ inverse @ rows.T @ targets[:, 0]
    leverages = np.diag(rows @ inverse @ rows.T)
    meat = rows.T @ np.diag((residuals / (1 - leverages)) ** 2) @ rows
    expected = np.diag(inverse @ meat @ inverse)
    assert sandwich_variances(Design(rows).fit(targets))[:, 0] == pytest.approx(expected)


def test_directions_that_rows_reach_by_a_ten_billionth_keep_their_part_in_limes_ridge() -> None:
    """Weights from nothing to 1e5, as lime's of a thousand players; leaving such directions out is 3e-4 off here."""
    random = np.random.default_rng(0)
    presence = (random.random((400, 400)) < random.random((400, 1)) ** 4).astype(np.float64)
    targets = np.tanh(presence @ random.normal(size=(400, 3)) / 20)
    weights = 1e5 * random.random(400) ** 9
    model = fit_local_model(presence, targets, weights)
    ridge = Ridge(alpha=1.0, solver="cholesky").fit(presence, targets, sample_weight=weights)
    assert model.values == pytest.approx(ridge.coef_, abs=1e-7)
    assert model.intercepts == pytest.approx(ridge.intercept_, abs=1e-7)
