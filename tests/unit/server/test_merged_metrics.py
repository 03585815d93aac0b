"""The metrics of several processes as those of one."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from explicate_server.processes.merged_metrics import Counts, families_of, merge, metrics_of, of_process


class _Process:
    """What one of them has counted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = Counter("explicate_calls", "Calls.", ["code"], registry=self.registry)
        self.seconds = Histogram("explicate_call_seconds", "Seconds.", buckets=(0.1, 1.0), registry=self.registry)
        self.queued = Gauge("explicate_queued_rows", "Rows.", registry=self.registry)
        self.slowdown = Gauge("explicate_model_slowdown_ratio", "How slow.", registry=self.registry)
        self.memory = Gauge("process_resident_memory_bytes", "Memory.", registry=self.registry)


@pytest.fixture
def two() -> tuple[_Process, _Process]:
    first, second = _Process(), _Process()
    first.calls.labels("OK").inc(3)
    second.calls.labels("OK").inc(4)
    second.calls.labels("INTERNAL").inc(1)
    for seconds in (0.05, 0.5):
        first.seconds.observe(seconds)
    second.seconds.observe(5.0)
    for process, rows, slowdown, memory in ((first, 7, 1.5, 100), (second, 5, 2.5, 200)):
        process.queued.set(rows)
        process.slowdown.set(slowdown)
        process.memory.set(memory)
    return first, second


def written(counts: Counts) -> dict[tuple[str, str], float]:
    """What Prometheus reads: value by name and label."""
    registry = CollectorRegistry()
    registry.register(type("All", (), {"collect": lambda _: metrics_of(counts.all())})())
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def test_counts_and_lengths_of_queues_add_up_and_how_it_goes_is_the_worst(two: tuple[_Process, _Process]) -> None:
    counts = Counts()
    for number, process in enumerate(two, start=1):
        counts.note(number, families_of(process.registry))
    told = written(counts)
    assert told["explicate_calls_total", "OK"] == 7
    assert told["explicate_calls_total", "INTERNAL"] == 1
    assert [told["explicate_call_seconds_bucket", bound] for bound in ("0.1", "1.0", "+Inf")] == [1, 2, 3]
    assert told["explicate_call_seconds_sum", ""] == pytest.approx(5.55)
    assert told["explicate_queued_rows", ""] == 12
    assert told["explicate_model_slowdown_ratio", ""] == 2.5
    assert told["process_resident_memory_bytes", "1"] == 100
    assert told["process_resident_memory_bytes", "2"] == 200
    assert dict(counts.calls()) == {1: 3, 2: 5}


def test_no_count_falls_when_a_process_ends_and_its_gauges_go(two: tuple[_Process, _Process]) -> None:
    counts = Counts()
    for number, process in enumerate(two, start=1):
        counts.note(number, families_of(process.registry))
    counts.end(2)
    left = written(counts)
    assert left["explicate_calls_total", "OK"] == 7
    assert left["explicate_call_seconds_count", ""] == 3
    assert left["explicate_queued_rows", ""] == 7
    assert ("process_resident_memory_bytes", "2") not in left
    counts.note(2, families_of(_Process().registry))  # the one that took its place has counted nothing
    assert written(counts)["explicate_calls_total", "OK"] == 7
    counts.end(1)
    assert written(counts)["explicate_calls_total", "OK"] == 7


def test_types_and_texts_stay_as_one_process_has_them(two: tuple[_Process, _Process]) -> None:
    (first, _), one = two, CollectorRegistry()
    merged = merge([of_process(1, families_of(first.registry)), families_of(one)])
    assert [(metric.name, metric.documentation, metric.type) for metric in metrics_of(merged)] == [
        (metric.name, metric.documentation, metric.type) for metric in first.registry.collect()
    ]
