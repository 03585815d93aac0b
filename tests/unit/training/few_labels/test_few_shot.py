"""The recipe for few labels: pairs of texts, a linear layer, and an ordinary run around them."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional

from explicate.errors import UsageError
from explicate_export.export import ExportOptions, export_run
from explicate_training.config.config_file import format_config, parse_config
from explicate_training.interpretability.terms import InterpretabilityConfig
from explicate_training.text.config import FewShotConfig
from explicate_training.text.few_shot.contrastive_pairs import PairOrder, fit_head, pair_loss
from explicate_training.train import prepare_data, train
from support.few_labels import few_labels_config
from support.training_runs import Interruption, to_folder, weights


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by the recipe."""
    return train(few_labels_config(tmp_path_factory.mktemp("few")))


def test_the_loss_is_the_mean_over_pairs_of_the_squared_error_of_the_cosine() -> None:
    torch.manual_seed(0)
    rows, targets = torch.randn(5, 4), torch.tensor([0, 1, 0, 1, 1])
    found = pair_loss(functional.normalize(rows, dim=1), targets)
    pairs = [
        (functional.cosine_similarity(rows[a], rows[b], dim=0) - float(targets[a] == targets[b])) ** 2
        for a, b in itertools.permutations(range(5), 2)
    ]
    assert found.item() == pytest.approx(torch.stack(pairs).mean().item(), abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_answers_as_the_logistic_regression(classes: int) -> None:
    stream = np.random.default_rng(0)
    embeddings = stream.normal(size=(30, 4)).astype(np.float32)
    targets = np.arange(30) % classes
    head = nn.Linear(4, classes)
    fit_head(head, embeddings, targets, strength=2.0, balanced=False)
    probabilities = torch.softmax(head(torch.from_numpy(embeddings)), dim=1).detach().numpy()
    expected = LogisticRegression(C=2.0, max_iter=1000).fit(embeddings.astype(np.float64), targets)
    assert probabilities == pytest.approx(expected.predict_proba(embeddings), abs=1e-4)


def test_batches_have_as_many_rows_of_each_class_and_the_seed_decides_them() -> None:
    targets = np.array([0] * 9 + [1] * 3)
    order = PairOrder(targets, batch_size=4, steps=5, seed=1)
    drawn = list(order)
    assert len(drawn) == len(order) == 20
    for start in range(0, 20, 4):
        assert sorted(targets[drawn[start : start + 4]]) == [0, 0, 1, 1]
    assert drawn == list(PairOrder(targets, batch_size=4, steps=5, seed=1))
    assert drawn != list(PairOrder(targets, batch_size=4, steps=5, seed=2))


def test_a_run_is_exported_and_its_graph_is_that_of_the_model(run: Path, tmp_path: Path) -> None:
    version = export_run(run, tmp_path, ExportOptions("few", allow_trivial=True))
    manifest = json.loads((version / "manifest.json").read_text())
    assert "position_ids" in manifest["text"]["inputs"]
    assert manifest["text"]["token_dropping"]  # words that are left out do not count in the mean


def test_an_interrupted_run_goes_on_to_the_same_model(run: Path, tmp_path: Path) -> None:
    config = to_folder(few_labels_config(tmp_path), "again")
    with pytest.raises(KeyboardInterrupt):
        train(config, progress=Interruption(6))
    resumed = weights(train(config, resume=True))
    for name, value in weights(run).items():
        assert resumed[name] == pytest.approx(value, abs=1e-6), name


def test_a_finished_run_can_be_continued_by_the_recipe(run: Path, tmp_path: Path) -> None:
    config = few_labels_config(tmp_path)
    continued = train(replace(config, model=replace(config.model, base=str(run))))
    assert json.loads((continued / "model" / "config.json").read_text())["architectures"] == ["MeanPooledClassifier"]


def test_labels_per_class_are_counted_with_the_validation_and_leave_the_test_alone(tmp_path: Path) -> None:
    config = few_labels_config(tmp_path)
    fewer: Any = prepare_data(config, lambda _: None)
    everything: Any = prepare_data(replace(config, data=replace(config.data, labels_per_class=0)), lambda _: None)
    counts = {name: len(part) for name, part in fewer.splits.by_name().items()}
    assert counts["train"] + counts["validation"] == 2 * 20
    assert fewer.splits.test.texts.tolist() == everything.splits.test.texts.tolist()


def test_few_labels_are_told_of_the_recipe(tmp_path: Path) -> None:
    lines: list[str] = []
    config = few_labels_config(tmp_path, few_shot=FewShotConfig())
    prepare_data(config, lines.append)
    assert any("[few_shot] enabled = true" in line for line in lines)
    enough: list[str] = []
    prepare_data(replace(config, few_shot=FewShotConfig(enabled=True)), enough.append)
    assert not any("[few_shot]" in line for line in enough)


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"interpretability": InterpretabilityConfig()}, "interpretability"),
        ({"data": {"task": "regression"}}, "data.task is regression"),
        ({"training": {"label_smoothing": 0.1}}, "label_smoothing"),
        ({"fairness": {"over": "site"}}, r"does not go with \[fairness\]"),
    ],
)
def test_options_that_the_recipe_does_not_read_are_refused(
    tmp_path: Path, sections: dict[str, Any], named: str
) -> None:
    config: Any = few_labels_config(tmp_path)
    for name, given in sections.items():
        section = replace(getattr(config, name), **given) if isinstance(given, dict) else given
        config = replace(config, **{name: section})
    with pytest.raises(UsageError, match=named):
        config.check()


def test_the_section_is_written_only_where_it_changes_something(tmp_path: Path) -> None:
    config = few_labels_config(tmp_path)
    assert parse_config(format_config(config)) == config
    assert "few_shot" not in format_config(replace(config, few_shot=FewShotConfig()))
