"""The error catalogue: every reason reaches the wire with its code and the details of its kind."""

import re
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from explicate_server import errors
from explicate_server.rpc.error_catalogue import CATALOGUE, push_back, to_status


def details(status: status_pb2.Status, kind: type[Message]) -> list[Message]:
    found = []
    for packed in status.details:
        message = kind()
        if packed.Unpack(message):
            found.append(message)
    return found


@pytest.mark.parametrize("reason", CATALOGUE)
def test_every_reason_has_a_code_a_text_and_its_error_info(reason: str) -> None:
    status = to_status(errors.ServerError(reason, "something"), "request-1")
    assert status.code == CATALOGUE[reason].code.value[0] != grpc.StatusCode.OK.value[0]
    assert status.message.startswith(CATALOGUE[reason].text)
    (info,) = details(status, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain, info.metadata["request_id"]) == (reason, "explicate", "request-1")


@pytest.mark.parametrize(
    "error", [ValueError("secret /etc/path"), errors.ServerError("NOT_IN_CATALOGUE", "secret"), KeyError("secret")]
)
def test_an_unknown_error_is_internal_and_none_of_its_words_leave(error: Exception) -> None:
    status = to_status(error, "request-2")
    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    assert "secret" not in str(status)
    (info,) = details(status, error_details_pb2.ErrorInfo)
    assert info.metadata["request_id"] == "request-2"


def test_bad_fields_retry_delays_and_resources_are_told() -> None:
    bad = to_status(errors.InvalidRequest([errors.Violation("inputs[3].text", "is empty")]), "r")
    (request,) = details(bad, error_details_pb2.BadRequest)
    assert [(v.field, v.description) for v in request.field_violations] == [("inputs[3].text", "is empty")]
    (retry,) = details(
        to_status(errors.Overloaded("QUEUE_FULL", "", retry_after_s=1.5), "r"), error_details_pb2.RetryInfo
    )
    assert retry.retry_delay.ToMilliseconds() == 1500
    missing = errors.NotFound("MODEL_NOT_FOUND", "none", resource_type="model", resource_name="x")
    (resource,) = details(to_status(missing, "r"), error_details_pb2.ResourceInfo)
    assert (resource.resource_type, resource.resource_name) == ("model", "x")


def test_a_callers_own_long_words_do_not_outgrow_the_headers() -> None:
    long = "€" * 1_000_000
    violations = [errors.Violation(f"inputs[{i}].text", long) for i in range(1000)]
    missing = errors.NotFound("MODEL_NOT_FOUND", long, resource_type="model", resource_name=long)
    for error in (errors.InvalidRequest(violations), missing):
        assert len(to_status(error, "r" * 32).SerializeToString()) * 4 / 3 + 3 * 320 < 8192


def test_the_operators_guide_tells_every_reason_with_its_code() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
    table = guide.partition("| reason | code |")[2].partition("\n\n")[0]
    told = {
        reason: code
        for reasons, code in re.findall(r"^\| ([A-Z_, ]+) \| ([A-Z_]+)", table, re.MULTILINE)
        for reason in reasons.split(", ")
    }
    assert told == {reason: entry.code.name for reason, entry in CATALOGUE.items()}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.Overloaded("QUEUE_FULL", "", retry_after_s=1.5), "1500"),
        (errors.Overloaded("CALLER_LIMIT", "", retry_after_s=0.25), "250"),
        (errors.NotServing("DRAINING", "", retry_after_s=1.0), "1000"),
        (errors.ServerError("MESSAGE_TOO_LARGE", "17 MiB"), "-1"),  # the same code, and never to be sent again
        (errors.ServerError("ANSWER_TOO_LARGE", "17 MiB"), "-1"),
        (errors.NotFound("MODEL_NOT_FOUND", "", resource_type="model", resource_name="x"), None),
        (errors.ServerError("INTERNAL"), None),
    ],
)
def test_what_repeats_calls_by_their_code_is_told_when_and_when_not(
    error: errors.ServerError, said: str | None
) -> None:
    told = dict(push_back(error))
    assert told.get("grpc-retry-pushback-ms") == said
