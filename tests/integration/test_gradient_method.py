"""`integrated-gradients` on a real server: the values are those of torch's own gradient of the same model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import explicate
from explicate.errors import ServerError
from explicate_export.export import ExportOptions, export_run
from support.harness import running_server
from support.tiny_bundle import write_tiny_run
from support.toy_device import Faults, ToyKind, the_only_kind

TEXT = "the soup was great but the service was slow"
METHOD = "integrated-gradients"
_POINTS = 400


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_run(tmp_path_factory.mktemp("gradient") / "run")


@pytest.fixture(scope="module")
def repository(run: Path) -> Path:
    folder = run.parent / "repository"
    export_run(run, folder, ExportOptions("with", allow_trivial=True, gradient=True))
    export_run(run, folder, ExportOptions("without", allow_trivial=True))
    return folder


def integral(run: Path, score: Callable[[torch.Tensor], torch.Tensor], *, fixed: str = "") -> dict[str, float]:
    """What each word adds, by torch and the middle points of 400 steps from a text of mask tokens."""
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    model = AutoModelForSequenceClassification.from_pretrained(run / "model").eval()
    encoded = tokenizer(TEXT, return_tensors="pt", return_offsets_mapping=True, return_special_tokens_mask=True)
    offsets, special = encoded.pop("offset_mapping")[0], encoded.pop("special_tokens_mask")[0].bool()
    starts = [sum(len(word) + 1 for word in TEXT.split()[:place]) for place in range(len(TEXT.split()))]
    places = np.searchsorted(starts, [start for start, _ in offsets.tolist()], side="right") - 1
    ids = encoded.pop("input_ids")
    stays = special | torch.tensor([TEXT.split()[place] == fixed for place in places])
    embed = model.get_input_embeddings()
    begin = embed(torch.where(stays, ids, tokenizer.mask_token_id)).detach()
    way = embed(ids).detach() - begin
    total = torch.zeros(ids.shape[1], dtype=torch.float64)
    for point in (torch.arange(_POINTS) + 0.5) / _POINTS:
        at = (begin + point * way).requires_grad_()
        (gradient,) = torch.autograd.grad(score(model(inputs_embeds=at, **encoded).logits[0]), at)
        total += (gradient * way).sum(dim=-1)[0].double() / _POINTS
    summed = np.zeros(len(starts))
    np.add.at(summed, places[~special.numpy()], total.numpy()[~special.numpy()])
    return {f"{place}:{word}": value for place, (word, value) in enumerate(zip(TEXT.split(), summed, strict=True))}


def told(result: explicate.ExplainResult) -> list[float]:
    return list(result.explanation.attributions[0].values)


@pytest.mark.parametrize(
    ("options", "score"),
    [
        ({"output_space": "logit", "target": 0}, lambda logits: logits[0]),
        ({"output_space": "probability", "target": 1}, lambda logits: logits.softmax(dim=-1)[1]),
        ({"target": explicate.Contrast(0, 1)}, lambda logits: logits[0] - logits[1]),
    ],
    ids=["logit", "probability", "contrast"],
)
async def test_values_are_those_of_torch(
    run: Path, repository: Path, options: explicate.ExplainOptions, score: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        result = await client.explain("with", TEXT, method=METHOD, **options)
    explanation = result.explanation
    own = np.array(list(integral(run, score).values()))
    np.testing.assert_allclose(told(result), own, atol=1e-3 * np.ptp(own))
    assert explanation.options.masking == "mask-token"
    assert explanation.converged
    assert explanation.stop_reason == "tolerance"
    assert explanation.quality.additivity_gap is not None
    assert explanation.quality.additivity_gap < 0.01 * np.abs(own).max()
    attribution = explanation.attributions[0]
    inside = zip(attribution.lower, attribution.values, attribution.upper, strict=True)
    assert all(low <= value <= high for low, value, high in inside)
    assert explanation.evaluations == 2 + 8 + 16


async def test_all_classes_groups_and_fixed_words(run: Path, repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        options: explicate.ExplainOptions = {"method": METHOD, "output_space": "logit"}
        every = await client.explain("with", TEXT, target=explicate.ALL, **options)
        first = await client.explain("with", TEXT, target=0, **options)
        grouped = await client.explain("with", TEXT, target=0, groups={"both": ["soup", "great"]}, **options)
        fixed = await client.explain("with", TEXT, target=0, fixed=["slow"], **options)
    assert list(every.explanation.attributions[0].values) == pytest.approx(told(first), abs=1e-6)
    values = dict(zip((feature.name for feature in first.explanation.features), told(first), strict=True))
    of_groups = dict(zip((feature.name for feature in grouped.explanation.features), told(grouped), strict=True))
    assert of_groups["both"] == pytest.approx(values["soup"] + values["great"], abs=1e-6)
    own = integral(run, lambda logits: logits[0], fixed="slow")
    without = [value for name, value in own.items() if not name.endswith(":slow")]
    np.testing.assert_allclose(told(fixed), without, atol=1e-3 * np.ptp(without))


async def test_a_small_budget_ends_with_one_estimate(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        result = await client.explain("with", TEXT, method=METHOD, max_evaluations=20)
        with pytest.raises(ServerError, match=r"options\.max_evaluations.*is 9; integrated-gradients needs 10"):
            await client.explain("with", TEXT, method=METHOD, max_evaluations=9)
    assert result.explanation.evaluations == 2 + 8
    assert not result.explanation.converged
    assert np.isnan(result.explanation.attributions[0].lower).all()


async def test_what_it_cannot_do_is_refused(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        with pytest.raises(ServerError, match=r"needs the gradient .* export it with --gradient"):
            await client.explain("without", TEXT, method=METHOD)
        for options, problem in (
            ({"masking": "attention"}, r"options\.masking.*knows mask-token alone"),
            ({"baseline": "another soup"}, r"options\.baseline"),
            ({"interactions": 2}, r"options\.interactions"),
        ):
            with pytest.raises(ServerError, match=problem):
                await client.explain("with", TEXT, method=METHOD, **options)  # type: ignore[arg-type]
        auto = await client.explain("with", TEXT)
        described = await client.get_model("with")
    assert auto.explanation.options.method != METHOD
    assert METHOD in set(described.methods)


LONG = f"{TEXT}, and the bread was good, and nobody was there"
SLOWLY: explicate.ExplainOptions = {"method": "kernel-shap", "seed": 1, "tolerance": 0.0, "max_evaluations": 800}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"output_space": "logit"},
        {"target": explicate.Contrast(0, 1)},
        {"masking": "mask-token"},
        {"groups": {"both": ["soup", "great"]}, "fixed": ["slow"]},
        {"max_players": 12},
    ],
    ids=["probability", "logit", "contrast", "mask-token", "parts", "phrases"],
)
async def test_a_stream_begins_with_a_guess_by_the_gradient(
    repository: Path, options: explicate.ExplainOptions
) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        first, *others = [one async for one in client.stream_explain("with", LONG, **SLOWLY, **options)]
        exact = await client.explain("with", LONG, **{**SLOWLY, **options})
        way: explicate.ExplainOptions = {"method": METHOD, "max_evaluations": 2 + 8}
        own = {name: value for name, value in options.items() if name not in ("masking", "max_players")}
        integrated = await client.explain("with", LONG, **way, **own)  # type: ignore[arg-type]
    assert first.explanation.preview
    assert not any(one.explanation.preview for one in others)
    assert others[-1].explanation.attributions == exact.explanation.attributions
    guess, known = first.explanation.attributions[0], integrated.explanation.attributions[0]
    assert guess.class_index == known.class_index
    gap = guess.instance_value - guess.baseline_value
    assert sum(guess.values) == pytest.approx(gap, abs=1e-6)
    assert np.isnan(guess.lower).all()
    if "max_players" in options:
        assert len(guess.values) == len(first.explanation.features)
        return
    shifted = np.array(known.values) + (gap - sum(known.values)) / len(known.values)
    np.testing.assert_allclose(guess.values, shifted, atol=0.05 * np.ptp(shifted))  # four points instead of eight


@pytest.mark.parametrize(
    ("model", "text", "options"),
    [
        ("without", LONG, {}),
        ("with", TEXT, {}),  # nine words: a first estimate is there as soon
        ("with", LONG, {"target": explicate.ALL}),  # of two outputs, so is it here
        ("with", LONG, {"method": "lime"}),
        ("with", LONG, {"masking": "delete"}),
        ("with", LONG, {"baseline": "another soup"}),
    ],
    ids=["without", "short", "all", "lime", "delete", "baseline"],
)
async def test_where_the_gradient_says_nothing_sooner_there_is_no_guess(
    repository: Path, model: str, text: str, options: explicate.ExplainOptions
) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        told = [one async for one in client.stream_explain(model, text, **{**SLOWLY, **options})]
    assert told[-1].final
    assert not any(one.explanation.preview for one in told)


async def test_where_the_model_is_on_a_device_its_first_estimate_comes_first(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    the_only_kind(monkeypatch, ToyKind([Faults()]))
    async with running_server(repository, device="toy") as running, explicate.AsyncClient(running.target) as client:
        told = [one async for one in client.stream_explain("with", LONG, **SLOWLY)]
        described = await client.get_model("with")
    assert METHOD in set(described.methods)
    assert told[-1].final
    assert not any(one.explanation.preview for one in told)


async def test_nobody_pays_for_a_guess_that_nobody_sees(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explicate_server.inference.explain_call.guessed", None)
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        result = await client.explain("with", LONG, **SLOWLY)
    assert not result.explanation.preview
