"""Sums over columns: what the network promises by how it is made, what configs may ask, and which pairs are found."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch

from explicate.errors import UsageError
from explicate_bundle.columns import TableRows
from explicate_training.config.config_file import parse_config
from explicate_training.table.boosted_trees import boosted_trees_outputs
from explicate_training.table.config import TableConfig
from explicate_training.table.date_parts import DatePlaces
from explicate_training.table.encoding import ColumnSchema
from explicate_training.table.fitting import TableExamples
from explicate_training.table.forms.additive_network import (
    NO_CLASS,
    AdditiveNetwork,
    AdditiveNetworkConfig,
    MonotoneFeature,
)
from explicate_training.table.forms.network_shape import features_of, monotone_claims, monotone_signs
from explicate_training.table.forms.pairs import strongest_pairs
from explicate_training.table.network import TabularNetwork, TabularNetworkConfig
from explicate_training.table.saved_network import load_network
from explicate_training.train import prepare_data, train

COLUMNS = TabularNetworkConfig(number_columns=3, category_counts=(3, 2), outputs=3, width=8, members=2)
TERMS = ((0,), (1, 2), (3,), (4,))


def stirred(config: AdditiveNetworkConfig, seed: int = 0) -> AdditiveNetwork:
    """A network with weights as training might leave them: large, and of both signs."""
    torch.manual_seed(seed)
    network = AdditiveNetwork(config)
    with torch.no_grad():
        for weight in network.parameters():
            weight += torch.randn_like(weight)
    return network.eval()


def rows(count: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers, some missing, and codes, some unknown."""
    stream = torch.Generator().manual_seed(seed)
    numbers = torch.randn(count, 3, generator=stream)
    numbers[torch.rand(count, 3, generator=stream) < 0.2] = torch.nan
    codes = torch.stack([torch.randint(0, 2 + many, (count,), generator=stream) for many in (3, 2)], dim=1)
    return numbers, codes


@torch.no_grad()
def test_what_a_term_adds_depends_on_its_own_columns_alone_and_all_of_it_is_the_answer() -> None:
    network = stirred(AdditiveNetworkConfig(COLUMNS, TERMS, len(TERMS)))
    numbers, codes = rows(40)
    answers, added = network.with_contributions(numbers, codes)
    assert added.shape == (40, 4, 3)
    bias = answers - added.sum(dim=1)
    torch.testing.assert_close(bias, bias[:1].expand_as(bias), atol=1e-4, rtol=0)
    others = torch.roll(numbers, 1, dims=0)
    others[:, 1:] = numbers[:, 1:]
    _, changed = network.with_contributions(others, codes)
    torch.testing.assert_close(changed[:, 1:], added[:, 1:])
    torch.testing.assert_close(changed[:, 0], torch.roll(added[:, 0], 1, dims=0))
    torch.testing.assert_close(network(numbers, codes), answers)
    members = network.member_outputs(numbers, codes)
    torch.testing.assert_close(members.mean(dim=0), answers, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("output", [NO_CLASS, 1])
@pytest.mark.parametrize("sign", [1, -1])
@torch.no_grad()
def test_a_monotone_column_is_monotone_whatever_the_weights(output: int, sign: int) -> None:
    for seed, terms in enumerate((TERMS, (*TERMS, (0, 3)), ((0, 1, 2), (3,), (4,)))):
        network = stirred(AdditiveNetworkConfig(COLUMNS, terms, 4, (MonotoneFeature(0, sign, output),)), seed)
        edges = torch.linspace(-2, 2, 17).repeat(3, 1)
        network.set_number_statistics(torch.zeros(3), torch.ones(3), edges)
        numbers, codes = rows(5, seed)
        grid = torch.linspace(-30, 30, 301)
        for row in range(5):
            asked = numbers[row].repeat(len(grid), 1)
            asked[:, 0] = grid
            answers = network(asked, codes[row].repeat(len(grid), 1)).double()
            if output != NO_CLASS:
                answers = answers[:, [output]] - answers[:, [0, 2]]
            rounding = 4e-7 * float(answers.abs().max())
            assert float((sign * answers.diff(dim=0)).min()) >= -rounding
            assert float(answers.diff(dim=0).abs().max()) > 1e-3


@torch.no_grad()
def test_columns_that_are_no_longer_read_change_nothing_and_have_no_length() -> None:
    free = TabularNetwork(COLUMNS).eval()
    for network in (stirred(AdditiveNetworkConfig(COLUMNS, TERMS, len(TERMS))), free):
        network.stop_reading([1])
        lengths = network.first_layers().square().sum(dim=1).sqrt()
        assert lengths[1] < 1e-6 < lengths[0]
        numbers, codes = rows(6)
        other = numbers.clone()
        other[:, 1] = 5.0
        torch.testing.assert_close(network(numbers, codes), network(other, codes))


def column(name: str, kind: str = "number", group: str = "") -> ColumnSchema:
    return ColumnSchema(name, kind, () if kind == "number" else ("a", "b"), group, may_be_missing=False)  # type: ignore[arg-type]


def test_features_are_numbers_then_parts_of_dates_then_codes() -> None:
    schema = [column("job", "category"), column("since", "date"), column("age"), column("home", "category")]
    assert features_of(schema) == [[5], [0, 2, 3, 4], [1], [6]]


@pytest.mark.parametrize(
    ("monotone", "labels", "sentence"),
    [
        ({"wage": "increasing"}, ("a", "b"), "monotone.wage: the model reads no column 'wage'"),
        ({"job": "increasing"}, ("a", "b"), "monotone.job: 'job' is a category column, and only numbers rise and fall"),
        ({"age": "increasing"}, ("a", "b", "c"), 'monotone.age must name a class, such as "increasing c"'),
        ({"age": "increasing d"}, ("a", "b"), "monotone.age names 'd', which is not a class"),
        ({"age": "increasing d"}, (), "monotone.age names 'd', but only one class of several can be named"),
    ],
)
def test_directions_that_do_not_fit_the_table_are_one_sentence(
    monotone: Mapping[str, str], labels: tuple[str, ...], sentence: str
) -> None:
    schema = [column("age"), column("job", "category")]
    with pytest.raises(UsageError, match=sentence):
        monotone_claims(dict(monotone), schema, labels, classes=bool(labels))


def test_of_two_classes_what_lowers_one_raises_the_other() -> None:
    schema = [column("age"), column("debt")]
    claims = monotone_claims({"age": "increasing", "debt": "increasing bad"}, schema, ("bad", "good"), classes=True)
    assert claims["age"].label == "good"
    assert monotone_signs(schema, claims, ("bad", "good")) == {0: 1, 1: -1}


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ('form = "sum"', "interpretability.form must be one of 'free', 'pairs', 'additive', not 'sum'"),
        ('[interpretability.monotone]\nage = "up"', "monotone.age must be 'increasing' or 'decreasing'"),
        ('[interpretability.monotone]\nage = "increasing"', 'set interpretability.form = "additive" or "pairs"'),
        ("sparsity = -1", "interpretability.sparsity must be at least 0, not -1"),
        ('forbidden = ["label"]', "interpretability.forbidden: 'label' is the label"),
    ],
)
def test_a_section_that_does_not_go_together_is_one_sentence(toml: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_config(f'[data]\ntable = "a.csv"\n[interpretability]\n{toml}')


@pytest.mark.parametrize("data", ['train = "a.csv"', 'images = "photos"'])
@pytest.mark.parametrize("toml", ['form = "additive"', "sparsity = 0.1", "l1 = 0.1"])
def test_what_is_for_tables_is_refused_for_other_models(data: str, toml: str) -> None:
    with pytest.raises(UsageError, match=f"interpretability.{toml.split(' ')[0]} is for tables"):
        parse_config(f"[data]\n{data}\n[interpretability]\n{toml}")


def test_a_forbidden_column_that_there_is_not_is_told_before_training() -> None:
    config = parse_config('[data]\ndemo = "hdma"\nlabel_column = "deny"\n[interpretability]\nforbidden = ["race"]')
    with pytest.raises(UsageError, match=r"forbidden: there is no column 'race'; the columns are dir, hir"):
        prepare_data(config, lambda _: None)


def product_rows(count: int = 2000) -> tuple[TableRows, np.ndarray]:
    """Six columns; the answer multiplies the second and the fifth, which is of codes, and adds the others."""
    stream = np.random.default_rng(0)
    numbers = stream.normal(size=(count, 4)).astype(np.float32)
    codes = stream.integers(2, 4, size=(count, 2))
    answer = numbers[:, 0] + 1.5 * numbers[:, 1] * (codes[:, 0] - 2.5) + 0.3 * stream.normal(size=count)
    return TableRows(numbers, codes.astype(np.int64)), answer[:, np.newaxis]


def test_the_pair_that_is_multiplied_is_found_and_hardly_any_other() -> None:
    table, answer = product_rows()
    players = [[0], [1], [2], [3], [4], [5]]
    found = strongest_pairs(table, answer, players, 10)
    assert found[0] == [1, 4]
    assert len(found) < 10
    assert strongest_pairs(table, answer, players, 1) == [[1, 4]]
    assert strongest_pairs(table, answer, [[0], [1, 4], [2], [3], [5]], 10) != [[1, 1]]


def test_trees_beside_a_monotone_network_are_as_monotone() -> None:
    table, answer = product_rows(400)
    examples = TableExamples(table, answer[:, 0])
    grid = table[np.zeros(50, dtype=np.intp)]
    grid.numbers[:, 1] = np.linspace(-2, 2, 50)
    asked = TableExamples(grid, np.zeros(50))

    def steps(monotone: dict[int, int]) -> np.ndarray:
        outputs = boosted_trees_outputs(
            examples, examples, asked, classes=0, seed=0, dates=DatePlaces(), monotone=monotone
        )
        return np.diff(outputs["test"][:, 0])

    assert steps({1: 1}).min() >= 0
    assert steps({1: -1}).max() <= 0
    assert steps({}).min() < 0 or steps({}).max() > 0


@pytest.mark.parametrize("form", ["free", "additive"])
def test_a_price_on_columns_takes_weak_ones_out_and_says_which(
    table_config: TableConfig, form: str, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = "masked_fraction = 0\nadditivity = 0\nsparsity = 0.2"
    toml = f'[data]\ntable = "a.csv"\n[interpretability]\n{plain}\nform = "{form}"'
    section = parse_config(toml).interpretability
    training = replace(table_config.training, epochs=30, early_stopping_patience=0)
    network = load_network(train(replace(table_config, interpretability=section, training=training)) / "model")
    lengths = network.first_layers().square().sum(dim=1).sqrt()
    read = int((lengths > 1e-6).sum())
    assert f"sparsity: the network reads {read} of {len(lengths)} columns" in capfd.readouterr().err
    assert (lengths[lengths > 1e-6] >= 0.01 * lengths.max()).all()
