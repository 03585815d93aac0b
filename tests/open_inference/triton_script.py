"""tritonclient as its users write it, against the address that is given: unary, stream and asyncio. Prints JSON.

Runs in the environment of `make open-inference`, which does not have the server, and calls by explicate too.
"""

import asyncio
import json
import queue
import sys
from typing import Any

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

import explicate

TEXTS = ["good tea", "a cup of tea was not good"]
ROWS: dict[str, list[Any]] = {
    "income": [1.5, float("nan"), -0.25],
    "purpose": ["car", "", "study"],
    "debt_short": [0.5, 1.0, 2.0],
    "owner": ["true", "false", "true"],
    "age": [0.25, -1.0, 0.0],
    "rating": ["low", "high", "middle"],
    "debt_long": [1.0, 0.0, -1.0],
}
OUTPUTS = ("label", "probabilities")
EXPLAINED = ("attributions", "lower", "upper", "features", "baseline", "explanation")
OPTIONS = {"method": "exact-shap", "seed": 3}


def tensors() -> list[triton.InferInput]:
    """The rows, a tensor for each column."""
    inputs = []
    for name, values in ROWS.items():
        is_text = isinstance(values[0], str)
        array = np.array([value.encode() for value in values], np.object_) if is_text else np.array(values, np.float64)
        tensor = triton.InferInput(name, [len(values), 1], "BYTES" if is_text else "FP64")
        tensor.set_data_from_numpy(array.reshape(-1, 1))
        inputs.append(tensor)
    return inputs


def texts(*values: str) -> list[triton.InferInput]:
    """A tensor of texts."""
    tensor = triton.InferInput("text", [len(values)], "BYTES")
    tensor.set_data_from_numpy(np.array([value.encode() for value in values], np.object_))
    return [tensor]


def wanted(*names: str) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name) for name in names]


def told(result: Any, *names: str) -> dict[str, Any]:
    """Outputs as JSON has them."""
    found = {name: result.as_numpy(name) for name in names}
    return {
        name: [each.decode() for each in array.ravel()] if array.dtype == object else array.tolist()
        for name, array in found.items()
    }


def unary(client: triton.InferenceServerClient) -> dict[str, Any]:
    """Every call that answers once."""
    try:
        client.infer("loans", tensors()[1:])
        refused = ""
    except InferenceServerException as error:
        refused = f"{error.status()}: {error.message()}"
    try:
        client.get_system_shared_memory_status()
        missing = ""
    except InferenceServerException as error:
        missing = f"{error.status()}: {error.message()}"
    client.load_model("loans")
    explained = client.infer("loans", tensors(), outputs=wanted(*EXPLAINED), parameters=OPTIONS, timeout=30_000_000)
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": [
            client.is_model_ready("loans"),
            client.is_model_ready("loans", "1"),
            client.is_model_ready("none"),
        ],
        "server": client.get_server_metadata(as_json=True),
        "metadata": client.get_model_metadata("loans", as_json=True),
        "config": client.get_model_config("loans", as_json=True),
        "index": client.get_model_repository_index(as_json=True),
        "rows": told(client.infer("loans", tensors(), outputs=wanted(*OUTPUTS), priority=2), *OUTPUTS),
        "explained": told(explained, *EXPLAINED),
        "statistics": client.get_inference_statistics("loans", as_json=True),
        "refused": refused,
        "missing": missing,
    }


def streamed(client: triton.InferenceServerClient) -> dict[str, Any]:
    """A stream of three requests, the second of which is bad."""
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    client.async_stream_infer("tiny", texts(*TEXTS), request_id="first")
    client.async_stream_infer("tiny", texts(""), request_id="second")
    client.async_stream_infer("tiny", texts(TEXTS[0]), request_id="third", outputs=wanted("attributions"))
    good, bad = answers.get(timeout=60), answers.get(timeout=60)
    explained = [answers.get(timeout=60)]
    while not explained[-1][0].get_response().parameters["triton_final_response"].bool_param:
        explained.append(answers.get(timeout=60))
    client.stop_stream()
    return {
        "first": told(good[0], *OUTPUTS),
        "second": str(bad[1]),
        "third": told(explained[-1][0], "attributions"),
        "ids": [good[0].get_response().id, explained[-1][0].get_response().id],
    }


async def by_asyncio(address: str) -> dict[str, Any]:
    """The asyncio client, a call and a stream."""
    async with triton_aio.InferenceServerClient(address) as client:
        answer = await client.infer("tiny", texts(*TEXTS))

        async def requests() -> Any:
            for text in TEXTS:
                yield {"model_name": "tiny", "inputs": texts(text)}

        of_stream = [told(result, *OUTPUTS) async for result, _ in client.stream_infer(requests())]
        return {"infer": told(answer, *OUTPUTS), "stream": of_stream}


def by_explicate(address: str) -> dict[str, Any]:
    """The same by our own client, in the same process."""
    with explicate.Client(address) as client:
        rows = [dict(zip(ROWS, values, strict=True)) for values in zip(*ROWS.values(), strict=True)]
        rows = [{name: None if value == "" or value != value else value for name, value in row.items()} for row in rows]
        answers = {model: client.predict(model, inputs) for model, inputs in (("loans", rows), ("tiny", TEXTS))}
        explained = [client.explain("loans", row, method="exact-shap").explanation for row in rows]
        return {
            **{
                model: [[score.probability for score in each.scores] for each in answer.predictions]
                for model, answer in answers.items()
            },
            "explained": [list(explanation.attributions[0].values) for explanation in explained],
        }


if __name__ == "__main__":
    address = sys.argv[1]
    with triton.InferenceServerClient(address) as client:
        found = {"unary": unary(client), "stream": streamed(client)}
    found |= {"aio": asyncio.run(by_asyncio(address)), "explicate": by_explicate(address)}
    json.dump(found, sys.stdout)
