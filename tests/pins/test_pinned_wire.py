"""What a real server answers over gRPC for each kind of input and objective, as it is today."""

from collections.abc import Callable
from pathlib import Path
from typing import Any  # JSON values

import grpc
import pytest

from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import table_pb2
from pins import record, tiny
from pins.conftest import Served
from pins.wire import Caller, inputs_of, packed_table

_FEW = {"seed": "7", "max_evaluations": 48}
_SEGMENTS = {"segments": 5, "granularity": "GRANULARITY_GRID"}

each_model = pytest.mark.parametrize("name", tiny.NAMES)


@pytest.fixture
def asked(
    name: str, served: Callable[[str], Served], pictures: tuple[Path, Path]
) -> "Callable[[Callable[[Caller, list[messages.Input]], Any]], Any]":
    """Runs a conversation with the model, given a caller and two inputs."""
    kind = tiny.kind_of(name)
    inputs = inputs_of(kind, pictures, pairs=name == "text-regression")

    def converse(talk: Callable[[Caller, list[messages.Input]], Any]) -> Any:
        running = served(kind)
        with grpc.insecure_channel(running.address) as channel:
            return talk(Caller(channel, name, running.places), inputs)

    return converse


@each_model
def test_predict(name: str, asked: Any) -> None:
    def talk(caller: Caller, inputs: list[messages.Input]) -> Any:
        answers = {"inputs": caller.predict(inputs)}
        return {**answers, "table": caller.predict([], packed_table(4))} if name.startswith("table") else answers

    record.check(f"wire/{name}/predict.json", asked(talk))


@each_model
def test_get_model(name: str, asked: Any) -> None:
    record.check(f"wire/{name}/get_model.json", asked(lambda caller, _: caller.get_model()))


@each_model
def test_explain_by_every_method_of_the_model(name: str, asked: Any) -> None:
    segments = _SEGMENTS if name.startswith("image") else {}

    def talk(caller: Caller, inputs: list[messages.Input]) -> Any:
        methods = caller.get_model()["methods"]
        return {method: caller.explain(inputs[0], method=method, **_FEW, **segments) for method in methods}

    record.check(f"wire/{name}/explain.json", asked(talk))


@each_model
def test_explain_with_other_options(name: str, asked: Any) -> None:
    cases: dict[str, dict[str, Any]] = {
        "as it comes": {"seed": "7"},
        "best quality": {"seed": "3", "quality": "QUALITY_LEVEL_FULL", "max_evaluations": 96},
        "all outputs": {"target": {"all": {}}, **_FEW},
        "top two": {"seed": "3", "top_k": 2, "confidence": 0.9, "min_evaluations": 16, "max_evaluations": 64},
        "logits": {"seed": "1", "output_space": "OUTPUT_SPACE_LOGIT", "max_evaluations": 32, "max_players": 6},
        "a contrast": {"target": {"contrast": {"target": {"index": 1}, "reference": {"index": 0}}}, **_FEW},
        "another masking": {"masking": _MASKINGS[tiny.kind_of(name)], **_FEW},
        "another granularity": {"granularity": _GRANULARITIES[tiny.kind_of(name)], **_FEW},
    }  # fmt: skip
    segments = {"segments": 6} if name.startswith("image") else {}

    def talk(caller: Caller, inputs: list[messages.Input]) -> Any:
        return {case: caller.explain(inputs[1], **{**segments, **options}) for case, options in cases.items()}

    record.check(f"wire/{name}/explain_options.json", asked(talk))


_MASKINGS = {"text": "MASKING_MASK_TOKEN", "table": "MASKING_BACKGROUND", "image": "MASKING_BLUR"}
_GRANULARITIES = {"text": "GRANULARITY_SENTENCE", "table": "GRANULARITY_WORD", "image": "GRANULARITY_QUICKSHIFT"}


@each_model
def test_stream_explain(name: str, asked: Any) -> None:
    options = {"method": "permutation-shap", "seed": "7", "max_evaluations": 40, "tolerance": 0.0}
    segments = _SEGMENTS if name.startswith("image") else {}

    def talk(caller: Caller, inputs: list[messages.Input]) -> Any:
        return caller.stream_explain(inputs[1], **options, **segments)

    record.check(f"wire/{name}/stream_explain.json", asked(talk))


@each_model
def test_refusals(name: str, asked: Any) -> None:
    other = {
        "text": messages.Input(tabular=messages.TabularInput()),
        "table": messages.Input(image=messages.ImageInput(content=b"GIF89a")),
        "image": messages.Input(text=messages.TextInput(text="tea")),
    }[tiny.kind_of(name)]
    cells = {"age": table_pb2.Cell(category="old"), "shoe": table_pb2.Cell()}
    broken = {
        "text": messages.Input(text=messages.TextInput(text="")),
        "table": messages.Input(tabular=messages.TabularInput(cells=cells)),
        "image": messages.Input(image=messages.ImageInput(content=b"not an image")),
    }[tiny.kind_of(name)]

    def talk(caller: Caller, inputs: list[messages.Input]) -> Any:
        return {
            "no input": caller.predict([]),
            "another kind of input": caller.predict([inputs[0], other]),
            "a broken input": caller.predict([broken, inputs[0]]),
            "a broken input to explain": caller.explain(broken),
            "no such method": caller.explain(inputs[0], method="guess"),
            "no such class": caller.explain(inputs[0], target={"label": "nobody"}),
            "wrong numbers": caller.explain(inputs[0], tolerance=-1, confidence=2, max_evaluations=0, segments=-1),
            "no such model": caller.get_model(model="nothing"),
            "no such version": caller.get_model(version=9),
        }

    record.check(f"wire/{name}/refusals.json", asked(talk))
