"""What the server tells Prometheus: calls by how they ended, explanations by method, and what the parts have counted.

Label values come from fixed sets and from the repository, never from callers.
"""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, start_http_server
from prometheus_client.registry import Collector

from explicate_server.call_record import CallRecord
from explicate_server.inference.admission import Admission
from explicate_server.telemetry.audit_log import AuditLog
from explicate_server.telemetry.metric_collectors import AdmissionCollector, AuditCollector, BatcherCollector, Batchers

# Upper bounds in seconds: from a single row of a table to the longest call that is allowed by default.
_CALL_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# The model and version of a call that no version answered.
UNKNOWN = "unknown"


class Metrics:
    """All metrics of one server, in a registry of its own."""

    def __init__(self, batchers: Batchers, admission: Admission, audit: AuditLog | None = None) -> None:
        """``batchers`` gives model, version and batcher of whatever serves now."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(BatcherCollector(batchers))
        self.registry.register(AdmissionCollector(admission))
        self.registry.register(AuditCollector(audit))
        self._ended = self._counter("explanations", "Explanations answered.", "method", "stop_reason")
        self._evaluations = self._counter("explanation_evaluations", "Evaluations that explanations rest on.", "method")
        self._reused = self._counter(
            "explanation_reused_evaluations", "Those of them that were known from, or shared with, others.", "method"
        )
        self._calls = self._counter("calls", "Calls that ended.", "method", "model", "version", "code")
        self._call_seconds = Histogram(
            "explicate_call_seconds", "Seconds that calls took.", ["method"], buckets=_CALL_S, registry=self.registry
        )
        self._of_calls: dict[tuple[str, str, int, str], tuple[Counter, Histogram]] = {}
        self._server: tuple[Any, Any] | None = None

    def add(self, collector: Collector) -> None:
        """Tell what another part has counted, too."""
        self.registry.register(collector)

    def call_ended(self, record: CallRecord, code: str) -> None:
        """Count a call. A model is named only once a version of it answered: callers must not make up labels."""
        key = (record.method, record.model, record.version, code)
        children = self._of_calls.get(key)
        if children is None:  # to look them up takes three times as long as to count
            version = str(record.version) if record.model else UNKNOWN
            calls = self._calls.labels(record.method, record.model or UNKNOWN, version, code)
            children = self._of_calls[key] = (calls, self._call_seconds.labels(record.method))
        children[0].inc()
        children[1].observe(record.seconds)

    def explanation_ended(self, *, method: str, stop_reason: str, evaluations: int, reused: int) -> None:
        """Count an explanation that was answered. Label values must come from fixed sets."""
        self._ended.labels(method, stop_reason).inc()
        self._evaluations.labels(method).inc(evaluations)
        self._reused.labels(method).inc(reused)

    def listen(self, address: str) -> int:
        """Serve HTTP on ``host:port`` from a thread of its own; returns the port.

        Raises:
            OSError: the address cannot be bound.
            ValueError: it is no address.
        """
        host, _, port = address.rpartition(":")
        if not 0 <= int(port) < 1 << 16:
            raise ValueError(address)
        self._server = start_http_server(int(port), addr=host.strip("[]") or "127.0.0.1", registry=self.registry)
        return int(self._server[0].server_port)

    def close(self) -> None:
        """Stop listening. Blocks until the thread has ended."""
        if self._server is None:
            return
        server, thread = self._server
        server.shutdown()
        server.server_close()
        thread.join()
        self._server = None

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"explicate_{name}", text, labels, registry=self.registry)
