"""The fields of a client's messages as JSON: by message and number its name, type and whether it is repeated."""

import json
import sys

if sys.argv[1] == "triton":
    from tritonclient.grpc import model_config_pb2, service_pb2

    files = [service_pb2.DESCRIPTOR, model_config_pb2.DESCRIPTOR]
else:
    from kserve.protocol.grpc import grpc_predict_v2_pb2

    files = [grpc_predict_v2_pb2.DESCRIPTOR]

found = {}
waiting = [message for file in files for message in file.message_types_by_name.values()]
while waiting:
    message = waiting.pop()
    waiting += message.nested_types
    found[message.full_name] = {field.number: [field.name, field.type, field.is_repeated] for field in message.fields}
json.dump(found, sys.stdout)
