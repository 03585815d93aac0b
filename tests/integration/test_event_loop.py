"""What takes long for one request is done by threads, so that the event loop goes on with the others."""

import threading
from pathlib import Path
from typing import Any

import pytest

from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import table_pb2
from explicate_server.inference import predictor
from explicate_server.modalities.table import TabularModality
from explicate_server.rpc import answers, inference_service, requests, table_answers
from explicate_server.rpc.message_bytes import in_slices
from explicate_server.telemetry import audit_log
from support.harness import explain_input, image_input, reference, running_server, table_input
from support.tiny_image_bundle import pictures, png, tiny_images
from support.tiny_table_bundle import tiny_table


class Noted:
    """In which threads functions have run, by name; True stands for the event loop's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on_loop: dict[str, set[bool]] = {}
        self._monkeypatch = monkeypatch

    def note(self, owner: Any, *names: str) -> None:
        for name in names:
            self._note(owner, name)

    def _note(self, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def noted(*arguments: Any, **options: Any) -> Any:
            on_loop = threading.current_thread() is threading.main_thread()
            self.on_loop.setdefault(name, set()).add(on_loop)
            return original(*arguments, **options)

        self._monkeypatch.setattr(owner, name, noted)


async def test_large_requests_and_answers_are_converted_away_from_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tiny_table()
    table.publish(tmp_path, "loans")
    numbers, codes = table.rows(300, seed=1)
    rows = [table_input(table.cells(*row)) for row in zip(numbers, codes, strict=True)]
    packed = table_pb2.Table(rows=1000)
    for name in table.numbers:
        packed.columns.add(name=name).numbers.values.extend([0.5] * 1000)
    for column in table.others:
        values = packed.columns.add(name=column.name).categories
        values.names.append(column.categories[0])
        values.codes.extend([0] * 1000)
    monkeypatch.setattr(predictor, "_INLINE_CHARACTERS", 64)  # a thousand rows of six columns take 0.1 ms
    noted = Noted(monkeypatch)
    noted.note(requests, "model_inputs", "packed_table")
    noted.note(answers, "predict_response", "_prediction")
    noted.note(table_answers, "packed_response")
    noted.note(TabularModality, "packed_violations", "encode_packed", "encode_all")
    async with running_server(tmp_path) as running:
        request = messages.PredictRequest(model=reference("loans"), inputs=rows)
        together = await running.inference.Predict(request)
        assert len(together.predictions) == 300
        noted.on_loop["_prediction"].clear()
        few = messages.PredictRequest(model=reference("loans"), inputs=rows[:1])
        assert (await running.inference.Predict(few)).predictions[0] == together.predictions[0]
        assert noted.on_loop.pop("_prediction") == {True}  # which takes less than the hand-over
        for name in ("model_inputs", "predict_response", "encode_all"):
            assert False in noted.on_loop.pop(name)
        request = messages.PredictRequest(model=reference("loans"), table=packed)
        answer = await running.inference.Predict(request)
        assert len(answer.packed.scores) == 1000 * len(answer.packed.class_labels)
    assert noted.on_loop.pop("packed_response") == {True}  # 2,000 numbers
    assert sorted(noted.on_loop) == ["encode_packed", "packed_table", "packed_violations"]
    assert all(threads == {False} for threads in noted.on_loop.values())


async def test_an_explained_image_is_answered_away_from_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A map of 2,048 x 2,048 pixels costs enough to be handed over; here everything does."""
    tiny_images().publish(tmp_path, "animals")
    monkeypatch.setattr(inference_service, "_MOST_INLINE_STEPS", 0)
    noted = Noted(monkeypatch)
    noted.note(answers, "segment_map", "explanation")
    noted.note(requests, "model_input")
    noted.note(audit_log, "audit_entry")
    content = png(pictures(1, seed=18)[0])
    async with running_server(tmp_path, audit_log=str(tmp_path / "audit"), audit_inputs=True) as running:
        answer = await running.inference.Explain(explain_input(image_input(content), model="animals"))
        assert answer.result.explanation.segment_map.ids
    assert sorted(noted.on_loop) == ["audit_entry", "explanation", "model_input", "segment_map"]
    assert all(threads == {False} for threads in noted.on_loop.values())


@pytest.mark.parametrize("rows", [1, 255, 256, 257, 700])
def test_an_answer_made_in_slices_is_the_answer(rows: int) -> None:
    def part(some: slice) -> messages.PredictResponse:
        numbers = range(rows)[some]
        return messages.PredictResponse(
            predictions=[messages.Prediction(unknown_category_columns=[f"c{number}"]) for number in numbers],
            packed=messages.PackedPredictions(scores=[0.5 * number for number in numbers]),
        )

    def rest() -> messages.PredictResponse:
        return messages.PredictResponse(
            model=messages.ModelVersion(model="m", version=3), packed=messages.PackedPredictions(class_labels=["a"])
        )

    sliced = in_slices(rows, 256, part, rest())
    assert isinstance(sliced, bytes) == (rows > 256)
    whole = rest()
    whole.MergeFrom(part(slice(None)))
    read = messages.PredictResponse.FromString(sliced) if isinstance(sliced, bytes) else sliced
    assert read == whole
