"""Server reflection, as grpc.reflection.v1 and, for older tools, as v1alpha: the same service under two names.

grpcio-reflection serves v1alpha only. The messages of both are the same to the byte, so one servicer answers both:
https://github.com/grpc/grpc-proto/blob/master/grpc/reflection/v1/reflection.proto
"""

from collections.abc import Iterable

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format
from grpc_reflection.v1alpha import reflection, reflection_pb2

_SERVICE = "grpc.reflection.v1.ServerReflection"


def add_reflection(server: grpc.aio.Server, names: Iterable[str]) -> None:
    """Serve reflection of the services of these names, and of itself."""
    _describe_v1()
    servicer = reflection.aio.ReflectionServicer([*names, _SERVICE, reflection.SERVICE_NAME])
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handlers = {"ServerReflectionInfo": handler}
    both = (_SERVICE, reflection.SERVICE_NAME)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, handlers) for name in both])


def _describe_v1() -> None:
    """Make v1 known to the descriptors that reflection tells, from those of v1alpha, unless it is."""
    pool = descriptor_pool.Default()
    try:
        pool.FindServiceByName(_SERVICE)
    except KeyError:
        alpha = descriptor_pb2.FileDescriptorProto()
        reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
        stable = json_format.MessageToJson(alpha).replace("v1alpha", "v1")  # in names of messages and of the file
        pool.Add(json_format.Parse(stable, descriptor_pb2.FileDescriptorProto()))
