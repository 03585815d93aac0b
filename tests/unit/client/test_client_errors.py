"""Every failure becomes its own exception with what the server said."""

from __future__ import annotations

import copy
import inspect
import math
import socket

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

import explicate
from explicate import errors
from explicate._wire.rpc_errors import from_rpc_error
from explicate.errors import ErrorDetails, ServerError
from support.canned.canned_server import bad_request, rich_status

CODES = [
    (grpc.StatusCode.INVALID_ARGUMENT, explicate.InvalidArgument),
    (grpc.StatusCode.NOT_FOUND, explicate.NotFound),
    (grpc.StatusCode.FAILED_PRECONDITION, explicate.FailedPrecondition),
    (grpc.StatusCode.RESOURCE_EXHAUSTED, explicate.Overloaded),
    (grpc.StatusCode.UNAVAILABLE, explicate.Unavailable),
    (grpc.StatusCode.DEADLINE_EXCEEDED, explicate.DeadlineExceeded),
    (grpc.StatusCode.UNAUTHENTICATED, explicate.Unauthenticated),
    (grpc.StatusCode.PERMISSION_DENIED, explicate.PermissionDenied),
    (grpc.StatusCode.CANCELLED, explicate.Cancelled),
    (grpc.StatusCode.INTERNAL, explicate.InternalError),
    (grpc.StatusCode.DATA_LOSS, explicate.ServerError),  # none of ours: the base class
]


@pytest.mark.parametrize(("code", "kind"), CODES, ids=lambda x: getattr(x, "name", ""))
def test_each_status_code_has_its_exception(ask, server, code, kind):
    server.status = rich_status(code, "SOME_REASON", message="what happened", model="reviews")
    with pytest.raises(explicate.ServerError, match="what happened") as caught:
        ask("explain", "reviews", "a", timeout_s=1)  # one that says it is unavailable is waited for
    assert type(caught.value) is kind
    assert caught.value.code == code.name
    assert caught.value.reason == "SOME_REASON"
    assert caught.value.metadata == {"model": "reviews"}


def test_every_exception_stands_in_the_drawn_tree():
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, explicate.ExplicateError)]
    assert all(f" {c.__name__} " in errors.__doc__ for c in classes if c is not explicate.ExplicateError)
    assert len(classes) == errors.__doc__.count("── ") + 1


def test_bad_fields_are_listed(ask, server):
    server.status = bad_request(("inputs[3].text", "must not be empty"), ("model.model", "must not be empty"))
    with pytest.raises(explicate.InvalidArgument, match=r"inputs\[3\]\.text: must not be empty") as caught:
        ask("predict", "reviews", ["a"])
    assert caught.value.violations == [("inputs[3].text", "must not be empty"), ("model.model", "must not be empty")]


def test_overload_says_when_to_come_back(ask, server):
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    server.status = rich_status(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", retry)
    with pytest.raises(explicate.Overloaded) as caught:
        ask("predict", "reviews", ["a"])
    assert caught.value.retry_after_s == 1.5
    assert len(server.requests) == 1  # an overloaded server is not asked again at once


@pytest.mark.parametrize(("said", "wanted_s"), [("250", 0.25), ("-1", math.inf), ("soon", math.inf)])
def test_the_push_back_of_a_proxy_counts_and_a_negative_one_means_never(said, wanted_s):
    class Failure(grpc.RpcError):
        def code(self):
            return grpc.StatusCode.RESOURCE_EXHAUSTED

        def details(self):
            return "no room"

        def trailing_metadata(self):
            return (("grpc-retry-pushback-ms", said),)

    failure = from_rpc_error(Failure(), "here")
    assert failure.retry_after_s == wanted_s
    assert errors.is_for_later(failure) is (wanted_s < math.inf)


def test_missing_resource_is_named(ask, server):
    resource = error_details_pb2.ResourceInfo(resource_type="model", resource_name="revews")
    server.status = rich_status(grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", resource)
    with pytest.raises(explicate.NotFound) as caught:
        ask("list_models")
    assert caught.value.resource == ("model", "revews")


def test_fault_of_the_server_tells_the_request_id(ask, server):
    request = error_details_pb2.RequestInfo(request_id="c0ffee")
    server.status = rich_status(grpc.StatusCode.INTERNAL, "INTERNAL", request, message="an error inside the server")
    with pytest.raises(explicate.InternalError, match=r"an error inside the server \(request c0ffee\)") as caught:
        ask("get_model", "reviews")
    assert caught.value.request_id == "c0ffee"


def test_error_in_a_stream_is_typed_too(ask, server):
    server.status = rich_status(grpc.StatusCode.FAILED_PRECONDITION, "MODEL_NOT_LOADED")
    with pytest.raises(explicate.FailedPrecondition):
        ask("stream_explain", "reviews", "a")


def test_server_that_is_not_there_is_unavailable_and_named():
    with socket.socket() as reserved:  # bound but not listening: nobody can answer on this port
        reserved.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{reserved.getsockname()[1]}"
        with explicate.Client(target) as client, pytest.raises(explicate.Unavailable) as caught:
            client.list_models()
    assert str(caught.value) == f"cannot reach a server at {target} (Connection refused); is it running there?"


def test_no_answer_in_time_is_deadline_exceeded(server):
    server.hold = True
    with explicate.Client(server.target) as client, pytest.raises(explicate.DeadlineExceeded, match="in time"):
        client.explain("reviews", "a", timeout_s=0.2)


def test_message_over_the_limit_says_to_send_less(ask):
    with pytest.raises(explicate.MessageTooLarge, match="send fewer inputs"):
        ask("predict", "reviews", ["x" * 1_000_000] * 17)  # 17 MB against the limit of 16 MiB


@pytest.mark.parametrize(
    ("method", "args", "kwargs", "path"),
    [
        ("predict", ("reviews", ["fine", "a \ud800 b"]), {}, "inputs[1].text"),
        ("predict", ("rev\udfff", ["a"]), {}, "model.model"),
        ("predict", ("reviews", ["a"]), {"label": "\udc80"}, "model.label"),
        ("predict", ("reviews", ["a"]), {"version": 2**63}, "model.version"),
        ("predict", ("reviews", ["a", None]), {}, "inputs[1]"),
        ("explain", ("reviews", "\udc80"), {}, "input.text"),
        ("explain", ("reviews", "a"), {"seed": -1}, "options.seed"),
        ("explain", ("reviews", "a"), {"max_evaluations": 2**31}, "options.max_evaluations"),
        ("explain", ("reviews", "a"), {"tolerance": "much"}, "options.tolerance"),
        ("explain", ("reviews", "a"), {"target": "\ud800"}, "options.target.label"),
        ("explain", ("reviews", "a"), {"target": 2**40}, "options.target.index"),
        ("explain", ("reviews", "a"), {"method": "\ud800"}, "options.method"),
        ("explain", ("reviews", "a"), {"masking": "hide"}, "options.masking"),
        ("explain", ("reviews", "a"), {"output_space": "odds"}, "options.output_space"),
        ("explain", ("reviews", "a"), {"granularity": "letter"}, "options.granularity"),
        ("explain", ("reviews", "a"), {"granularity": 2}, "options.granularity"),
        ("explain", ("reviews", "a"), {"quality": "best"}, "options.quality"),
        ("explain", ("reviews", "a"), {"top_k": 2**31}, "options.top_k"),
        ("explain", ("reviews", "a"), {"max_players": "few"}, "options.max_players"),
        ("explain", ("reviews", "a"), {"target": 1.5}, "options.target"),
        (
            "explain",
            ("reviews", "a"),
            {"target": explicate.Contrast("\ud800", 0)},
            "options.target.contrast.target.label",
        ),
        (
            "explain",
            ("reviews", "a"),
            {"target": explicate.Contrast(0, 2**40)},
            "options.target.contrast.reference.index",
        ),
        (
            "explain",
            ("reviews", "a"),
            {"target": explicate.Contrast(0, explicate.ALL)},
            "options.target.contrast.reference",
        ),
        ("explain", ("reviews", "a"), {"priority": "urgent"}, "priority"),
        ("stream_explain", ("reviews", "a"), {"priority": "urgent"}, "priority"),
        ("predict", ("reviews", ["a"]), {"priority": "urgent"}, "priority"),
        ("get_model", ("\ud800",), {}, "model"),
        ("list_models", (), {"timeout_s": -1}, "timeout_s"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_field(ask, server, method, args, kwargs, path):
    with pytest.raises(explicate.InvalidArgument) as caught:
        ask(method, *args, **kwargs)
    assert [field for field, _ in caught.value.violations] == [path]
    assert server.requests == []


def test_unknown_option_is_refused(ask):
    with pytest.raises(explicate.UsageError, match="max_evals"):
        ask("explain", "reviews", "a", max_evals=3)


def test_version_and_label_together_are_refused(ask):
    with pytest.raises(explicate.UsageError, match="not both"):
        ask("predict", "reviews", ["a"], version=1, label="live")


def test_errors_survive_a_copy_as_between_processes():
    details = ErrorDetails("NOT_FOUND", "MODEL_NOT_FOUND", violations=(("a", "b"),), retry_after_s=2.0)
    error = copy.copy(explicate.NotFound("gone", details))
    assert isinstance(error, ServerError)
    assert (str(error), error.details) == ("gone", details)


class Ended(grpc.RpcError):
    """A call that was cancelled, with gRPC's own words."""

    def __init__(self, words: str) -> None:
        self._words = words

    def code(self):
        return grpc.StatusCode.CANCELLED

    def details(self):
        return self._words

    def trailing_metadata(self):
        return ()


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("CANCELLED", explicate.Unavailable),  # what a server that stops says of calls that came meanwhile
        ("Locally cancelled by application!", explicate.Cancelled),
        ("Channel closed!", explicate.Cancelled),
    ],
)
def test_a_call_that_the_server_cancelled_is_unavailable_and_one_that_we_did_is_cancelled(words, kind):
    assert type(from_rpc_error(Ended(words), "127.0.0.1:1")) is kind
