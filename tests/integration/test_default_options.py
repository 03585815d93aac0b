"""The defaults that GetModel tells are those that requests resolve to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from explicate.v1 import explanation_pb2
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import model_service_pb2 as model_messages
from explicate.v1 import model_service_pb2_grpc as model_services
from support.harness import Running, explain_input, image_input, running_server, table_input, text_input
from support.tiny_image_bundle import pictures, png
from support.tiny_table_bundle import tiny_table


def row() -> messages.Input:
    table = tiny_table()
    numbers, codes = table.rows(1, seed=3)
    return table_input(table.cells(numbers[0], codes[0]))


INPUTS: dict[str, tuple[str, str, Callable[[], messages.Input]]] = {
    "text": ("tiny_repository", "tiny", lambda: text_input("a cup of good tea")),
    "table": ("table_repository", "loans", row),
    "image": ("image_repository", "animals", lambda: image_input(png(pictures(1, seed=3)[0]))),
}
# These follow from the input, unless GetModel tells them.
OF_THE_INPUT = {"max_evaluations", "min_evaluations", "max_players"}


async def described(running: Running, model: str) -> model_messages.GetModelResponse:
    stub: Any = model_services.ModelServiceStub(running.channel)
    answer: model_messages.GetModelResponse = await stub.GetModel(model_messages.GetModelRequest(model=model))
    return answer


@pytest.mark.parametrize("name", INPUTS)
async def test_a_request_that_names_only_a_method_resolves_to_what_get_model_tells(
    name: str, request: pytest.FixtureRequest
) -> None:
    fixture, model, value = INPUTS[name]
    async with running_server(request.getfixturevalue(fixture)) as running:
        answer = await described(running, model)
        assert [told.method for told in answer.default_options] == [m for m in answer.methods if m != "auto"]
        for told in answer.default_options:
            if (name, told.method) == ("image", "exact-shap"):
                continue  # 2 to the power of the segments
            asked = explain_input(value(), model=model, method=told.method)
            resolved = (await running.inference.Explain(asked)).result.explanation.options
            assert values(resolved) | values(told) == values(resolved)
            assert values(resolved).keys() - values(told).keys() <= OF_THE_INPUT | {"target"}


async def test_a_default_that_every_input_has_is_told(tiny_repository: Path) -> None:
    async with running_server(tiny_repository, max_call_s=12.0) as running:
        told = {options.method: options for options in (await described(running, "tiny")).default_options}
    assert told["lime"].max_evaluations == 1000
    assert told["kernel-shap"].tolerance == 0.2
    assert not told["kernel-shap"].HasField("max_evaluations")
    assert {options.time_limit_seconds for options in told.values()} == {12.0}


def values(options: explanation_pb2.ExplainOptions) -> dict[str, Any]:
    return {field.name: value for field, value in options.ListFields() if field.name != "target"}
