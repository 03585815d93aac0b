"""The spans of a real server's calls: by OpenTelemetry's own exporter in memory, and over OTLP to a real collector."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from explicate import Client
from explicate_server import tracing
from explicate_server.settings import SettingError, Settings
from support.harness import TEXT, explain_request, running_server, server_process, stream_request

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
EXPLAIN = "explicate.v1.InferenceService/Explain"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.install_exporter(exporter)
    yield exporter
    tracing.uninstall()


def finished(exporter: InMemorySpanExporter) -> Sequence[ReadableSpan]:
    """All spans, once they have been sent."""
    tracing.uninstall()
    return exporter.get_finished_spans()


def named(spans: Sequence[ReadableSpan], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


async def test_an_explanation_is_one_trace_from_the_call_to_each_fit(
    tiny_repository: Path, exporter: InMemorySpanExporter
) -> None:
    traceparent = (("traceparent", f"00-{TRACE}-{PARENT}-01"), ("x-request-id", "order-17"))
    async with running_server(tiny_repository) as running:
        answer = (
            await running.inference.Explain(
                explain_request(TEXT, max_evaluations=300, tolerance=0.0), metadata=traceparent
            )
        ).result
    spans = finished(exporter)
    (call,) = named(spans, EXPLAIN)
    assert f"{call.context.trace_id:032x}" == TRACE
    assert call.parent is not None
    assert f"{call.parent.span_id:016x}" == PARENT
    assert call.attributes is not None
    assert call.attributes["explicate.request_id"] == "order-17"
    assert call.attributes["explicate.model"] == "tiny"
    assert call.attributes["explicate.code"] == "OK"

    ours = [span for span in spans if span.context.trace_id == call.context.trace_id]
    assert {span.name for span in ours} == {EXPLAIN, "prepare", "endpoints", "round", "fit", "queue"}
    parents = {span.context.span_id: span for span in ours}
    for span in ours:
        if span is not call:
            assert span.parent is not None
            parent = parents[span.parent.span_id]
            assert parent.start_time <= span.start_time + 1_000_000  # clocks of waits and spans differ by a little
            assert span.end_time <= parent.end_time + 1_000_000
    rounds = named(ours, "round")
    assert len(rounds) == answer.explanation.rounds
    evaluated = [dict(each.attributes or {})["explicate.evaluated"] for each in (*rounds,)]
    ends = sum(int(dict(each.attributes or {})["explicate.coalitions"]) for each in named(ours, "endpoints"))
    assert sum(map(int, evaluated)) + ends == answer.explanation.evaluations == 300
    assert {parents[span.parent.span_id].name for span in named(ours, "queue") if span.parent} == {"endpoints", "round"}


async def test_a_batch_is_a_trace_of_its_own_linked_to_the_calls_it_served(
    tiny_repository: Path, exporter: InMemorySpanExporter
) -> None:
    async with running_server(tiny_repository) as running:
        answer = (await running.inference.Explain(explain_request(TEXT, max_evaluations=100, tolerance=0.0))).result
    spans = finished(exporter)
    (call,) = named(spans, EXPLAIN)
    batches = named(spans, "batch")
    assert sum(int(dict(batch.attributes or {})["explicate.rows"]) for batch in batches) == 100
    assert answer.explanation.evaluations == 100
    of_call = {span.context.span_id for span in spans if span.context.trace_id == call.context.trace_id}
    for batch in batches:
        assert batch.parent is None
        assert batch.links
        assert {link.context.span_id for link in batch.links} <= of_call


async def test_spans_hold_nothing_of_the_input_and_a_refusal_not_its_text(
    tiny_repository: Path, exporter: InMemorySpanExporter
) -> None:
    async with running_server(tiny_repository) as running:
        async for _ in running.inference.StreamExplain(stream_request("a secret cup of tea")):
            pass
        with pytest.raises(grpc.RpcError):
            await running.inference.Explain(explain_request("a secret cup of tea", method="secret"))
    spans = finished(exporter)
    refused = named(spans, EXPLAIN)
    assert [dict(span.attributes or {})["explicate.code"] for span in refused] == ["INVALID_ARGUMENT"]
    assert [span.status.is_ok for span in refused] == [False]
    assert named(spans, "explicate.v1.InferenceService/StreamExplain")[0].status.is_ok
    for span in spans:
        assert "secret" not in span.to_json()


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the requests of exporters."""

    def __init__(self) -> None:
        self.received: Queue[Any] = Queue()

    def Export(self, request: Any, context: Any) -> Any:
        self.received.put(request)
        return trace_service_pb2.ExportTraceServiceResponse()


@contextmanager
def collector() -> Iterator[tuple[Collector, str]]:
    """A collector on a free port, and its endpoint."""
    servicer, server = Collector(), grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield servicer, f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def test_a_server_process_sends_its_spans_to_a_collector_before_it_ends(tiny_repository: Path) -> None:
    with collector() as (servicer, endpoint):
        flags = ("--otlp-endpoint", endpoint)
        with server_process(tiny_repository, *flags) as (_, target), Client(target) as client:
            client.predict("tiny", ["good tea"])
        requests = [servicer.received.get(timeout=10)]
        while not servicer.received.empty():
            requests.append(servicer.received.get())
    resources = [resource for request in requests for resource in request.resource_spans]
    names = {span.name for resource in resources for scope in resource.scope_spans for span in scope.spans}
    assert {"explicate.v1.InferenceService/Predict", "queue", "batch"} <= names
    service = {attribute.key: attribute.value.string_value for attribute in resources[0].resource.attributes}
    assert service["service.name"] == "explicate"


def test_without_the_setting_nothing_of_opentelemetry_is_imported_and_a_span_is_nothing() -> None:
    code = "import sys, explicate_server.app as app; print([m for m in sys.modules if m.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert tracing.call("service/Method", ()) is tracing.call("service/Other", ())
    assert tracing.current() is None


def test_an_endpoint_that_does_not_say_whether_to_encrypt_is_refused() -> None:
    with pytest.raises(SettingError, match="--otlp-endpoint is 'collector:4317'; it must be http://HOST:PORT"):
        Settings(otlp_endpoint="collector:4317")
