"""Every answer names the precision that served; what is asked for is served, or refused in a sentence."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import explicate
from explicate.cli.main import main
from explicate_bundle.model_inputs import ImageInput, ModelInput, TabularInput, TextInput
from explicate_server.app import StartError
from explicate_server.registry import runtime_choice
from support.bundle_edits import add_variant, edit_manifest
from support.exported import moved_graph
from support.harness import TEXT, running_server
from support.toy_device import Faults, ToyKind, the_only_kind
from support.with_variants import KINDS, WithVariants


def asked(value: ModelInput) -> Any:
    """A golden input as a caller gives it."""
    if isinstance(value, TextInput):
        return value.text
    if isinstance(value, TabularInput):
        return dict(value.cells)
    assert isinstance(value, ImageInput)
    return explicate.Image(value.content)


def scores(prediction: Any) -> list[float]:
    """Probabilities by class, or the value."""
    return [prediction.value] if prediction.value is not None else [score.probability for score in prediction.scores]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_variant_of_every_kind_is_served_where_it_is_asked_for_and_named_in_every_answer(
    variants: WithVariants, tmp_path: Path, kind: str
) -> None:
    repository, log = variants[kind].repository, tmp_path / "audit.jsonl"
    golden, (variant,) = variants[kind].bundle.golden(), variants[kind].bundle.manifest.variants
    value = asked(golden.inputs[next(iter(golden.attributions))])
    answers: dict[str, tuple[Any, Any]] = {}
    for precision in ("fp16", "fp32", "auto"):
        settings = {"precision": precision, "audit_log": str(log)}
        async with running_server(repository, **settings) as running, explicate.AsyncClient(running.target) as client:
            described = await client.get_model(kind)
            predicted = await client.predict(kind, [value])
            explained = await client.explain(kind, value, method="permutation-shap", seed=0)
        served = "fp16" if precision == "fp16" else "fp32"  # fp16 is for a GPU, and here is none
        named = (described.status, predicted.model, explained.model, described.runtimes[0])
        assert {each.precision for each in named} == {served}
        assert {each.runtime for each in named} == {"onnxruntime-cpu"}
        assert json.loads(log.read_text(encoding="ascii").splitlines()[-1])["precision"] == served
        assert len(described.runtimes) == 1
        assert [(each.precision, each.size_bytes) for each in described.variants] == [
            ("fp16", variants[kind].bundle.variant_path(variant).stat().st_size)
        ]
        answers[precision] = predicted, explained
    assert answers["auto"][0].predictions == answers["fp32"][0].predictions
    half, full = (np.array(scores(answers[precision][0].predictions[0])) for precision in ("fp16", "fp32"))
    assert 0 < np.abs(half - full).max() <= variant.output_tolerance
    values = [np.array(answers[p][1].explanation.attributions[0].values) for p in ("fp16", "fp32")]
    assert 0 < np.linalg.norm(values[0] - values[1]) <= 2 * variant.attribution_tolerance * np.linalg.norm(values[1])


@pytest.fixture
def repository(tiny_repository: Path, tmp_path: Path) -> Path:
    """Version 1 of a text classifier, and version 2 with variants that are copies of its graph."""
    copied = Path(shutil.copytree(tiny_repository, tmp_path / "repository"))
    second = Path(shutil.copytree(copied / "tiny" / "1", copied / "tiny" / "2"))
    edit_manifest(second, lambda manifest: manifest.update(version=2))
    for precision in ("fp16", "int8"):
        add_variant(second, precision, (second / "model.onnx").read_bytes())
    return copied


async def test_a_variant_with_broken_goldens_is_refused_by_name_and_fp32_serves(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = repository / "tiny" / "2"
    edit_manifest(second, lambda m: m["variants"][1].update(attribution_tolerance=1e-9, attribution_difference=0))
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        described = await client.get_model("tiny")
        explained = await client.explain("tiny", TEXT)
        assert (
            await asyncio.to_thread(main, ["models", "show", "tiny", "--format", "text", "--server", running.target])
            == 0
        )
    assert (described.status.version, described.status.precision, explained.model.precision) == (2, "fp32", "fp32")
    serves, refused = described.runtimes
    assert (serves.precision, serves.passed, serves.score_difference) == ("fp32", True, None)
    assert (refused.precision, refused.passed) == ("int8", False)
    assert refused.reason.startswith("golden attributions differ by ")
    assert refused.reason.endswith(" on onnxruntime-cpu in int8; 1e-09 is allowed")
    shown = capsys.readouterr().out
    assert "onnxruntime-cpu int8: refused: golden attributions differ by " in shown
    assert "fp16 0.2 MB: outputs within 1.0e-04, attributions within 0.10% at export" in shown


async def test_a_tampered_variant_is_refused_whichever_precision_is_served(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = repository / "tiny" / "2" / "model.fp16.onnx"
    moved_graph(repository / "tiny" / "2" / "model.onnx", path, offset=0.0)
    async with running_server(repository, precision="fp32") as running, explicate.AsyncClient(running.target) as client:
        assert (await client.get_model("tiny")).status.version == 1
        failed = (await client.get_model("tiny", version=2)).status
    assert failed.state == "failed"
    assert "model.fp16.onnx" in failed.reason
    assert "model.fp16.onnx" in caplog.text


async def test_a_precision_that_a_bundle_lacks_is_refused_with_what_there_is(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(repository / "tiny" / "2")
    with pytest.raises(StartError):
        async with running_server(repository, precision="int8"):
            pass
    sentence = "tiny/1 refused: --precision is int8, and the bundle has fp32: serve it with --precision auto or one of"
    assert sentence in caplog.text
    assert "Traceback" not in caplog.text


async def precisions(client: explicate.AsyncClient) -> tuple[int, str, str]:
    """Version and precision of the status, and the precision of an answer."""
    status = (await client.get_model("tiny")).status
    answer = await client.predict("tiny", [TEXT])
    assert answer.model.version == status.version
    return status.version, status.precision, answer.model.precision


async def test_a_swap_to_a_version_with_another_precision_and_back_names_each(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds = {"onnxruntime": [1.0] * 3, "onnxruntime int8": [0.5] * 3}
    monkeypatch.setattr(runtime_choice, "_time", lambda check, modality, runtimes: {n: speeds[n] for n in runtimes})
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        assert await precisions(client) == (2, "int8", "int8")
        await client.activate_version("tiny", 1)
        assert await precisions(client) == (1, "fp32", "fp32")
        await client.rollback_model("tiny")
        assert await precisions(client) == (2, "int8", "int8")


async def test_a_version_that_lacks_the_precision_does_not_take_the_place_of_one_that_has_it(repository: Path) -> None:
    async with running_server(repository, precision="int8") as running, explicate.AsyncClient(running.target) as client:
        assert await precisions(client) == (2, "int8", "int8")
        with pytest.raises(explicate.FailedPrecondition, match="--precision is int8, and the bundle has fp32"):
            await client.activate_version("tiny", 1)
        assert await precisions(client) == (2, "int8", "int8")


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> ToyKind:
    """A kind of GPU with two devices, which stand for real ones."""
    kind = ToyKind([Faults(), Faults()])
    the_only_kind(monkeypatch, kind)
    return kind


async def test_gpus_serve_fp16_unasked_and_all_of_them_the_same(repository: Path, toy: ToyKind) -> None:
    async with running_server(repository, device="toy:0,1") as running, explicate.AsyncClient(running.target) as client:
        assert await precisions(client) == (2, "fp16", "fp16")
        described = await client.get_model("tiny")
        assert (await client.activate_version("tiny", 1)).status.precision == "fp32"
        assert (await client.rollback_model("tiny")).status.precision == "fp16"
    assert [(trial.runtime, trial.precision, trial.passed) for trial in described.runtimes] == [
        ("onnxruntime-toy", "fp16", True)
    ]
    assert described.status.devices == ("toy:0", "toy:1")
    assert all(faults.ran for faults in toy.faults)


@pytest.mark.usefixtures("toy")
async def test_gpus_serve_fp32_where_the_goldens_of_fp16_fail_or_fp32_is_asked_for(repository: Path) -> None:
    second, forced = repository / "tiny" / "2", {"device": "toy:0,1", "precision": "fp32"}
    async with running_server(repository, **forced) as running, explicate.AsyncClient(running.target) as client:
        assert await precisions(client) == (2, "fp32", "fp32")
    edit_manifest(second, lambda m: m["variants"][0].update(attribution_tolerance=1e-9, attribution_difference=0))
    async with running_server(repository, device="toy:0,1") as running, explicate.AsyncClient(running.target) as client:
        assert await precisions(client) == (2, "fp32", "fp32")
        described = await client.get_model("tiny")
    assert [(trial.precision, trial.passed) for trial in described.runtimes] == [("fp32", True), ("fp16", False)]
    assert described.status.devices == ("toy:0", "toy:1")


async def test_replay_says_that_another_precision_answers_now(
    variants: WithVariants, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository, log = variants["text"].repository, tmp_path / "audit.jsonl"
    settings = {"audit_log": str(log), "audit_inputs": True, "precision": "fp16"}
    async with running_server(repository, **settings) as running, explicate.AsyncClient(running.target) as client:
        await client.explain("text", TEXT, method="permutation-shap", seed=3, tolerance=0.0)
    async with running_server(repository, precision="fp32") as running:
        command = ["replay", "--format", "json", str(log), "--server", running.target]
        assert await asyncio.to_thread(main, command) == 1
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["verdict"] == "different"
    assert verdict["what"] == "precision: fp16 then, fp32 now"
    assert 0 < verdict["largest_difference"] < 0.1
