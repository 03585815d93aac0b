"""The protocol's messages and methods, in a descriptor pool of their own.

Triton's and KServe's clients, and MLServer's, bring the same names in the default pool, and of two that differ the
second to come is refused (kserve#3099, MLServer#1730). In a pool of its own nobody meets them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any  # messages made at run time have no types

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_COMPILED = Path(__file__).with_name("open_inference.binpb")
POOL = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(_COMPILED.read_bytes()).file:
    POOL.Add(_file)
_METHODS = POOL.FindServiceByName("inference.GRPCInferenceService").methods_by_name
SERVICE = "inference.GRPCInferenceService"


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"inference.{name}"))


InferParameter = _message("InferParameter")
InferTensorContents = _message("InferTensorContents")
ModelConfigResponse = _message("ModelConfigResponse")
ModelInferRequest = _message("ModelInferRequest")
ModelInferResponse = _message("ModelInferResponse")
ModelMetadataResponse = _message("ModelMetadataResponse")
ModelReadyResponse = _message("ModelReadyResponse")
ModelStatisticsResponse = _message("ModelStatisticsResponse")
ModelStreamInferResponse = _message("ModelStreamInferResponse")
RepositoryIndexResponse = _message("RepositoryIndexResponse")
RepositoryModelLoadResponse = _message("RepositoryModelLoadResponse")
RepositoryModelUnloadResponse = _message("RepositoryModelUnloadResponse")
ServerLiveResponse = _message("ServerLiveResponse")
ServerMetadataResponse = _message("ServerMetadataResponse")
ServerReadyResponse = _message("ServerReadyResponse")

_SHARED_MEMORY = "tensors come in the request; shared memory is not offered"
_SETTINGS = "what is traced and logged is the operator's to set; see `explicate serve --help`"
NOT_OFFERED: Mapping[str, str] = {
    f"{SERVICE}/{name}": why
    for why, names in {
        _SHARED_MEMORY: [
            f"{kind}SharedMemory{step}" for kind in ("System", "Cuda") for step in ("Status", "Register", "Unregister")
        ],
        _SETTINGS: ["TraceSetting", "LogSettings"],
    }.items()
    for name in names
}
"""Methods of Triton's service that this one does not have, by gRPC's name, with what to do instead."""


def handlers(*servicers: Any) -> grpc.GenericRpcHandler:
    """What answers those of the service's methods that one of the servicers has."""
    found = {
        name: _handler(method, getattr(servicer, name))
        for servicer in servicers
        for name, method in _METHODS.items()
        if hasattr(servicer, name)
    }
    handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(SERVICE, found)
    return handler


def _handler(method: Any, call: Any) -> Any:
    make: Callable[..., Any] = grpc.unary_unary_rpc_method_handler
    if method.client_streaming:
        make = grpc.stream_stream_rpc_method_handler
    return make(
        call,
        request_deserializer=message_factory.GetMessageClass(method.input_type).FromString,
        response_serializer=message_factory.GetMessageClass(method.output_type).SerializeToString,
    )
