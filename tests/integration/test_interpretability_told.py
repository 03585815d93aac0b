"""What a bundle says of how well its model can be explained, as GetModel and `models show` tell it; and that what is
measured is what a server explains.
"""

from pathlib import Path

import numpy as np
import pytest

from explicate.async_client import AsyncClient
from explicate.cli.models.showing import _lines
from explicate.described.plots import InterpretabilityPlot, PlotBin, PlotLine, PlotMark, PlotPoint
from explicate.model_info import Interpretability, InterpretabilityFigure, InterpretabilityMetric
from explicate.v1 import bundle_pb2
from explicate.v1.bundle_pb2 import Interval
from explicate_bundle.model_inputs import TextInput
from explicate_standards.evaluated_model import open_published
from explicate_standards.held_out_rows import LabelledInput
from explicate_standards.metrics.evaluations_per_player import CHEAP
from explicate_standards.subject import SERVED, Subject
from support.harness import running_server
from support.measured_models import linear, publish_table, publish_texts

MEASURED = bundle_pb2.Interpretability(
    metrics=[
        bundle_pb2.InterpretabilityMetric(
            id="additive_r2",
            title="Additive R²",
            sentence="It says this.",
            figures=[
                bundle_pb2.InterpretabilityFigure(
                    name="additive_r2.median", value=0.84, interval=Interval(lower=0.81, upper=0.87), inputs=30
                )
            ],
            plots=[
                bundle_pb2.InterpretabilityPlot(
                    title="Falls",
                    x="share",
                    y="fall",
                    lines=[
                        bundle_pb2.PlotLine(
                            name="at random",
                            points=[bundle_pb2.PlotPoint(x=0.1, y=0.5, interval=Interval(lower=0.25, upper=0.75))],
                            dashed=True,
                        )
                    ],
                ),
                bundle_pb2.InterpretabilityPlot(
                    title="Rows",
                    x="rows",
                    y="texts",
                    bins=[bundle_pb2.PlotBin(lower=0, upper=2, count=30)],
                    marks=[bundle_pb2.PlotMark(name="median", value=1.5)],
                ),
            ],
        ),
        bundle_pb2.InterpretabilityMetric(id="plausibility", title="Plausibility", missing="no row has a rationale"),
    ],
    inputs=30,
    rows_sha256="ab" * 32,
    seed=0,
    confidence=0.95,
    evaluator_version="1",
    runtime="onnxruntime-cpu fp32",
)


async def test_get_model_tells_what_export_measured_and_nothing_of_a_model_that_was_not(tmp_path: Path) -> None:
    publish_table(tmp_path, linear([1, 2]), 2, model="measured", interpretability=MEASURED)
    publish_table(tmp_path, linear([1, 2]), 2, model="plain")
    async with running_server(tmp_path) as running, AsyncClient(running.target) as client:
        described = await client.get_model("measured")
        plain = await client.get_model("plain")
    figure = InterpretabilityFigure("additive_r2.median", 0.84, (0.81, 0.87), 30)
    at_random = PlotLine("at random", (PlotPoint(0.1, 0.5, (0.25, 0.75)),), dashed=True)
    plots = (
        InterpretabilityPlot("Falls", "share", "fall", lines=(at_random,), bins=(), marks=()),
        InterpretabilityPlot("Rows", "rows", "texts", (), (PlotBin(0, 2, 30),), (PlotMark("median", 1.5),)),
    )
    assert described.interpretability == Interpretability(
        metrics=(
            InterpretabilityMetric("additive_r2", "Additive R²", "It says this.", (figure,), "", plots),
            InterpretabilityMetric("plausibility", "Plausibility", "", (), "no row has a rationale"),
        ),
        inputs=30,
        rows_sha256="ab" * 32,
        seed=0,
        confidence=0.95,
        evaluator_version="1",
        runtime="onnxruntime-cpu fp32",
    )
    assert plain.interpretability is None
    lines = dict(_lines(described))
    assert lines["interpretability"] == "measured on 30 held-out inputs, 95% intervals"
    assert lines["additive_r2.median"] == "0.84 [0.81, 0.87]"
    assert type(described).from_json(described.to_json()) == described
    assert lines["plausibility"] == "not measured: no row has a rationale"
    assert "interpretability" not in dict(_lines(plain))


SENTENCE = "the movie was so good, and it was short. but the box came late; so it goes "


@pytest.mark.parametrize("repeats", [1, 20], ids=["short", "long"])
async def test_what_is_measured_is_what_a_server_explains(tmp_path: Path, repeats: int) -> None:
    """The same attributions and as many evaluations, with the server's defaults and with the metric's own effort."""
    words = {word: weight for weight, word in enumerate(dict.fromkeys(SENTENCE.split()), start=-4)}
    publish_texts(tmp_path, words, model="texts")
    text = (SENTENCE * repeats).strip()
    model = open_published(tmp_path / "texts" / "1")
    subject = Subject(model, LabelledInput(1, TextInput(text), None, {}))
    async with running_server(tmp_path) as running, AsyncClient(running.target) as client:
        served = await client.explain("texts", text, method="kernel-shap")
        least = CHEAP.evaluations_per_player
        assert least is not None
        cheap = await client.explain(
            "texts", text, method="kernel-shap", tolerance=CHEAP.tolerance, min_evaluations=least * subject.n
        )
    assert bool(served.explanation.sections) == (repeats > 1)
    for effort, answer in ((SERVED, served), (CHEAP, cheap)):
        explanation = subject.explained(effort)
        (attribution,) = answer.explanation.attributions
        np.testing.assert_allclose(explanation.values, attribution.values, atol=1e-5)
        assert explanation.evaluations == answer.explanation.evaluations
