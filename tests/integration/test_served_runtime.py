"""What serves is what was asked for or was found best, and every answer says what it was."""

import shutil
import sys
from pathlib import Path

import grpc
import numpy as np
import pytest

from explicate.v1 import model_service_pb2, model_service_pb2_grpc
from explicate_server.app import StartError
from support.bundle_edits import edit_manifest
from support.harness import TEXT, explain_request, predict_request, running_server


@pytest.fixture
def repository(tiny_repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_repository, tmp_path / "repository"))


def allow(repository: Path, *, logits: float, attributions: float = 0.05) -> None:
    """At a precision lower than fp32; 0 forbids it."""

    def change(manifest: dict[str, object]) -> None:
        manifest["golden_reduced_tolerance"] = logits
        manifest["golden_attributions"] |= {"tolerance": attributions}  # type: ignore[operator]

    edit_manifest(repository / "tiny" / "1", change)


async def describe(channel: grpc.aio.Channel) -> model_service_pb2.GetModelResponse:
    answer = await model_service_pb2_grpc.ModelServiceStub(channel).GetModel(
        model_service_pb2.GetModelRequest(model="tiny", version=1)
    )
    assert isinstance(answer, model_service_pb2.GetModelResponse)
    return answer


async def test_openvino_predicts_and_explains_as_onnx_runtime_does(repository: Path) -> None:
    allow(repository, logits=0)  # in fp32, so that the two differ by rounding only
    answers = []
    for runtime in ("onnxruntime", "openvino"):
        async with running_server(repository, runtime=runtime, threads=2) as running:
            answer = (
                await running.inference.Explain(explain_request(TEXT, method="permutation-shap", tolerance=0.0))
            ).result
            described = await describe(running.channel)
        assert (answer.model.runtime, answer.model.precision) == (f"{runtime}-cpu", "fp32")
        assert (described.status.runtime, described.status.precision) == (f"{runtime}-cpu", "fp32")
        assert [trial.runtime for trial in described.runtimes] == [f"{runtime}-cpu"]
        assert described.runtimes[0].passed
        assert described.runtimes[0].logit_difference < 1e-4
        assert described.runtimes[0].attribution_difference < 1e-4
        assert not described.runtimes[0].HasField("seconds_per_row")
        answers.append(answer)
    values = [np.array(answer.explanation.attributions[0].values) for answer in answers]
    scores = [[each.logit for each in answer.prediction.classification.scores] for answer in answers]
    np.testing.assert_allclose(values[0], values[1], rtol=0, atol=1e-4)
    np.testing.assert_allclose(scores[0], scores[1], rtol=0, atol=1e-4)


async def test_auto_serves_with_one_that_passed_and_lists_all(repository: Path) -> None:
    allow(repository, logits=0)
    async with running_server(repository, runtime="auto", threads=2) as running:
        described = await describe(running.channel)
        answer = await running.inference.Predict(predict_request("good tea"))
    assert {trial.runtime for trial in described.runtimes} == {"onnxruntime-cpu", "openvino-cpu"}
    assert described.runtimes[0].runtime == described.status.runtime == answer.model.runtime
    assert all(trial.passed and trial.seconds_per_row > 0 for trial in described.runtimes)


async def test_auto_falls_back_to_the_default_where_the_lower_precision_is_too_far_off(repository: Path) -> None:
    allow(repository, logits=1e-9)
    async with running_server(repository, runtime="auto") as running:
        described = await describe(running.channel)
    refused = {trial.runtime: trial for trial in described.runtimes}["openvino-cpu"]
    if refused.precision == "fp32":
        pytest.skip("this chip has no bf16")
    assert described.status.runtime == "onnxruntime-cpu"
    assert (refused.precision, refused.passed) == ("bf16", False)
    assert "golden outputs differ" in refused.reason


async def test_a_lower_precision_that_is_allowed_is_named_in_the_answer(repository: Path) -> None:
    allow(repository, logits=0.5, attributions=0.5)
    async with running_server(repository, runtime="openvino") as running:
        described = await describe(running.channel)
        answer = await running.inference.Predict(predict_request("good tea"))
    if described.status.precision == "fp32":
        pytest.skip("this chip has no bf16")
    assert (answer.model.precision, described.status.precision) == ("bf16", "bf16")
    # bf16 rounds at the 9th significant bit: visible in the logits, far from another model.
    assert 1e-4 < described.runtimes[0].logit_difference < 0.5
    assert described.bundle.precision == "fp32"


async def test_a_runtime_asked_for_by_name_that_is_missing_is_the_reason_of_a_failed_version(
    repository: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(StartError):
        async with running_server(repository, runtime="openvino"):
            pass
    assert "tiny/1 refused: the openvino package is missing: pip install 'explicate[openvino]'" in caplog.text
    assert "Traceback" not in caplog.text
    async with running_server(repository, runtime="auto") as running:
        described = await describe(running.channel)
    assert described.status.runtime == "onnxruntime-cpu"
    assert [trial.passed for trial in described.runtimes] == [True, False]
    assert "pip install" in described.runtimes[1].reason
