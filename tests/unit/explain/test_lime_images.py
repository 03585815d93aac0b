"""lime of images against the lime library itself, on the same segments."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lime.lime_image import LimeImageExplainer
from numpy.typing import NDArray

from explicate_server.explain import METHODS, explain_game
from explicate_server.explain.estimators.lime import image_rows
from explicate_server.explain.methods import methods_of

Floats = NDArray[np.float64]
SIDE = 24
CUTS = {"four": 4, "thirty-six": 36}


def segments_of(count: int) -> NDArray[np.int64]:
    """A grid of so many squares, numbered from 0."""
    edge = round(count**0.5)
    along = np.arange(SIDE) * edge // SIDE
    return np.asarray(along[:, None] * edge + along)


def image(seed: int = 0) -> Floats:
    return np.random.default_rng(seed).random((SIDE, SIDE, 3))


def classify(images: Floats) -> Floats:
    """Probabilities of three classes: neighbouring pixels act together, and brightness saturates."""
    weights = np.random.default_rng(9).normal(size=(3, SIDE, SIDE, 3))
    bent = np.tanh(3 * (images - 0.5)) * np.roll(images, 1, axis=1)
    exponentials = np.exp(np.einsum("mhwc,khwc->mk", bent, weights) / 8)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def game_of(pixels: Floats, segments: NDArray[np.int64]) -> tuple[Callable[[NDArray[np.bool_]], Floats], list[int]]:
    """The image as a game whose absent segments take their mean colour, and how many images each call asked."""
    counts = np.bincount(segments.ravel())
    means = np.stack([np.bincount(segments.ravel(), pixels[..., c].ravel()) / counts for c in range(3)], axis=1)
    asked: list[int] = []

    def value(coalitions: NDArray[np.bool_]) -> Floats:
        asked.append(len(coalitions))
        present = coalitions[:, segments][..., None]
        return classify(np.where(present, pixels, means[segments]))

    return value, asked


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("cut", CUTS)
def test_values_are_those_of_the_lime_library(cut: str, seed: int, capfd: pytest.CaptureFixture[str]) -> None:
    pixels, segments = image(seed % 91), segments_of(CUTS[cut])
    n = CUTS[cut]
    library: Any = LimeImageExplainer(random_state=seed).explain_instance(
        pixels, classify, top_labels=3, num_samples=300, batch_size=100, segmentation_fn=lambda _: segments
    )
    capfd.readouterr()  # the library's progress bar
    value, _ = game_of(pixels, segments)
    ours = explain_game(value, n, method="lime", reads="image", seed=seed, max_evaluations=300)
    for label in range(3):
        expected = dict(library.local_exp[label])
        assert ours.values[label] == pytest.approx([expected[segment] for segment in range(n)], abs=1e-9)
        assert ours.baseline_value[label] == pytest.approx(library.intercept[label], abs=1e-9)
    assert np.abs(ours.values).max() > 0.01


def test_rows_that_repeat_are_asked_once_and_every_segment_is_taken_out() -> None:
    value, asked = game_of(image(), segments_of(4))
    ours = explain_game(value, 4, method="lime", reads="image", max_evaluations=300)
    rows = image_rows(4, 300, seed=0)
    assert ours.evaluations == sum(asked) == len(np.unique(rows, axis=0)) == 16
    assert not rows.all(axis=0).any()
    # Half of the rows lack a segment, within four standard deviations.
    np.testing.assert_allclose(rows[1:].mean(axis=0), 0.5, atol=4 * 0.5 / np.sqrt(299))


def test_an_image_without_segments_has_nothing_to_explain() -> None:
    ours = explain_game(lambda c: np.ones(len(c)), 0, method="lime", reads="image", max_evaluations=10)
    assert ours.values.shape == (0,)


def test_lime_has_a_default_of_its_own_for_each_kind_of_input() -> None:
    text, table, picture = (methods_of(reads)["lime"] for reads in ("text", "table", "image"))
    assert (text.default_masking, table.default_masking, picture.default_masking) == ("delete", "drawn", "mean")
    assert picture.default_granularity == "quickshift"
    # LimeTabularExplainer takes 5,000 rows unless told otherwise, LimeImageExplainer 1,000.
    assert [method.settings(50).max_evaluations for method in (text, table, picture)] == [1000, 5000, 1000]
    for reads in ("text", "tabular", "image", "sound"):
        assert [name for name, method in methods_of(reads).items() if method.needs is None] == list(METHODS)


def test_a_table_whose_rows_nobody_drew_is_refused() -> None:
    with pytest.raises(ValueError, match="5000 rows that its game draws"):
        explain_game(lambda c: np.ones(len(c)), 3, method="lime", reads="table")
