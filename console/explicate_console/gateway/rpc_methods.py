"""The methods that the gateway knows, from the descriptors of the contract: a new RPC needs nothing here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from google.protobuf import message_factory
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message

from explicate.v1 import inference_service_pb2, model_service_pb2

_FILES: tuple[FileDescriptor, ...] = (inference_service_pb2.DESCRIPTOR, model_service_pb2.DESCRIPTOR)


@dataclass(frozen=True)
class Method:
    """One RPC. path: as gRPC and Connect both write it, such as "/explicate.v1.ModelService/ListModels"."""

    path: str
    request: type[Message]
    response: type[Message]
    streams: bool


def _methods() -> dict[str, Method]:
    found = {}
    for file in _FILES:
        for service in file.services_by_name.values():
            for method in service.methods:
                path = f"/{service.full_name}/{method.name}"
                found[path] = Method(
                    path,
                    message_factory.GetMessageClass(method.input_type),
                    message_factory.GetMessageClass(method.output_type),
                    method.server_streaming,
                )
    return found


METHODS: Mapping[str, Method] = MappingProxyType(_methods())
"""By path."""
