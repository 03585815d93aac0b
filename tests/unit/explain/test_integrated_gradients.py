"""The integral behind integrated gradients, on functions whose integral is known."""

import numpy as np
import pytest

from explicate_server.explain.estimators.integrated_gradients import METHOD, PathIntegral
from explicate_server.explain.game import GameInfo


def gradient_of_product(points: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Of Π x_i from 0 to `far`, along each axis: float64[m, 1, n]."""
    at = points[:, np.newaxis] * far
    others = np.stack([np.delete(at, axis, axis=1).prod(axis=1) for axis in range(len(far))], axis=1)
    return (others * far)[:, np.newaxis]


def integrated(gradient, **limits) -> PathIntegral:
    integral = PathIntegral(**limits)
    while (points := integral.ask()) is not None:
        integral.tell(gradient(points))
    return integral


def test_a_product_is_shared_out_evenly() -> None:
    far = np.array([2.0, 3.0, 0.5])
    found = integrated(lambda points: gradient_of_product(points, far), tolerance=0.01, most_points=1000).found
    assert found is not None
    np.testing.assert_allclose(found.values, np.full((1, 3), far.prod() / 3), rtol=1e-12)
    assert found.points == 8 + 16  # a doubling showed that nothing changes any more


def test_points_double_until_the_tolerance_is_met_or_none_are_left() -> None:
    def steep(points: np.ndarray) -> np.ndarray:
        return (60 / np.cosh(60 * (points - 0.3)) ** 2)[:, np.newaxis, np.newaxis]

    exact = np.tanh(60 * 0.7) + np.tanh(60 * 0.3)
    close = integrated(steep, tolerance=1e-3, most_points=10_000).found
    few = integrated(steep, tolerance=1e-3, most_points=30).found
    assert close is not None
    assert few is not None
    assert few.points == 24
    assert few.changes[0, 0] > 1e-3 * exact
    assert abs(close.values[0, 0] - exact) <= close.changes[0, 0] < 1e-3 * exact


def test_nothing_to_add_ends_at_once() -> None:
    found = integrated(lambda points: np.zeros((len(points), 2, 3)), tolerance=0.01, most_points=1000).found
    assert found is not None
    assert (found.points, found.values.any(), found.changes.any()) == (24, False, False)


def test_too_few_points_give_nothing() -> None:
    assert integrated(lambda points: np.ones((len(points), 1, 1)), tolerance=0.01, most_points=7).found is None


def test_the_method_is_of_games_whose_integral_is_known() -> None:
    game = GameInfo(n_players=2, empty=np.zeros(1), full=np.ones(1))
    with pytest.raises(TypeError, match="of which the integral is known"):
        METHOD.build(game, 100)
