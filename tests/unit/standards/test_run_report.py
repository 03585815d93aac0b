"""What an evaluation adds to a run: whole files, drawings that a browser reads, and no harm where it cannot."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from explicate.v1 import bundle_pb2
from explicate_bundle.manifest import _interpretability_checks
from explicate_server.explain.quality import SHARES
from explicate_standards.evaluated_model import open_published
from explicate_standards.evaluation import Evaluation, chosen_metrics, evaluate, plan
from explicate_standards.held_out_rows import is_of_other_data, read_rows
from explicate_standards.plots.drawings import drawn
from explicate_standards.plots.evaluation_plots import Plot, histogram
from explicate_standards.run_report import add_to_run, section
from explicate_standards.told import as_message
from support.measured_models import linear, publish_table, table_line, write_rows

PAGE = "<html><body><h2>Words</h2></body></html>"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    folder = tmp_path_factory.mktemp("measured")
    model = open_published(publish_table(folder, linear([3, -2, 1, 0.5]), 4, spread=True))
    lines = [table_line([1 + number / 10, 1, 0.5, 2]) for number in range(4)]
    rows = read_rows(write_rows(folder / "rows.jsonl", lines), model, count=4)
    return evaluate(model, rows, plan(model, rows, chosen_metrics(None)), folder=folder / "partial")


def test_a_section_has_every_metric_and_drawings_that_are_xml(evaluation: Evaluation) -> None:
    page = section(evaluation)
    for result in evaluation.results:
        assert f"<td>{result.metric.title}</td>" in page
    found = re.findall(r"(?s)<svg.*?</svg>", page)
    assert len(found) == 4
    for drawing in found:
        root = ElementTree.fromstring(drawing)
        assert root.attrib["aria-label"]
        assert root.attrib["role"] == "img"


def test_lines_go_through_their_points_from_left_to_right_and_up() -> None:
    points = [
        bundle_pb2.PlotPoint(x=0.1, y=0.0, interval=bundle_pb2.Interval(lower=0.0, upper=0.5)),
        bundle_pb2.PlotPoint(x=0.2, y=1.0, interval=bundle_pb2.Interval(lower=0.5, upper=1.5)),
    ]
    line = bundle_pb2.PlotLine(name="a & b", points=points)
    root = ElementTree.fromstring(drawn(Plot(title="x < y", x="x", y="y", lines=[line])))
    (path,) = root.iter(f"{SVG}polyline")
    (first, second) = (tuple(map(float, point.split(","))) for point in path.attrib["points"].split())
    assert first[0] < second[0]
    assert first[1] > second[1]  # pixels count downwards
    assert "a & b" in [text.text for text in root.iter(f"{SVG}text")]


def test_bars_are_as_high_as_their_counts() -> None:
    values = np.array([1.0, 1.0, 1.0, 9.0])
    plot = histogram("t", values, x="x", y="y", marks=[bundle_pb2.PlotMark(name="median", value=1.0)])
    root = ElementTree.fromstring(drawn(plot))
    heights = sorted(float(bar.attrib["height"]) for bar in root.iter(f"{SVG}rect") if "x" in bar.attrib)[-2:]
    assert heights[1] == pytest.approx(3 * heights[0], abs=0.2)


def test_a_manifest_has_the_plots_of_the_report_by_metric(evaluation: Evaluation) -> None:
    """The numbers of the curves and bins are those of the rows, computed here by themselves."""
    metrics = {metric.id: metric for metric in as_message(evaluation).metrics}
    titles = {name: [plot.title for plot in metric.plots] for name, metric in metrics.items() if metric.plots}
    assert titles == {
        "comprehensiveness": ["Without the parts named first"],
        "sufficiency": ["With these parts alone"],
        "evaluations_per_player": ["Model rows to intervals of a tenth", "Widest interval as served"],
    }
    of_rows = [row["comprehensiveness"] for row in evaluation.measured]
    (plot,) = metrics["comprehensiveness"].plots
    for line, key, dashed in zip(plot.lines, ("curve", "random_curve"), (False, True), strict=True):
        assert line.dashed == dashed
        assert [point.x for point in line.points] == list(SHARES)
        np.testing.assert_allclose([point.y for point in line.points], np.mean([row[key] for row in of_rows], axis=0))
        for point in line.points:
            assert point.interval.lower <= point.y <= point.interval.upper
    assert any(point.interval.lower < point.interval.upper for point in plot.lines[0].points)
    for plot, key in zip(metrics["evaluations_per_player"].plots, ("per_player", "served_interval"), strict=True):
        values = [row["evaluations_per_player"][key] for row in evaluation.measured]
        assert {mark.name: mark.value for mark in plot.marks}["median"] == pytest.approx(np.median(values))
        assert plot.bins[0].lower == 0
        assert [step.upper for step in plot.bins[:-1]] == [step.lower for step in plot.bins[1:]]
        for step in plot.bins:
            assert step.count == sum(step.lower <= value < step.upper for value in values)
        assert sum(step.count for step in plot.bins) == len(values)


def test_the_plots_of_an_evaluation_are_what_a_manifest_may_have(evaluation: Evaluation) -> None:
    assert _refused(as_message(evaluation)) == []


@pytest.mark.parametrize(
    "broken",
    [
        Plot(title="empty"),
        Plot(title="a line of nothing", lines=[bundle_pb2.PlotLine(name="a")]),
        Plot(title="NaN", lines=[bundle_pb2.PlotLine(points=[bundle_pb2.PlotPoint(x=0.1, y=float("nan"))])]),
        Plot(title="a step back", bins=[bundle_pb2.PlotBin(lower=1, upper=0, count=3)]),
        Plot(title="less than none", bins=[bundle_pb2.PlotBin(lower=0, upper=1, count=-3)]),
        Plot(title="too long", bins=[bundle_pb2.PlotBin(lower=n, upper=n + 1, count=1) for n in range(101)]),
    ],
    ids=lambda plot: plot.title,
)
def test_a_manifest_with_a_plot_that_cannot_be_drawn_is_refused(
    evaluation: Evaluation, broken: bundle_pb2.InterpretabilityPlot
) -> None:
    measured = as_message(evaluation)
    measured.metrics[0].plots.append(broken)
    assert len(_refused(measured)) == 1
    assert repr(broken.title) in _refused(measured)[0]


def _refused(measured: bundle_pb2.Interpretability) -> list[str]:
    """What a bundle with it would be refused for."""
    return [why for holds, why in _interpretability_checks(bundle_pb2.Bundle(interpretability=measured)) if not holds]


def test_a_section_is_put_in_the_place_of_the_one_before(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(PAGE, encoding="utf-8")
    (tmp_path / "metrics.json").write_text('{"test": {}, "interpretability": {"terms": 1}}', encoding="utf-8")
    for _ in range(2):
        add_to_run(tmp_path, evaluation, say=lambda line: pytest.fail(line))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("How well it can be explained") == 1
    assert page.endswith("<h2>Words</h2></body></html>")
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["interpretability"] == {"terms": 1}
    assert metrics["interpretability_metrics"]["inputs"] == 4
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "metrics.json", "interpretability.json"}


def test_a_run_that_cannot_take_the_figures_is_said_and_left(evaluation: Evaluation, tmp_path: Path) -> None:
    said: list[str] = []
    add_to_run(tmp_path / "gone", evaluation, say=said.append)
    (tmp_path / "metrics.json").write_text("{", encoding="utf-8")
    add_to_run(tmp_path, evaluation, say=said.append)
    assert len(said) == 2
    assert all("the bundle has them" in line for line in said)
    assert (tmp_path / "metrics.json").read_text(encoding="utf-8") == "{"


def test_a_run_on_other_data_is_noticed(evaluation: Evaluation, tmp_path: Path) -> None:
    model = evaluation.model
    assert not is_of_other_data(tmp_path, model)
    (tmp_path / "run.json").write_text('{"data_sha256": "aa"}', encoding="utf-8")
    assert not is_of_other_data(tmp_path, model), "the bundle does not say what it was trained on"
    model.bundle.manifest.provenance.data_sha256 = "bb"
    assert is_of_other_data(tmp_path, model)
    (tmp_path / "run.json").write_text("[]", encoding="utf-8")
    assert not is_of_other_data(tmp_path, model)
