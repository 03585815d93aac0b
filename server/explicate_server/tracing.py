"""OpenTelemetry traces: a call, the rounds of its explanation, its waits for the model, and its batches.

Nothing of OpenTelemetry is imported before `install`; until then a span is one shared object that does nothing. A batch
serves several calls at once: it does not belong to one of them but is a trace of its own, with a link to each.
Attributes are names, counts and seconds, never inputs. There is one tracer in a process, as OpenTelemetry has it.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import SpanContext

Attribute = str | int | float | bool
SERVICE_NAME = "explicate"
# With OpenTelemetry's 10 s a server whose collector is gone takes 11 s longer to stop.
_EXPORT_S = 2.0
# The headers that carry a W3C trace context: https://www.w3.org/TR/trace-context/
_CARRIED = ("traceparent", "tracestate")


class NoSpan:
    """What there is where nothing is traced."""

    def set(self, **attributes: Attribute) -> None:
        """Do nothing."""

    def end(self, *, failed: bool) -> None:
        """Do nothing."""


class Span(NoSpan):
    """A span in progress."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def set(self, **attributes: Attribute) -> None:
        """Add attributes, under ``explicate.``."""
        self._span.set_attributes(_prefixed(attributes))

    def end(self, *, failed: bool) -> None:
        """End the span of a call."""
        from opentelemetry.trace import StatusCode

        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


NO_SPAN = NoSpan()
"""The one of what is not traced."""
_NOTHING: AbstractContextManager[NoSpan] = nullcontext(NO_SPAN)


class _Tracer:
    """The tracer of this process, once there is one."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import context, trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.provider = provider
        self._context, self._trace = context, trace
        self._tracer = provider.get_tracer(SERVICE_NAME)
        self._propagator = TraceContextTextMapPropagator()

    def call(self, method: str, metadata: Iterable[tuple[str, Any]]) -> Span:
        carried = {key: value for key, value in metadata if key in _CARRIED and isinstance(value, str)}
        service, _, name = method.rpartition("/")
        span = self._tracer.start_span(
            method,
            context=self._propagator.extract(carried),
            kind=self._trace.SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
        )
        # Never taken back: the context is the call's own and ends with it, in whichever order a stream is closed.
        self._context.attach(self._trace.set_span_in_context(span))
        return Span(span)

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, Attribute], **options: Any) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name,
            attributes=_prefixed(attributes),
            record_exception=False,  # its text may quote the input
            set_status_on_exception=False,
            **options,
        ) as span:
            yield Span(span)

    def waited(self, arrived_s: float, queue_s: float, rows: int) -> None:
        start_ns = time.time_ns() - int(1e9 * (time.monotonic() - arrived_s))
        span = self._tracer.start_span("queue", start_time=start_ns, attributes={"explicate.rows": rows})
        span.end(start_ns + int(1e9 * queue_s))

    def current(self) -> "SpanContext":
        return self._trace.get_current_span().get_span_context()

    def batch(
        self, callers: Iterable["SpanContext | None"], attributes: Mapping[str, Attribute]
    ) -> AbstractContextManager[NoSpan]:
        traced = {each.span_id: each for each in callers if each is not None and each.trace_flags.sampled}
        links = [self._trace.Link(each) for each in traced.values()]
        return self.span("batch", attributes, links=links) if links else _NOTHING


_tracer: _Tracer | None = None


def install(endpoint: str) -> None:
    """Send traces to an OpenTelemetry collector over OTLP/gRPC: ``http://host:4317``, or ``https://`` with TLS.

    Raises:
        ModuleNotFoundError: the extra ``tracing`` is not installed.
    """
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    install_exporter(OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_S))


def install_exporter(exporter: "SpanExporter") -> None:
    """Send traces to an exporter, in batches and from a thread of its own; it loses spans rather than block a call."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    global _tracer
    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE_NAME}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _Tracer(provider)


def uninstall() -> None:
    """Send what is left and trace no more. Blocks; does nothing where nothing is traced."""
    global _tracer
    if _tracer is not None:
        tracer, _tracer = _tracer, None
        tracer.provider.shutdown()


def call(method: str, metadata: Iterable[tuple[str, Any]] | None) -> NoSpan:
    """The span of a call, which goes on with the trace of the caller's ``traceparent``; current until the task ends."""
    return NO_SPAN if _tracer is None else _tracer.call(method, metadata or ())


def span(name: str, **attributes: Attribute) -> AbstractContextManager[NoSpan]:
    """A span inside the one that is current."""
    return _NOTHING if _tracer is None else _tracer.span(name, attributes)


def current() -> "SpanContext | None":
    """What a batch links to; None where nothing is traced."""
    return None if _tracer is None else _tracer.current()


def waited(arrived_s: float, queue_s: float, rows: int) -> None:
    """Note that rows which arrived then (monotonic seconds) waited for the model, the last of them so long."""
    if _tracer is not None:
        _tracer.waited(arrived_s, queue_s, rows)


def batch(callers: Iterable["SpanContext | None"], **attributes: Attribute) -> AbstractContextManager[NoSpan]:
    """The span of a batch, linked to the calls whose rows it carries; nothing if no call is traced."""
    return _NOTHING if _tracer is None else _tracer.batch(callers, attributes)


def _prefixed(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    return {f"explicate.{name}": value for name, value in attributes.items()}
