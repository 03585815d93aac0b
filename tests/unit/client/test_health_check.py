"""The bytes of the health check are those of protobuf's own messages."""

from __future__ import annotations

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from explicate._wire.health_check import STATES, request_bytes, service_of, state_of
from explicate.errors import InvalidArgument


@pytest.mark.parametrize("service", ["", "a", "é🍜", "x" * 127, "x" * 128, "x" * 300, "x" * 20_000])
def test_a_request_is_what_protobuf_writes(service):
    assert request_bytes(service) == HealthCheckRequest(service=service).SerializeToString()


@pytest.mark.parametrize("number", STATES)
def test_an_answer_is_what_protobuf_reads(number):
    assert state_of(HealthCheckResponse(status=number).SerializeToString()) == STATES[number]


def test_a_state_of_a_later_protocol_is_its_number():
    assert state_of(b"\x08\x07") == "7"


def test_a_name_that_is_not_unicode_is_refused():
    with pytest.raises(InvalidArgument, match="model: "):
        request_bytes(service_of("\udc80", alive=False))
