"""What the parts of a server have counted, read when Prometheus asks, so that nothing is paid between.

The batchers, the admission, the registry and the stores keep plain sums of their own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from explicate_server.inference.admission import Admission
from explicate_server.inference.value_store import ValueStore
from explicate_server.runtime.batcher import Batcher
from explicate_server.runtime.statistics import QUEUE_BOUNDS_S, QueueTimes
from explicate_server.telemetry.audit_log import AuditLog

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
Batchers = Callable[[], Iterable[tuple[str, int, Batcher]]]
"""Model, version and batcher of whatever is loaded now."""


class BatcherCollector(Collector):
    """Rows, padding and waits of every model by class."""

    def __init__(self, batchers: Batchers) -> None:
        self._batchers = batchers

    def collect(self) -> Iterator[Metric]:
        sums = {name: CounterMetricFamily(metric, text, labels=_LABELS) for name, metric, text in _SUMS}
        waits = HistogramMetricFamily("explicate_queue_seconds", "Seconds that rows waited.", labels=_LABELS)
        waiting = GaugeMetricFamily("explicate_queued_rows", "Rows that wait.", labels=_LABELS)
        slowdown = GaugeMetricFamily(
            "explicate_model_slowdown_ratio",
            "Time that batches take now, as a multiple of what was measured when the model was loaded.",
            labels=_LABELS[:2],
        )
        running = GaugeMetricFamily(
            "explicate_running_batch_seconds",
            "Seconds that the oldest batch in the model has taken.",
            labels=_LABELS[:2],
        )
        for model, version, batcher in self._batchers():
            statistics, queued = batcher.snapshot(), batcher.queued_rows
            slowdown.add_metric([model, str(version)], batcher.cost.slowdown)
            running.add_metric([model, str(version)], batcher.running_s)
            for priority, of_class in statistics.items():
                labels = [model, str(version), priority.name.lower()]
                waiting.add_metric(labels, queued[priority])
                waits.add_metric(labels, _buckets(of_class.queue_times), of_class.queue_times.sum_s)
                for name, family in sums.items():
                    family.add_metric(labels, getattr(of_class, name))
        yield from (*sums.values(), waits, waiting, slowdown, running)


class AdmissionCollector(Collector):
    """Explanations let in and refused."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "explicate_explanations_in_progress", "Explanations let in and not ended.", self._admission.in_progress
        )
        refusals: Mapping[str, int] = dict(self._admission.refusals)
        refused = CounterMetricFamily("explicate_refused_explanations", "Explanations not let in.", labels=["reason"])
        for reason, count in refusals.items():
            refused.add_metric([reason], count)
        yield refused


class AuditCollector(Collector):
    """The audit log."""

    def __init__(self, audit: AuditLog | None) -> None:
        self._audit = audit

    def collect(self) -> Iterator[Metric]:
        written, lost = (self._audit.written, self._audit.lost) if self._audit else (0, 0)
        yield CounterMetricFamily("explicate_audit_lines", "Lines written to the audit log.", written)
        yield CounterMetricFamily("explicate_audit_lost_lines", "Lines that the audit log has not.", lost)


class ModelCollector(Collector):
    """What was done to models, and which versions serve."""

    def __init__(self, outcomes: Mapping[tuple[str, str, str], int], batchers: Batchers) -> None:
        """``outcomes`` counts by model, operation and outcome; see ``Lifecycle``."""
        self._outcomes = outcomes
        self._batchers = batchers

    def collect(self) -> Iterator[Metric]:
        done = CounterMetricFamily(
            "explicate_model_operations",
            "Loads, swaps of labels and frees of models.",
            labels=["model", "operation", "outcome"],
        )
        for names, count in dict(self._outcomes).items():
            done.add_metric(names, count)
        loaded = GaugeMetricFamily("explicate_model_loaded", "1 for each version in memory.", labels=_LABELS[:2])
        for model, version, _ in self._batchers():
            loaded.add_metric([model, str(version)], 1)
        yield from (done, loaded)


class StoreCollector(Collector):
    """The values of coalitions that are kept."""

    def __init__(self, store: ValueStore) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "explicate_store_bytes", "Bytes of values kept for requests that repeat.", self._store.bytes
        )
        yield GaugeMetricFamily("explicate_store_games", "Inputs whose values are kept.", self._store.games)


def _buckets(times: QueueTimes) -> Sequence[tuple[str, float]]:
    bounds = [*map(floatToGoString, QUEUE_BOUNDS_S), "+Inf"]
    return list(zip(bounds, accumulate(times.counts), strict=True))
