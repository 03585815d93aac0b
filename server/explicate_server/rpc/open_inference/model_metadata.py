"""What is told of a model: the tensors that it reads and answers, as metadata and as Triton's configuration."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from explicate.v1.bundle_pb2 import COLUMN_TYPE_NUMBER
from explicate_server.registry.records import ServedModel
from explicate_server.rpc.open_inference.infer_answers import PREDICTED
from explicate_server.rpc.open_inference.infer_asked import LABEL, PROBABILITIES
from explicate_server.rpc.open_inference.infer_inputs import TABLE, tensor_fields
from explicate_server.rpc.open_inference.protocol import ModelConfigResponse, ModelMetadataResponse

_PLATFORM = "explicate"
_BYTES, _FP64 = "BYTES", "FP64"
_CONFIGURED = {_BYTES: "TYPE_STRING", _FP64: "TYPE_FP64"}


@dataclass(frozen=True)
class _Described:
    """A tensor of so many elements for each row."""

    name: str
    datatype: str
    width: int = 1


def model_metadata(served: ServedModel, versions: Sequence[int]) -> Any:
    """The answer to a ModelMetadata. Outputs that only explanations have are not named: clients that measure ask for
    all that are.
    """
    message = ModelMetadataResponse(name=served.name, versions=map(str, versions), platform=_PLATFORM)
    for tensor in _inputs(served):
        message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=[-1, tensor.width])
    for tensor in _outputs(served):
        message.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=[-1, tensor.width])
    return message


def model_config(served: ServedModel, max_inputs: int) -> Any:
    """The answer to a ModelConfig: the same in Triton's words, in which rows are a dimension of their own."""
    message = ModelConfigResponse()
    config = message.config
    config.name, config.platform, config.backend, config.max_batch_size = served.name, _PLATFORM, _PLATFORM, max_inputs
    for tensor in _inputs(served):
        config.input.add(name=tensor.name, data_type=_CONFIGURED[tensor.datatype], dims=[tensor.width])
    for tensor in _outputs(served):
        config.output.add(name=tensor.name, data_type=_CONFIGURED[tensor.datatype], dims=[tensor.width])
    config.parameters["classes"].string_value = json.dumps(list(served.labels), ensure_ascii=False)
    config.parameters["bundle_digest"].string_value = served.bundle.digest
    return message


def _inputs(served: ServedModel) -> Iterator[_Described]:
    manifest = served.bundle.manifest
    if served.modality.field == TABLE:
        for column in manifest.tabular.columns:
            yield _Described(column.name, _FP64 if column.type == COLUMN_TYPE_NUMBER else _BYTES)
        return
    for name, field in tensor_fields(served.modality.field).items():
        if not field.has_presence or manifest.text.pairs:  # the second of a pair is what may be left out
            yield _Described(name, _BYTES)


def _outputs(served: ServedModel) -> Iterator[_Described]:
    answer, outputs = served.scales.objective.answer, len(served.labels)
    for name in PREDICTED[answer]:
        several = name == PROBABILITIES or (name == LABEL and answer == "labels")
        yield _Described(name, _BYTES if name == LABEL else _FP64, outputs if several else 1)
