"""The network for tables: rows never meet, missing and unknown are answered, and what is saved is what is loaded."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from explicate_bundle.columns import TableRows
from explicate_training.table.config import TableModelConfig
from explicate_training.table.encoding import ColumnSchema
from explicate_training.table.fitting import new_network, number_statistics
from explicate_training.table.network import TabularNetwork, TabularNetworkConfig
from explicate_training.table.saved_network import load_network, save_network
from explicate_training.tasks.task import TargetScale

ROWS = 23


def stirred(config: TabularNetworkConfig) -> TabularNetwork:
    """A network in which no weight is zero, so that every path speaks."""
    torch.manual_seed(5)
    network = TabularNetwork(config)
    columns = config.number_columns
    edges = torch.linspace(-2, 2, config.bins + 1).repeat(columns, 1)
    network.set_number_statistics(torch.zeros(columns), torch.ones(columns), edges)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return network.eval()


def rows_for(config: TabularNetworkConfig) -> tuple[torch.Tensor, torch.Tensor]:
    stream = np.random.default_rng(0)
    numbers = stream.normal(size=(ROWS, config.number_columns)).astype(np.float32)
    numbers[numbers > 1.5] = np.nan
    codes = [stream.integers(0, count + 2, ROWS) for count in config.category_counts]
    stacked = np.stack(codes, axis=1) if codes else np.empty((ROWS, 0), dtype=np.int64)
    return torch.from_numpy(numbers), torch.from_numpy(stacked)


@pytest.mark.parametrize(
    "config",
    [
        TabularNetworkConfig(4, (3, 2), 3),
        TabularNetworkConfig(0, (3, 2), 2),
        TabularNetworkConfig(1, (), 1),
        TabularNetworkConfig(450, (3,) * 50, 2),
    ],
    ids=["both", "codes", "numbers", "500 columns"],
)
def test_a_row_gets_the_same_answer_alone_in_a_batch_and_in_any_order(config: TabularNetworkConfig) -> None:
    network = stirred(config)
    numbers, codes = rows_for(config)
    with torch.no_grad():
        together = network(numbers, codes)
        alone = torch.cat([network(numbers[row : row + 1], codes[row : row + 1]) for row in range(ROWS)])
        reversed_ = network(numbers.flip(0), codes.flip(0)).flip(0)
    assert together.shape == (ROWS, config.outputs)
    assert together.std() > 0.1  # rows do differ
    torch.testing.assert_close(alone, together, atol=2e-5, rtol=0)
    torch.testing.assert_close(reversed_, together, atol=2e-5, rtol=0)


def test_saved_network_is_loaded_with_the_same_answers(tmp_path: Path) -> None:
    network = stirred(TabularNetworkConfig(4, (3, 2), 3, members=2, width=8))
    network.set_target_statistics(10.0, 3.0)
    save_network(network, tmp_path / "model")
    loaded = load_network(tmp_path / "model")
    assert not loaded.training
    assert loaded.config == network.config
    numbers, codes = rows_for(network.config)
    with torch.no_grad():
        torch.testing.assert_close(loaded(numbers, codes), network(numbers, codes), atol=0, rtol=0)


def test_model_directory_of_another_architecture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="does not hold a tabular network"):
        load_network(tmp_path)


def test_missing_number_is_the_median_until_training_shows_otherwise() -> None:
    values = np.array([[1.0], [5.0], [9.0], [30.0], [7.0]], dtype=np.float32)
    schema = [ColumnSchema("a", "number", (), "", False)]
    train = TableRows(values, np.empty((5, 0), dtype=np.int64))
    network = new_network(TableModelConfig(), schema, train, outputs=2, scale=TargetScale(), seed=0).eval()
    codes = torch.empty((1, 0), dtype=torch.int64)
    with torch.no_grad():
        for layer in (network.last, network.linear_path):
            layer.weight.normal_()
        missing, median = network(torch.tensor([[torch.nan]]), codes), network(torch.tensor([[7.0]]), codes)
        other = network(torch.tensor([[9.0]]), codes)
    torch.testing.assert_close(missing, median, atol=0, rtol=0)
    assert (other - median).abs().max() > 1e-3


def test_no_finite_or_infinite_number_breaks_an_answer() -> None:
    network = stirred(TabularNetworkConfig(1, (), 2))
    numbers = torch.tensor([[3e38], [-3e38], [torch.inf], [-torch.inf], [1e-38], [torch.nan]])
    with torch.no_grad():
        answers = network(numbers, torch.empty((6, 0), dtype=torch.int64))
    assert torch.isfinite(answers).all()
    torch.testing.assert_close(answers[0], answers[2])  # far out is far out


def test_regression_answers_in_the_unit_of_its_target() -> None:
    network = stirred(TabularNetworkConfig(2, (), 1))
    numbers, codes = rows_for(network.config)
    with torch.no_grad():
        standard = network(numbers, codes)
        network.set_target_statistics(150.0, 40.0)
        torch.testing.assert_close(network(numbers, codes), standard * 40 + 150)


def test_statistics_of_a_column_are_its_quantiles() -> None:
    values = np.concatenate([np.arange(101), [np.nan]]).astype(np.float32)
    centre, scale, edges = number_statistics(values, 4)
    assert centre == 50
    assert scale == pytest.approx(50 / 1.349)
    np.testing.assert_allclose(edges, [0, 25, 50, 75, 100])
    constant = number_statistics(np.full(9, 3.0, dtype=np.float32), 4)
    assert (constant[0], constant[1]) == (3, 1)
    mostly_zero = np.array([0.0] * 9 + [10.0], dtype=np.float32)
    assert number_statistics(mostly_zero, 4)[1] == pytest.approx(mostly_zero.std())
