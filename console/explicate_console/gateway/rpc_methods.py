"""The methods that the gateway knows, from the descriptors of the contract: a new RPC needs nothing here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message

from explicate._wire import health_check
from explicate.v1 import inference_service_pb2, model_service_pb2


@dataclass(frozen=True)
class Method:
    """One RPC. path: as gRPC and Connect both write it, such as "/explicate.v1.ModelService/ListModels"."""

    path: str
    request: type[Message]
    response: type[Message]
    streams: bool


def _health_file() -> FileDescriptor:
    """What this needs of grpc/health/v1/health.proto, which is in a package that the console does without.

    In a pool of its own: where that package is installed, its file has the name in the pool of all.
    """
    file = descriptor_pb2.FileDescriptorProto(name="grpc/health/v1/health.proto", package="grpc.health.v1")
    file.syntax = "proto3"
    field = descriptor_pb2.FieldDescriptorProto
    asked = file.message_type.add(name="HealthCheckRequest")
    asked.field.add(name="service", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    told = file.message_type.add(name="HealthCheckResponse")
    states = told.enum_type.add(name="ServingStatus")
    for number, state in health_check.STATES.items():
        states.value.add(name=state.upper().replace("-", "_") or "UNKNOWN", number=number)
    told.field.add(
        name="status",
        number=1,
        type=field.TYPE_ENUM,
        label=field.LABEL_OPTIONAL,
        type_name=".grpc.health.v1.HealthCheckResponse.ServingStatus",
    )
    check = file.service.add(name="Health").method.add(name="Check")
    check.input_type, check.output_type = (f".{file.package}.{each.name}" for each in (asked, told))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindFileByName(file.name)


def _of(file: FileDescriptor) -> Iterator[Method]:
    for service in file.services_by_name.values():
        for method in service.methods:
            if method.client_streaming:  # which HTTP/1.1 cannot carry; the contract has none
                continue
            yield Method(
                f"/{service.full_name}/{method.name}",
                message_factory.GetMessageClass(method.input_type),
                message_factory.GetMessageClass(method.output_type),
                method.server_streaming,
            )


_FILES: tuple[FileDescriptor, ...] = (
    inference_service_pb2.DESCRIPTOR,
    model_service_pb2.DESCRIPTOR,
    _health_file(),
)
METHODS: Mapping[str, Method] = MappingProxyType({method.path: method for file in _FILES for method in _of(file)})
"""By path."""
