"""The preview explainer through a real server: the first answer of a stream is a guess, no other is, and it says so."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from explicate import Client, Contrast
from explicate.options import ExplainOptions
from explicate_export.errors import UsageError
from explicate_export.export import ExportOptions, export_run
from explicate_training.interpretability.texts.explainer_network import (
    CONFIG_NAME,
    ExplainerConfig,
    ExplainerNetwork,
    load_explainer,
    save_explainer,
)
from support.harness import TEXT, WORDS, server_process
from support.tiny_bundle import write_tiny_run

LONG: ExplainOptions = {"seed": 1, "tolerance": 0.0, "max_evaluations": 800}
"""So long that what comes first is read before what comes last."""


def run_with_explainer(directory: Path) -> Path:
    run = write_tiny_run(directory)
    torch.manual_seed(0)
    network = ExplainerNetwork(ExplainerConfig(len(AutoTokenizer.from_pretrained(run / "model")), 2))
    torch.nn.init.normal_(network.last.weight, std=0.3)
    save_explainer(network, run / "model")
    return run


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preview")
    run = run_with_explainer(folder / "run")
    export_run(run, folder / "repository", ExportOptions("guessed"))
    export_run(write_tiny_run(folder / "plain"), folder / "repository", ExportOptions("plain"))
    return folder / "repository"


@pytest.fixture(scope="module")
def client(repository: Path) -> Iterator[Client]:
    with server_process(repository) as (_, target), Client(target) as client:
        yield client


def guessed(repository: Path) -> np.ndarray:
    """What torch's network says of the words of TEXT, float64 [words, 2 · outputs]; each is one token."""
    network = load_explainer(repository.parent / "run" / "model")
    assert network is not None
    ids = AutoTokenizer.from_pretrained(repository.parent / "run" / "model")(TEXT, return_tensors="pt")["input_ids"]
    assert ids.shape[1] == len(WORDS) + 2
    with torch.no_grad():
        return network(ids, torch.ones_like(ids))[0, 1:-1].double().numpy()


def test_a_stream_begins_with_a_guess_and_ends_with_the_explanation(client: Client, repository: Path) -> None:
    first, *others = client.stream_explain("guessed", TEXT, **LONG)
    assert first.explanation.preview
    assert not first.final
    assert first.explanation.evaluations < 2 * len(WORDS)
    assert first.explanation.stop_reason == "running"
    assert not any(answer.explanation.preview for answer in others)
    (attribution,) = first.explanation.attributions
    assert all(math.isnan(end) for ends in (attribution.lower, attribution.upper) for end in ends)
    raw = guessed(repository)[:, 2 + attribution.class_index]
    gap = attribution.instance_value - attribution.baseline_value
    np.testing.assert_allclose(attribution.values, raw + (gap - raw.sum()) / len(raw), atol=1e-5)
    whole = client.explain("guessed", TEXT, **LONG)
    assert others[-1].explanation.attributions == whole.explanation.attributions
    assert not whole.explanation.preview


def test_a_contrast_in_logits_is_guessed_as_a_difference(client: Client, repository: Path) -> None:
    first, *_ = client.stream_explain("guessed", TEXT, target=Contrast("great", "other"), **LONG)
    assert first.explanation.preview
    (attribution,) = first.explanation.attributions
    raw = guessed(repository)[:, 1] - guessed(repository)[:, 0]
    gap = attribution.instance_value - attribution.baseline_value
    np.testing.assert_allclose(attribution.values, raw + (gap - raw.sum()) / len(raw), atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"output_space": "logit"},
        {"granularity": "token"},
        {"masking": "mask-token"},
        {"method": "occlusion"},
        {"method": "lime"},
    ],
)
def test_what_the_explainer_did_not_learn_is_not_guessed(client: Client, options: dict[str, str]) -> None:
    answers = list(client.stream_explain("guessed", TEXT, **options))  # type: ignore[arg-type]
    assert not any(answer.explanation.preview for answer in answers)


def test_a_model_without_an_explainer_begins_with_an_estimate(client: Client) -> None:
    assert not any(answer.explanation.preview for answer in client.stream_explain("plain", TEXT))


def test_phrases_of_a_long_text_get_the_sums_of_their_words(client: Client) -> None:
    first, *_ = client.stream_explain("guessed", " ".join(WORDS * 4), max_players=10, **LONG)
    assert first.explanation.preview
    (attribution,) = first.explanation.attributions
    assert len(attribution.values) == len(first.explanation.features)
    gap = attribution.instance_value - attribution.baseline_value
    assert sum(attribution.values) == pytest.approx(gap, abs=1e-6)


def test_an_explainer_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    run = run_with_explainer(tmp_path / "run")
    (run / "model" / CONFIG_NAME).write_text('{"vocabulary": 3, "outputs": 2}')
    with pytest.raises(UsageError, match=r"the explainer of .* cannot be loaded .*: train again"):
        export_run(run, tmp_path / "repository", ExportOptions("model"))
