"""The Gaussian-process model of pair differences: exact Shapley values, honest left-out errors."""

import numpy as np
import pytest

from explicate_server.explain.statistics import surrogate
from explicate_server.explain.statistics.surrogate import fit_surrogates
from support.exact_games import TableGame


def signs_of_all(n: int) -> np.ndarray:
    return 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1) - 1


@pytest.mark.parametrize("n", [3, 6, 7])
def test_shapley_values_of_kernel_functions_are_those_of_enumeration(n: int) -> None:
    rho = np.random.default_rng(n).uniform(0.01, 0.9, n)
    signs = signs_of_all(n)
    for centre in signs[[1, 5, 2**n - 1]]:
        # As a pair difference g(x) = v(S) − v(N∖S) with g odd, the game is v = g/2.
        game = TableGame(surrogate.kernel(rho, signs, centre[None])[:, 0] / 2)
        values = surrogate.shapley_values(rho, centre[None], np.ones((1, 1)))[0]
        assert values == pytest.approx(game.shapley_values, abs=1e-12)


def test_left_out_errors_are_those_of_a_refit_without_the_pair() -> None:
    random = np.random.default_rng(2)
    signs = signs_of_all(8)[random.choice(128, 40, replace=False)]
    differences = random.normal(size=(40, 2))
    rho, noise = np.full(8, 0.3), 0.1
    kernel = surrogate.kernel(rho, signs, signs)
    left_out = surrogate.solve(kernel, noise, differences)[1]
    for pair in range(40):
        others = np.arange(40) != pair
        coefficients = surrogate.solve(kernel[np.ix_(others, others)], noise, differences[others])[0]
        said = surrogate.kernel(rho, signs[[pair]], signs[others]) @ coefficients
        assert left_out[pair] == pytest.approx(differences[pair] - said[0], abs=1e-10)


def test_pairs_beyond_the_fitted_ones_keep_their_plain_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrogate, "MAX_FITTED_PAIRS", 30)
    random = np.random.default_rng(4)
    signs = signs_of_all(8)[random.choice(128, 50, replace=False)]
    differences = signs @ random.normal(size=(8, 2)) + 0.1 * random.normal(size=(50, 2))
    fitted = fit_surrogates(signs, differences, np.ones(50), np.ones((2, 8)), [np.arange(2)])
    assert np.array_equal(fitted.errors[30:], fitted.left_out_errors[30:])
    assert np.abs(fitted.errors[:30]).sum() < np.abs(fitted.left_out_errors[:30]).sum()


def test_values_that_are_all_zero_are_taken() -> None:
    signs = signs_of_all(5)[:16]
    fitted = fit_surrogates(
        signs, np.random.default_rng(0).normal(size=(16, 1)), np.ones(16), np.zeros((1, 5)), [np.arange(1)]
    )
    assert np.isfinite(fitted.shapley_values).all()
