"""A temperature makes probabilities right, and is a part of the network."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import brier_score_loss, log_loss

from explicate_bundle.outcomes.calibration import CALIBRATION_BINS, brier_scores, calibration_errors, equal_mass_bins
from explicate_training.calibration.reliability import reliability
from explicate_training.calibration.temperature import divide_outputs, fitted_temperature
from explicate_training.table.forms.additive_network import AdditiveNetwork, AdditiveNetworkConfig
from explicate_training.table.network import TabularNetwork, TabularNetworkConfig
from explicate_training.tasks.registry import task_named


def drawn(rows: int = 3000, classes: int = 3, *, too_sure: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are so many times what the classes were drawn by."""
    stream = np.random.default_rng(3)
    logits = 1.5 * stream.standard_normal((rows, classes))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (stream.random((rows, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    return too_sure * logits, targets


def test_the_temperature_is_the_one_with_the_least_log_loss():
    logits, targets = drawn()

    def loss(temperature: float) -> float:
        scaled = np.exp(logits / temperature)
        return float(log_loss(targets, scaled / scaled.sum(axis=1, keepdims=True)))

    best = minimize_scalar(loss, bounds=(0.5, 5), method="bounded", options={"xatol": 1e-8}).x
    found = fitted_temperature(logits, targets)
    assert found == pytest.approx(best, abs=1e-3)
    assert found == pytest.approx(2, rel=0.1)


def test_several_labels_have_one_temperature_together():
    stream = np.random.default_rng(4)
    logits = stream.standard_normal((4000, 3))
    targets = (stream.random((4000, 3)) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    assert fitted_temperature(3 * logits, targets) == pytest.approx(3, rel=0.1)


def test_a_validation_without_an_error_does_not_want_endless_logits():
    logits = np.array([[2.0, 0.0], [0.0, 2.0]])
    assert 0.05 <= fitted_temperature(logits, np.array([0, 1])) < 0.5


def test_a_perfectly_calibrated_model_has_no_calibration_error_on_average():
    stream = np.random.default_rng(0)
    found = []
    for _ in range(300):
        told = stream.beta(2, 1, 1000)
        right = stream.random(1000) < told
        found.append(calibration_errors(told, right, np.ones((1, 1000), np.float32))[0])
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found)) + 0.001


def test_bins_have_as_many_rows_each():
    told = np.random.default_rng(2).random((100, 3))
    assert np.ptp(np.bincount(equal_mass_bins(told).ravel(), minlength=CALIBRATION_BINS)) <= 1


def test_brier_scores_of_two_classes_are_those_of_scikit_learn():
    told, right = np.random.default_rng(7).random(50), np.arange(50) % 2
    both = np.stack([1 - told, told], axis=1)
    ours = brier_scores(both, np.stack([right == 0, right == 1], axis=1), several=False).mean()
    assert ours == pytest.approx(brier_score_loss(right, told))


COLUMNS = TabularNetworkConfig(number_columns=2, category_counts=(3,), outputs=3, embedding_size=4, width=8, members=2)
ROWS = torch.tensor([[0.5, -1.0], [float("nan"), 2.0]]), torch.tensor([[2], [4]])


def shaken(network: torch.nn.Module) -> torch.nn.Module:
    """With other weights than those that a network begins with, many of which are 0."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.3 * torch.randn_like(weight)
    return network.eval()


def test_a_tables_network_is_divided_as_a_whole():
    network = shaken(TabularNetwork(COLUMNS))
    before = network(*ROWS)
    assert divide_outputs(network, 3, 1.7)
    torch.testing.assert_close(network(*ROWS), before / 1.7)


def test_contributions_of_an_additive_network_still_sum_to_its_outputs():
    network = shaken(AdditiveNetwork(AdditiveNetworkConfig(COLUMNS, terms=((0,), (1,), (2,)), players=3)))
    before, added = network.with_contributions(*ROWS)
    divide_outputs(network, 3, 0.6)
    after, divided = network.with_contributions(*ROWS)
    torch.testing.assert_close(after, before / 0.6)
    torch.testing.assert_close(divided, added / 0.6)
    constant = after - divided.sum(dim=1)
    torch.testing.assert_close(constant[0], constant[1])


def test_the_last_layer_of_another_network_is_divided():
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 3))
    rows = torch.randn(5, 4)
    before = network(rows)
    assert divide_outputs(network, 3, 2.5)
    torch.testing.assert_close(network(rows), before / 2.5)
    assert not divide_outputs(torch.nn.ReLU(), 3, 2.5)


def test_reliability_tells_what_the_temperature_does_to_held_out_rows():
    logits, targets = drawn(1500)
    found = reliability(task_named("classification"), logits, logits / 2, targets, temperature=2.0, applied=True)
    for name in ("brier", "log_loss", "calibration_error"):
        one = found.figures[name]
        assert one.change == pytest.approx(one.after - one.before)
        assert one.change_interval[1] < 0  # surely better
    assert found.figures["log_loss"].after == pytest.approx(
        log_loss(targets, np.exp(logits / 2) / np.exp(logits / 2).sum(axis=1, keepdims=True))
    )
    assert found.drawing.startswith("<?xml")
