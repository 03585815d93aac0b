"""KServe's gRPC client as its users write it, against the address that is given, beside explicate. Prints JSON."""

import asyncio
import json
import sys
from typing import Any

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2, grpc_predict_v2_pb2_grpc

import explicate

TEXTS = ["good tea", "a cup of tea was not good"]
NUMBERS = {"income": [1.5, 2.5], "debt_short": [0.5, 1.0], "age": [0.25, -1.0], "debt_long": [1.0, 0.0]}
WORDS = {"purpose": ["car", "home"], "owner": ["true", "false"], "rating": ["low", "high"]}


def requests() -> dict[str, InferRequest]:
    """Texts and rows, in raw bytes and in typed contents."""
    of_texts = InferInput("text", [len(TEXTS)], "BYTES", data=[text.encode() for text in TEXTS])
    made = {"texts": InferRequest(model_name="tiny", request_id="7", infer_inputs=[of_texts])}
    for raw in (True, False):
        inputs = []
        for name, values in NUMBERS.items():
            tensor = InferInput(name, [2], "FP64")
            tensor.set_data_from_numpy(np.array(values), binary_data=raw)
            inputs.append(tensor)
        for name, words in WORDS.items():
            tensor = InferInput(name, [2], "BYTES")
            tensor.set_data_from_numpy(np.array([word.encode() for word in words], np.object_), binary_data=raw)
            inputs.append(tensor)
        made["raw" if raw else "typed"] = InferRequest(model_name="losses", infer_inputs=inputs)
    return made


async def main(address: str) -> dict[str, Any]:
    client = InferenceGRPCClient(address, timeout=30)
    found: dict[str, Any] = {
        "live": await client.is_server_live(),
        "ready": await client.is_server_ready(),
        "model_ready": [await client.is_model_ready("tiny"), await client.is_model_ready("none")],
    }
    for name, request in requests().items():
        answer = await client.infer(request)
        found[name] = {
            output.name: output.as_numpy().tolist() for output in answer.outputs if output.datatype == "FP64"
        }
        found[f"{name}_id"] = answer.id
    async with grpc.aio.insecure_channel(address) as channel:
        stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
        metadata = await stub.ModelMetadata(grpc_predict_v2_pb2.ModelMetadataRequest(name="tiny"))
        found["metadata"] = [metadata.name, [tensor.name for tensor in metadata.inputs]]
        loaded = await stub.RepositoryModelLoad(grpc_predict_v2_pb2.RepositoryModelLoadRequest(model_name="tiny"))
        found["loaded"] = [loaded.model_name, loaded.isLoaded]
    async with explicate.AsyncClient(address) as own:
        columns = {**NUMBERS, **WORDS}
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        found["explicate"] = [each.value for each in (await own.predict("losses", rows)).predictions]
    return found


if __name__ == "__main__":
    json.dump(asyncio.run(main(sys.argv[1])), sys.stdout)
