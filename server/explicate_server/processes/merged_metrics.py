"""The metrics of several processes as those of one server.

Counts, histograms and gauges of what there is are added up. What a process has counted stays in the sum after it has
ended, as far as it was last asked, so that no count ever falls. A gauge that tells how it goes is the worst of all, and
metrics of a process itself have its number as the label ``process``.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Metric

# Name, text, type, and of each sample name, labels and value.
Family = Sequence[Any]
_PER_PROCESS = "process_"
_COUNTED = ("counter", "histogram", "summary")
_CREATED = "_created"
_CALLS = "explicate_calls"
# Gauges that are no numbers of things: how slow a model is, or that something holds, which all say of the same model.
_WORST = {
    "explicate_model_slowdown_ratio": max,
    "explicate_running_batch_seconds": max,
    "explicate_oldest_row_seconds": max,
    "explicate_model_state": max,
    "explicate_model_standard": max,
    "explicate_model_loaded": min,
    "explicate_model_device_serves": min,
    "explicate_model_device_nodes": max,
    "explicate_model_device_cpu_nodes": max,
}


def families_of(registry: CollectorRegistry) -> list[Family]:
    """What a registry has now, for JSON."""
    return [
        [metric.name, metric.documentation, metric.type, [[*sample[:3]] for sample in metric.samples]]
        for metric in registry.collect()
    ]


def of_process(number: int, families: Iterable[Family]) -> list[Family]:
    """The same with the number of the process, as a label of the metrics that tell of the process itself."""
    return [
        [name, text, kind, [[sample, {**labels, "process": str(number)}, value] for sample, labels, value in samples]]
        if name.startswith(_PER_PROCESS)
        else [name, text, kind, samples]
        for name, text, kind, samples in families
    ]


def counted(families: Iterable[Family]) -> list[Family]:
    """Those that only ever grow, and are told of no single process."""
    return [family for family in families if family[2] in _COUNTED and not family[0].startswith(_PER_PROCESS)]


def merge(processes: Iterable[Iterable[Family]]) -> list[Family]:
    """One family for all of one name, in the order in which they first come."""
    merged: dict[str, tuple[str, str, dict[tuple[str, tuple[tuple[str, str], ...]], float]]] = {}
    for families in processes:
        for name, text, kind, samples in families:
            _, _, values = merged.setdefault(name, (text, kind, {}))
            for sample, labels, value in samples:
                key = sample, tuple(sorted(labels.items()))
                values[key] = _both(name, sample, values[key], value) if key in values else value
    return [
        [name, text, kind, [[sample, dict(labels), value] for (sample, labels), value in values.items()]]
        for name, (text, kind, values) in merged.items()
    ]


def _both(name: str, sample: str, one: float, other: float) -> float:
    if sample.endswith(_CREATED):
        return min(one, other)
    return _WORST[name](one, other) if name in _WORST else one + other


def metrics_of(families: Iterable[Family]) -> list[Metric]:
    """As Prometheus's client writes them out."""
    metrics = []
    for name, text, kind, samples in families:
        metric = Metric(name, text, kind)
        for sample, labels, value in samples:
            metric.add_sample(sample, labels, value)
        metrics.append(metric)
    return metrics


class Counts:
    """What was last heard of each process, and what those that have ended had counted."""

    def __init__(self) -> None:
        self._last: dict[int, list[Family]] = {}
        self._ended: list[Family] = []

    def note(self, number: int, families: list[Family]) -> None:
        """A process tells."""
        self._last[number] = families

    def end(self, number: int) -> None:
        """It has ended; its gauges went with it."""
        self._ended = merge([self._ended, counted(self._last.pop(number, []))])

    def calls(self) -> Iterator[tuple[int, float]]:
        """Calls of each process that runs, by its number."""
        for number, families in sorted(self._last.items()):
            samples = [sample for name, *_, samples in families if name == _CALLS for sample in samples]
            yield number, sum(value for name, _, value in samples if not name.endswith(_CREATED))

    def all(self) -> list[Family]:
        """Those of the server."""
        return merge([*(of_process(number, told) for number, told in sorted(self._last.items())), self._ended])
