"""The Grafana dashboard asks only for what a running server exports."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from explicate_server import app
from explicate_server.runtime.nvml import Nvml
from support.fake_nvml import FakeNvml
from support.harness import TEXT, explain_request, predict_request, running_server

DASHBOARD = json.loads((Path(__file__).parents[2] / "deploy" / "grafana" / "explicate.json").read_text("utf-8"))
# A metric with its matchers, as PromQL writes them: name{label="value", other=~"value"}.
METRIC = re.compile(r"\b(explicate_\w+|process_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
GROUPING = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
LEGEND = re.compile(r"\{\{(\w+)\}\}")


def queries() -> Iterator[tuple[str, str, str]]:
    """Title, query and legend of each target."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], target["legendFormat"]


@pytest.fixture(autouse=True)
def _a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics of devices are there only where one is."""
    monkeypatch.setattr(app, "open_nvml", lambda: Nvml(FakeNvml(), {}))


async def exported(repository: Path, audit_log: Path) -> dict[str, set[str]]:
    """The labels of each sample's name, from a server that has had calls of every sort."""
    async with running_server(repository, metrics_listen="127.0.0.1:0", audit_log=str(audit_log)) as running:
        await running.inference.Predict(predict_request("good tea", "bad tea"))
        await running.inference.Explain(explain_request(TEXT, max_evaluations=50))
        with pytest.raises(grpc.RpcError):
            await running.inference.Predict(predict_request(""))
        text = generate_latest(running.server.metrics.registry).decode()
    labels: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(text):
        if not family.samples and family.type == "counter":
            # Counts only once there was one: most by reason; rows of tables, which this model does not read, by method.
            labels[f"{family.name}_total"] |= {"method" if family.name.endswith("table_rows") else "reason"}
        for sample in family.samples:
            if not sample.name.endswith("_created"):  # when a counter began; nothing to draw
                labels[sample.name] |= sample.labels.keys()
    return labels


async def test_every_query_asks_for_metrics_and_labels_that_a_server_exports(
    tiny_repository: Path, tmp_path: Path
) -> None:
    known = await exported(tiny_repository, tmp_path / "audit.jsonl")
    asked = 0
    for title, query, legend in queries():
        metrics = METRIC.findall(query)
        assert metrics, f"{title}: {query} asks for nothing of ours"
        for name, matchers in metrics:
            assert name in known, f"{title}: no {name} is exported"
            assert set(MATCHER.findall(matchers)) <= known[name], f"{title}: {name} has no such label: {matchers}"
            asked += 1
        of_all = set.intersection(*(known[name] for name, _ in metrics))
        grouped = {label.strip() for labels in GROUPING.findall(query) for label in labels.split(",")}
        assert grouped <= of_all, f"{title}: {grouped - of_all} is no label of all in {query}"
        shown = set(LEGEND.findall(legend))
        assert shown <= (grouped or of_all), f"{title}: {legend} shows what {query} does not give"
    assert asked > 30


async def test_every_metric_of_ours_is_on_the_dashboard(tiny_repository: Path, tmp_path: Path) -> None:
    known = await exported(tiny_repository, tmp_path / "audit.jsonl")
    bases = {re.sub(r"_(bucket|count|sum)$", "", name) for name in known if name.startswith("explicate_")}
    shown = {re.sub(r"_bucket$", "", name) for _, query, _ in queries() for name, _ in METRIC.findall(query)}
    assert bases - shown == set()


def test_panels_have_an_id_each_and_do_not_overlap() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_queries_use_only_variables_that_there_are() -> None:
    variables = {each["name"] for each in DASHBOARD["templating"]["list"]} | {"__rate_interval", "__all"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used == variables


async def test_every_metric_of_ours_is_in_the_guide(tiny_repository: Path, tmp_path: Path) -> None:
    known = await exported(tiny_repository, tmp_path / "audit.jsonl")
    bases = {re.sub(r"_(bucket|count|sum)$", "", name) for name in known if name.startswith("explicate_")}
    guide = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    assert {base for base in bases if f"`{base}`" not in guide} == set()
