"""What the server tells Prometheus: calls by how they ended, explanations by method, and what the parts have counted.

The batchers, the admission, the registry and the stores keep plain sums of their own, which are read when Prometheus
asks. Label values come from fixed sets and from the repository, never from callers.
"""

import time
from collections import Counter as CountOf
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from explicate_server.call_record import CallRecord
from explicate_server.inference.admission import Admission
from explicate_server.inference.evaluations import ValueStore
from explicate_server.inference.explainer import Explained, ExplainedTable
from explicate_server.registry.records import VersionRecord
from explicate_server.runtime.batcher import Batchers
from explicate_server.runtime.instance import Instance
from explicate_server.runtime.nvml import Nvml
from explicate_server.runtime.queue import QUEUE_BOUNDS_S, QueueTimes
from explicate_server.telemetry.audit_log import AuditLog
from explicate_server.telemetry.logs import lost_lines
from explicate_server.telemetry.metrics_port import MetricsPort

_LABELS = ("model", "version", "priority")
# A sum of ClassStatistics, its metric and what it means. Prometheus adds _total.
_SUMS = (
    ("rows", "explicate_model_rows", "Rows that went through the model."),
    ("batches", "explicate_model_batches", "Batches that went through the model."),
    ("capacity_rows", "explicate_model_capacity_rows", "Rows that those batches had room for."),
    ("tokens", "explicate_model_tokens", "Tokens of the rows that went through the model, without padding."),
    ("padded_tokens", "explicate_model_padded_tokens", "Tokens that went through the model, with padding."),
    ("busy_s", "explicate_model_busy_seconds", "Wall time of batches, those side by side added up."),
    ("dropped_rows", "explicate_dropped_rows", "Rows that waited when their caller left or ran out of time."),
    ("refused_rows", "explicate_refused_rows", "Rows refused because the queue was full."),
)


class _Reader(Collector):
    """Metrics that are read when Prometheus asks."""

    def __init__(self, read: Callable[[], Iterator[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        return self._read()


def _batches(batchers: Batchers) -> Iterator[Metric]:
    """Rows, padding and waits of every model by class."""
    sums = {name: CounterMetricFamily(metric, text, labels=_LABELS) for name, metric, text in _SUMS}
    waits = HistogramMetricFamily("explicate_queue_seconds", "Seconds that rows waited.", labels=_LABELS)
    waiting = GaugeMetricFamily("explicate_queued_rows", "Rows that wait.", labels=_LABELS)
    oldest = GaugeMetricFamily(
        "explicate_oldest_row_seconds", "Seconds that the oldest of the rows that wait has waited.", labels=_LABELS
    )
    slowdown = GaugeMetricFamily(
        "explicate_model_slowdown_ratio",
        "Time that batches take now, as a multiple of what was measured when the model was loaded.",
        labels=_LABELS[:2],
    )
    running = GaugeMetricFamily(
        "explicate_running_batch_seconds", "Seconds that the oldest batch in the model has taken.", labels=_LABELS[:2]
    )
    for model, version, batcher in batchers():
        statistics, queued, waits_s = batcher.snapshot(), batcher.queued_rows, batcher.oldest_waits_s()
        slowdown.add_metric([model, str(version)], batcher.cost.slowdown)
        running.add_metric([model, str(version)], batcher.running_s)
        for priority, of_class in statistics.items():
            labels = [model, str(version), priority.name.lower()]
            waiting.add_metric(labels, queued[priority])
            oldest.add_metric(labels, waits_s[priority])
            waits.add_metric(labels, _buckets(of_class.queue_times), of_class.queue_times.sum_s)
            for name, family in sums.items():
                family.add_metric(labels, getattr(of_class, name))
    yield from (*sums.values(), waits, waiting, oldest, slowdown, running)


# What an instance counts or is, its metric and what it means.
_OF_A_DEVICE: Sequence[tuple[str, Callable[[Instance], float | None], Callable[..., Any], str]] = (
    ("serves", lambda each: not each.lost, GaugeMetricFamily, "1 while it answers for the model, 0 after it was lost."),
    ("rows", lambda each: each.rows, CounterMetricFamily, "Rows that it ran for the model."),
    ("batches", lambda each: each.batches, CounterMetricFamily, "Batches that it ran for the model."),
    ("busy_seconds", lambda each: each.busy_s, CounterMetricFamily, "Wall time of these, those side by side added up."),
    (
        "out_of_memory",
        lambda each: each.out_of_memory,
        CounterMetricFamily,
        "Batches that did not fit in its memory and were run in halves.",
    ),
    ("nodes", lambda each: each.runtime.nodes, GaugeMetricFamily, "Nodes of the model's graph as it runs there."),
    (
        "cpu_nodes",
        lambda each: each.runtime.cpu_nodes,
        GaugeMetricFamily,
        "Nodes that the CPU runs because the device cannot.",
    ),
)


def model_device_metrics(batchers: Batchers) -> Iterator[Metric]:
    """What each device does for each model."""
    labels = ["model", "version", "device"]
    for name, read, family, text in _OF_A_DEVICE:
        told = family(f"explicate_model_device_{name}", text, labels=labels)
        for model, version, batcher in batchers():
            for instance in batcher.instances:
                value = read(instance)
                if value is not None:
                    told.add_metric([model, str(version), instance.name], float(value))
        yield told


def _admission(admission: Admission) -> Iterator[Metric]:
    """Explanations let in and refused."""
    in_progress, refusals = admission.in_progress, dict(admission.refusals)
    yield GaugeMetricFamily("explicate_explanations_in_progress", "Explanations let in and not ended.", in_progress)
    refused = CounterMetricFamily("explicate_refused_explanations", "Explanations not let in.", labels=["reason"])
    for reason, count in refusals.items():
        refused.add_metric([reason], count)
    yield refused


def _audit(audit: AuditLog | None) -> Iterator[Metric]:
    """The audit log."""
    written, lost = (audit.written, audit.lost) if audit else (0, 0)
    yield CounterMetricFamily("explicate_audit_lines", "Lines written to the audit log.", written)
    yield CounterMetricFamily("explicate_audit_lost_lines", "Lines that the audit log does not have.", lost)


def _log() -> Iterator[Metric]:
    """The log."""
    lost = CounterMetricFamily("explicate_log_lost_lines", "Lines that the log does not have.", labels=["reason"])
    for reason, count in lost_lines().items():
        lost.add_metric([reason], count)
    yield lost


def model_metrics(outcomes: Mapping[tuple[str, str, str], int], batchers: Batchers) -> Iterator[Metric]:
    """What was done to models, by model, operation and outcome (see ``Lifecycle``), and which versions serve."""
    done = CounterMetricFamily(
        "explicate_model_operations",
        "Loads, swaps of labels and frees of models.",
        labels=["model", "operation", "outcome"],
    )
    for names, count in dict(outcomes).items():
        done.add_metric(names, count)
    loaded = GaugeMetricFamily("explicate_model_loaded", "1 for each version in memory.", labels=_LABELS[:2])
    for model, version, _ in batchers():
        loaded.add_metric([model, str(version)], 1)
    yield from (done, loaded)


def state_metrics(records: Callable[[], Iterable[VersionRecord]]) -> Iterator[Metric]:
    """What each version in the repository is doing, and why if something is wrong, in a word of the error catalogue."""
    states = GaugeMetricFamily(
        "explicate_model_state",
        "1 for the state of each version in the repository, with the reason of one that failed or waits.",
        labels=["model", "version", "state", "reason"],
    )
    for record in records():
        place, (state, _, code) = record.location, record.standing
        states.add_metric([place.model, str(place.version), state.name.lower(), code], 1)
    yield states


# What a standard may say of a version; a bundle's manifest may say anything.
_VERDICTS = ("met", "not met", "cannot tell", "waived", "overridden", "returned")


def standard_metrics(records: Callable[[], Iterable[VersionRecord]]) -> Iterator[Metric]:
    """What the standards of publisher and server say of each version whose manifest is known."""
    verdicts = GaugeMetricFamily(
        "explicate_model_standard",
        "1 for what a standard says of each version: that of its export, and that which this server requires.",
        labels=["model", "version", "by", "verdict"],
    )
    for record in records():
        place, manifest = record.location, record.bundle.manifest if record.bundle else None
        told = {"export": manifest.standard.verdict or "none"} if manifest else {}
        if record.required is not None:
            told["server"] = record.required.verdict
        for by, verdict in told.items():
            known = verdict.replace(" ", "_") if verdict in (*_VERDICTS, "none") else UNKNOWN
            verdicts.add_metric([place.model, str(place.version), by, known], 1)
    yield verdicts


def device_metrics(nvml: Nvml | None) -> Iterator[Metric]:
    """Memory and load of each device, as its driver tells them; nothing without a driver, or of a lost device."""
    labels = ["device", "product"]
    used = GaugeMetricFamily("explicate_device_memory_used_bytes", "Memory of a device in use, by all.", labels=labels)
    total = GaugeMetricFamily("explicate_device_memory_bytes", "Memory that a device has.", labels=labels)
    busy = GaugeMetricFamily(
        "explicate_device_utilisation_ratio", "Part of the last moments in which a device computed.", labels=labels
    )
    for reading in nvml.readings() if nvml else ():
        told = [reading.device, reading.product]
        used.add_metric(told, reading.used_bytes)
        total.add_metric(told, reading.total_bytes)
        if reading.utilisation is not None:
            busy.add_metric(told, reading.utilisation)
    yield from (family for family in (used, total, busy) if family.samples)


def store_metrics(store: ValueStore) -> Iterator[Metric]:
    """The values of coalitions that are kept."""
    yield GaugeMetricFamily("explicate_store_bytes", "Bytes of values kept for requests that repeat.", store.bytes)
    yield GaugeMetricFamily("explicate_store_games", "Inputs whose values are kept.", store.games)


def _buckets(times: QueueTimes) -> Sequence[tuple[str, float]]:
    bounds = [*map(floatToGoString, QUEUE_BOUNDS_S), "+Inf"]
    return list(zip(bounds, accumulate(times.counts), strict=True))


# Upper bounds in seconds: from a single row of a table to the longest call that is allowed by default.
_CALL_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# How long the counts of a version that left the memory can still be scraped after its last call.
FORGET_S = 900.0
# The model and version of a call that no version answered.
UNKNOWN = "unknown"


class Metrics:
    """All metrics of one server, in a registry of its own."""

    def __init__(self, batchers: Batchers, admission: Admission, audit: AuditLog | None = None) -> None:
        """``batchers`` gives model, version and batcher of each version that serves now."""
        self.registry = CollectorRegistry()
        self.port = MetricsPort(self.registry)
        ProcessCollector(registry=self.registry)
        self.add(partial(_batches, batchers))
        self.add(partial(model_device_metrics, batchers))
        self.add(partial(_admission, admission))
        self.add(partial(_audit, audit))
        self.add(_log)
        self._batchers = batchers
        self._ended = self._counter("explanations", "Explanations answered.", "method", "stop_reason")
        self._evaluations = self._counter("explanation_evaluations", "Evaluations that explanations rest on.", "method")
        self._table_rows = self._counter(
            "explained_table_rows", "Explanations that were rows of a table, in one call with others.", "method"
        )
        self._reused = self._counter(
            "explanation_reused_evaluations", "Those of them that were known from, or shared with, others.", "method"
        )
        self._calls = self._counter("calls", "Calls that ended.", "method", "model", "version", "code")
        self._call_seconds = Histogram(
            "explicate_call_seconds",
            "Seconds that calls took.",
            ["method", "model", "version"],
            buckets=_CALL_S,
            registry=self.registry,
        )
        self._of_calls: dict[tuple[str, str, int, str], tuple[Counter, Histogram]] = {}
        self._last_call_s: dict[tuple[str, int], float] = {}

    def add(self, read: Callable[[], Iterator[Metric]]) -> None:
        """Tell what another part has counted, too."""
        self.registry.register(_Reader(read))

    def call_ended(self, record: CallRecord, code: str) -> None:
        """Count a call. A model is named only once a version of it answered: callers must not make up labels."""
        key = (record.method, record.model, record.version, code)
        children = self._of_calls.get(key)
        if children is None:  # to look them up takes three times as long as to count
            self._forget_versions()
            answered = (record.model, str(record.version)) if record.model else (UNKNOWN, UNKNOWN)
            calls = self._calls.labels(record.method, *answered, code)
            children = self._of_calls[key] = (calls, self._call_seconds.labels(record.method, *answered))
        self._last_call_s[record.model, record.version] = time.monotonic()
        children[0].inc()
        children[1].observe(record.seconds)

    def _forget_versions(self) -> None:
        """Drop the series of versions that are out of memory, so that there are not more with each one deployed."""
        loaded = {(model, version) for model, version, _ in self._batchers()}
        kept_s = time.monotonic() - FORGET_S
        idle = (place for place, last_s in self._last_call_s.items() if last_s <= kept_s)
        gone = {(model, version) for model, version in idle if model and (model, version) not in loaded}
        for key in [key for key in self._of_calls if key[1:3] in gone]:
            method, model, number, code = key
            self._calls.remove(method, model, str(number), code)
            self._call_seconds.remove(method, model, str(number))
            del self._of_calls[key]
        for place in gone:
            del self._last_call_s[place]

    async def explained(self, told: Explained) -> None:
        """Count an explanation that was answered."""
        answer = told.answer
        self.explanation_ended(
            method=answer.options.method.name,
            stop_reason=answer.stop_reason.value,
            evaluations=answer.evaluations,
            reused=answer.reused_evaluations,
        )

    async def table_explained(self, told: ExplainedTable) -> None:
        """Count each row of a table that was answered."""
        answer = told.answer
        method = answer.options.method.name
        for reason, rows in CountOf(answer.stop_reasons).items():
            self._ended.labels(method, reason.value).inc(rows)
        self._evaluations.labels(method).inc(int(answer.evaluations.sum()))
        self._table_rows.labels(method).inc(answer.rows)

    def explanation_ended(self, *, method: str, stop_reason: str, evaluations: int, reused: int) -> None:
        """Count an explanation by label values, which must come from fixed sets."""
        self._ended.labels(method, stop_reason).inc()
        self._evaluations.labels(method).inc(evaluations)
        self._reused.labels(method).inc(reused)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"explicate_{name}", text, labels, registry=self.registry)
