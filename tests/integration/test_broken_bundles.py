"""One broken bundle, or one poisoned text, costs nobody else anything."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from explicate.v1 import explanation_pb2, model_service_pb2, model_service_pb2_grpc
from explicate_server.app import StartError
from support.bundle_edits import edit_golden, edit_manifest, replace_file
from support.harness import TEXT, explain_request, predict_request, running_server
from support.tiny_bundle import POISON_WORD, build_onnx_variant


@pytest.fixture
def repository(tiny_repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_repository, tmp_path / "repository"))


async def test_broken_bundles_are_named_and_the_others_serve(repository: Path) -> None:
    for name in ("truncated", "tampered", "nomanifest", "misnamed"):
        shutil.copytree(repository / "tiny", repository / name)
        manifest = repository / name / "1" / "manifest.json"
        if name != "misnamed":
            manifest.write_text(manifest.read_text().replace('"tiny"', f'"{name}"'))
    graph = repository / "truncated" / "1" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-100])
    tokenizer = repository / "tampered" / "1" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("tea", "eat", 1))
    (repository / "nomanifest" / "1" / "manifest.json").unlink()
    async with running_server(repository) as running:
        models = model_service_pb2_grpc.ModelServiceStub(running.channel)
        listed = await models.ListModels(model_service_pb2.ListModelsRequest())
        states = {status.model: status for status in listed.models}
        answer = await running.inference.Predict(predict_request("good tea"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.Predict(predict_request("good tea", model="tampered"))
    assert answer.model.model == "tiny"
    assert states["tiny"].state == model_service_pb2.MODEL_STATE_READY
    assert states["tiny"].labels == ["live"]
    for name, named in {
        "truncated": "model.onnx",
        "tampered": "tokenizer.json",
        "nomanifest": "manifest.json",
        "misnamed": "model",
    }.items():
        assert states[name].state == model_service_pb2.MODEL_STATE_FAILED
        assert named in states[name].reason
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "tokenizer.json" in (caught.value.details() or "")


async def test_a_broken_new_version_leaves_the_one_before_it_serving(repository: Path) -> None:
    shutil.copytree(repository / "tiny" / "1", repository / "tiny" / "2")
    manifest = repository / "tiny" / "2" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 2'))
    golden = repository / "tiny" / "2" / "golden.npz"
    golden.write_bytes(b"no archive")
    async with running_server(repository) as running:
        answer = await running.inference.Predict(predict_request("good tea"))
        models = model_service_pb2_grpc.ModelServiceStub(running.channel)
        broken = await models.GetModel(model_service_pb2.GetModelRequest(model="tiny", version=2))
        live = await models.GetModel(model_service_pb2.GetModelRequest(model="tiny"))
    assert answer.model.version == 1
    assert "golden.npz" in broken.status.reason
    assert live.status.version == 1
    assert {"kernel-shap", "lime"} <= set(live.methods)
    assert live.limits.max_inputs == 1024
    assert live.model_card


async def test_a_model_that_is_no_longer_itself_is_refused_by_its_golden_outputs(repository: Path) -> None:
    folder = build_onnx_variant(repository, model="changed", constant=True)
    replace_file(folder, "golden.npz", (repository / "tiny" / "1" / "golden.npz").read_bytes())  # of another model
    async with running_server(repository) as running:
        record = running.server.registry.find("changed", version=1)
        assert "golden outputs differ" in record.reason
        assert (await running.inference.Predict(predict_request("good tea"))).model.model == "tiny"


async def test_a_model_that_explains_itself_in_another_way_is_refused_by_its_golden_attributions(
    repository: Path,
) -> None:
    shutil.copytree(repository / "tiny", repository / "twisted")
    folder = repository / "twisted" / "1"
    edit_manifest(folder, lambda manifest: manifest.update(model="twisted"))
    # The same sum, given to the words in reverse.
    edit_golden(
        folder,
        lambda golden: replace(golden, attributions={i: values[::-1] for i, values in golden.attributions.items()}),
    )
    async with running_server(repository) as running:
        models = model_service_pb2_grpc.ModelServiceStub(running.channel)
        refused = await models.GetModel(model_service_pb2.GetModelRequest(model="twisted", version=1))
        assert (await running.inference.Predict(predict_request("good tea"))).model.model == "tiny"
    assert refused.status.state == model_service_pb2.MODEL_STATE_FAILED
    assert "golden attributions differ" in refused.status.reason
    assert "0.05 is allowed" in refused.status.reason
    assert not refused.runtimes


async def test_a_server_with_nothing_to_serve_says_so(repository: Path) -> None:
    (repository / "tiny" / "1" / "manifest.json").unlink()
    with pytest.raises(StartError, match=r"tiny version 1 was refused: manifest\.json cannot be read"):
        async with running_server(repository):
            pass
    with pytest.raises(StartError, match="cannot read the repository"):
        async with running_server(repository / "missing"):
            pass


async def test_a_text_on_which_the_model_gives_nan_fails_alone(repository: Path) -> None:
    build_onnx_variant(repository, model="poisoned", nan=True)
    async with running_server(repository) as running:
        texts = [TEXT, f"{POISON_WORD} tea", "good tea"]
        answers = await asyncio.gather(
            *(running.inference.Predict(predict_request(text, model="poisoned")) for text in texts * 4),
            return_exceptions=True,
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.Explain(explain_request(f"the {POISON_WORD} tea", model="poisoned"))
    for index, answer in enumerate(answers):
        if index % 3 == 1:
            assert isinstance(answer, grpc.aio.AioRpcError)
            assert answer.code() == grpc.StatusCode.INTERNAL
            assert "no usable answer" in (answer.details() or "")
        else:
            assert not isinstance(answer, BaseException)
    assert "no usable answer" in (caught.value.details() or "")


@pytest.mark.parametrize("method", ["kernel-shap", "lime"])
async def test_a_constant_model_is_explained_by_zeros(repository: Path, method: str) -> None:
    build_onnx_variant(repository, model="constant", constant=True)
    async with running_server(repository) as running:
        answer = (await running.inference.Explain(explain_request(TEXT, model="constant", method=method))).result
    (attribution,) = answer.explanation.attributions
    assert max(abs(value) for value in attribution.values) < 1e-9
    if method == "kernel-shap":
        assert answer.explanation.converged
        assert answer.explanation.stop_reason == explanation_pb2.STOP_REASON_TOLERANCE
    assert not answer.explanation.quality.HasField("held_out_r_squared")


async def test_a_tokenizer_that_is_none_is_named(repository: Path) -> None:
    for version, content in ((2, b"{}"), (3, b"\xff\xfe"), (4, b'{"version": "1.0", "model": {"type": "x"}}')):
        folder = Path(shutil.copytree(repository / "tiny" / "1", repository / "tiny" / str(version)))
        edit_manifest(folder, lambda manifest, version=version: manifest.update(version=str(version)))
        replace_file(folder, "tokenizer.json", content)
    async with running_server(repository) as running:
        models = model_service_pb2_grpc.ModelServiceStub(running.channel)
        listed = await models.ListModels(model_service_pb2.ListModelsRequest())
    reasons = [status.reason for status in listed.models[1:]]
    assert len(reasons) == 3
    assert all(reason.startswith("tokenizer.json is no") for reason in reasons), reasons
