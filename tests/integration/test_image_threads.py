"""What reads images does not hold up the rest of the server: neither the event loop nor the steps of other calls."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from explicate.v1 import explanation_pb2 as options_pb
from explicate.v1 import inference_service_pb2 as messages
from explicate_bundle import model_inputs as inputs_module
from explicate_server.modalities import image as image_module
from support.harness import Running, explain_input, image_input, reference, running_server, table_input
from support.tiny_image_bundle import pictures, png, tiny_images
from support.tiny_table_bundle import tiny_table


async def predict(running: Running, contents: list[bytes]) -> Any:
    inputs = [image_input(content) for content in contents]
    return await running.inference.Predict(messages.PredictRequest(model=reference("animals"), inputs=inputs))


async def test_images_are_decoded_cut_and_digested_away_from_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_images().publish(tmp_path, "animals")
    threads: list[tuple[str, threading.Thread]] = []

    def noted(name: str, module: Any = image_module) -> None:
        original = getattr(module, name)

        def call(*arguments: Any, **options: Any) -> Any:
            threads.append((name, threading.current_thread()))
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    content = png(pictures(1, seed=18)[0])
    async with running_server(tmp_path) as running:
        noted("read_image")
        noted("segmented")
        noted("sha256", inputs_module)
        await predict(running, [content] * 9)
        await running.inference.Explain(explain_input(image_input(content), model="animals"))
    assert [name for name, _ in threads] == ["read_image"] * 10 + ["segmented", "sha256"]
    assert all(thread is not threading.main_thread() for _, thread in threads)


async def test_other_explanations_go_on_while_images_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_images().publish(tmp_path, "animals")
    table = tiny_table()
    table.publish(tmp_path, "loans")
    numbers, codes = table.rows(1, missing=0.0)
    row = table_input(table.cells(numbers[0], codes[0]))
    reading, may_go_on = threading.Semaphore(0), threading.Event()
    read_image = image_module.read_image

    def held(*arguments: Any, **options: Any) -> Any:
        reading.release()
        assert may_go_on.wait(30)
        return read_image(*arguments, **options)

    contents = [png(picture) for picture in pictures(8, seed=20)]
    async with running_server(tmp_path) as running:
        monkeypatch.setattr(image_module, "read_image", held)
        calls = [asyncio.create_task(predict(running, contents)) for _ in range(4)]
        try:
            await asyncio.to_thread(reading.acquire)
            request = explain_input(row, model="loans")
            answer = (await running.inference.Explain(request, timeout=20)).result
        finally:
            may_go_on.set()
        predicted = await asyncio.gather(*calls)
    assert answer.explanation.stop_reason == options_pb.STOP_REASON_EXACT
    assert [len(prediction.predictions) for prediction in predicted] == [len(contents)] * 4
