"""Metrics by Prometheus' own parser and rules: names with units, counters that only grow, whole histograms."""

import asyncio
import re
import socket
import urllib.request
from collections.abc import AsyncIterator
from functools import partial

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from test_batcher import GatedRuntime, collate, occupy, rows_of

from explicate_server.address import parse_address
from explicate_server.call_record import CallRecord
from explicate_server.errors import Overloaded
from explicate_server.inference.admission import Admission
from explicate_server.lifetime import StartError
from explicate_server.runtime.batcher import Batcher, Priority
from explicate_server.runtime.instance import Instance
from explicate_server.runtime.nvml import Nvml
from explicate_server.telemetry.metrics import Metrics, device_metrics
from support.fake_nvml import FakeCard, FakeNvml

LABELS = {"model": "tea", "version": "3"}


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(generate_latest(metrics.registry).decode())[name, frozenset(labels.items())]


@pytest.fixture
async def runtime() -> GatedRuntime:
    return GatedRuntime()


@pytest.fixture
async def batcher(runtime: GatedRuntime) -> AsyncIterator[Batcher]:
    batcher = Batcher([Instance(runtime)], collate, outputs=1, max_queued_rows={Priority.PREDICT: 4}, name="metrics")
    yield batcher
    runtime.let_through(1000)
    await asyncio.to_thread(batcher.close)


@pytest.fixture
def admission() -> Admission:
    return Admission(max_explanations=1, max_evaluations_per_caller=100)


@pytest.fixture
def metrics(batcher: Batcher, admission: Admission) -> Metrics:
    return Metrics(lambda: [("tea", 3, batcher)], admission)


def test_devices_are_told_by_number_and_product_as_far_as_they_answer(metrics: Metrics) -> None:
    cards = [FakeCard(free=60 << 30, total=80 << 30), FakeCard(lost=True), FakeCard(product="MIG", gpu_percent=None)]
    metrics.add(partial(device_metrics, Nvml(FakeNvml(cards), {})))
    first = {"device": "cuda:0", "product": "NVIDIA Test"}
    assert value(metrics, "explicate_device_memory_used_bytes", **first) == 20 << 30
    assert value(metrics, "explicate_device_memory_bytes", **first) == 80 << 30
    assert value(metrics, "explicate_device_utilisation_ratio", **first) == 0.5
    told = {(name, dict(labels).get("device")) for name, labels in samples(generate_latest(metrics.registry).decode())}
    assert ("explicate_device_memory_bytes", "cuda:1") not in told
    assert ("explicate_device_memory_bytes", "cuda:2") in told
    assert ("explicate_device_utilisation_ratio", "cuda:2") not in told


def test_without_a_driver_there_are_no_metrics_of_devices(metrics: Metrics) -> None:
    metrics.add(partial(device_metrics, None))
    assert "explicate_device" not in generate_latest(metrics.registry).decode()


async def test_rows_padding_waits_drops_and_refusals_are_told_by_class(
    metrics: Metrics, batcher: Batcher, runtime: GatedRuntime
) -> None:
    await occupy(batcher, runtime)  # a row of 8 tokens
    leaver = batcher.submit(rows_of(1, 2, 3), priority=Priority.EXPLAIN)
    batcher.abandon(leaver)
    with pytest.raises(Overloaded):
        batcher.submit(rows_of(1, 2, 3, 4, 5), priority=Priority.PREDICT)
    ticket = batcher.submit(rows_of(1, length=6) + rows_of(2, length=8), priority=Priority.PREDICT)
    assert value(metrics, "explicate_queued_rows", **LABELS, priority="predict") == 2
    runtime.let_through(2)
    assert await batcher.wait(ticket, timeout_s=None)
    of_predict = {
        "explicate_model_rows_total": 3,
        "explicate_model_batches_total": 2,
        "explicate_model_tokens_total": 8 + 6 + 8,
        "explicate_model_padded_tokens_total": 8 + 16,
        "explicate_model_capacity_rows_total": 2 * batcher.cost.most_rows(8),
        "explicate_refused_rows_total": 5,
        "explicate_dropped_rows_total": 0,
        "explicate_queued_rows": 0,
        "explicate_queue_seconds_count": 3,
    }
    for name, expected in of_predict.items():
        assert value(metrics, name, **LABELS, priority="predict") == expected, name
    assert value(metrics, "explicate_dropped_rows_total", **LABELS, priority="explain") == 3
    assert value(metrics, "explicate_queue_seconds_bucket", **LABELS, priority="predict", le="+Inf") == 3
    waited_s = value(metrics, "explicate_queue_seconds_sum", **LABELS, priority="predict")
    assert 2 * ticket.queue_s <= waited_s + 1e-9
    assert value(metrics, "explicate_model_slowdown_ratio", **LABELS) == 1


async def test_buckets_of_the_queue_time_hold_what_is_at_most_their_bound(batcher: Batcher, metrics: Metrics) -> None:
    for wait_s in (0.001, 0.0011, 0.3, 1000.0):
        batcher.statistics[Priority.BULK].queue_times.add(wait_s, rows=1)
    counts = [
        value(metrics, "explicate_queue_seconds_bucket", **LABELS, priority="bulk", le=bound)
        for bound in ("0.001", "0.0025", "0.25", "0.5", "30.0", "+Inf")
    ]
    assert counts == [1, 2, 2, 3, 3, 4]


async def test_explanations_are_told_by_how_they_ended(metrics: Metrics, admission: Admission) -> None:
    metrics.explanation_ended(method="kernel-shap", stop_reason="tolerance", evaluations=300, reused=100)
    metrics.explanation_ended(method="kernel-shap", stop_reason="budget", evaluations=400, reused=0)
    assert value(metrics, "explicate_explanations_total", method="kernel-shap", stop_reason="budget") == 1
    assert value(metrics, "explicate_explanation_evaluations_total", method="kernel-shap") == 700
    assert value(metrics, "explicate_explanation_reused_evaluations_total", method="kernel-shap") == 100
    with admission.explanation("a"):
        assert value(metrics, "explicate_explanations_in_progress") == 1
        with pytest.raises(Overloaded), admission.explanation("b"):
            pass
    assert value(metrics, "explicate_explanations_in_progress") == 0
    assert value(metrics, "explicate_refused_explanations_total", reason="TOO_MANY_EXPLANATIONS") == 1


async def test_names_keep_to_prometheus_rules(metrics: Metrics) -> None:
    metrics.explanation_ended(method="lime", stop_reason="budget", evaluations=1, reused=0)
    families = list(text_string_to_metric_families(generate_latest(metrics.registry).decode()))
    ours = [family for family in families if not family.name.startswith("process_")]
    assert len(ours) >= 12
    for family in ours:
        assert re.fullmatch(r"explicate_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert family.type != "counter" or sample.name.endswith("_total")


async def test_the_port_is_given_back_and_a_bad_address_is_refused(metrics: Metrics) -> None:
    port = metrics.port.listen(parse_address("127.0.0.1:0")).port
    with socket.create_connection(("127.0.0.1", port)):
        pass
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read())
    assert b"explicate_model_rows_total" in text
    await asyncio.to_thread(metrics.port.close)
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(StartError, match="another server"):
        metrics.port.listen(parse_address(f"127.0.0.1:{other.getsockname()[1]}"))


@pytest.mark.parametrize("name", ["explicate_calls_total", "explicate_call_seconds_count"])
async def test_versions_that_are_gone_leave_no_series_for_ever(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def versions() -> set[str]:
        text = generate_latest(metrics.registry).decode()
        return {dict(labels)["version"] for sample, labels in samples(text) if sample == name}

    def call(version: int, code: str = "OK") -> None:
        record = CallRecord("id", "Predict", model="tea", version=version)
        metrics.call_ended(record, code)

    for version in (1, 2, 3):  # 3 is in memory
        call(version)
    call(1, "CANCELLED")
    assert versions() == {"1", "2", "3"}  # still to be scraped
    monkeypatch.setattr("explicate_server.telemetry.metrics.FORGET_S", 0.0)
    call(4)
    assert versions() == {"3", "4"}
    call(1)  # back again
    assert versions() == {"1", "3"}
