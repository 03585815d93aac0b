"""What a bundle says of how well its model can be explained, as GetModel and `models show` tell it."""

from pathlib import Path

from explicate.async_client import AsyncClient
from explicate.cli.models.showing import _lines
from explicate.model_info import Interpretability, InterpretabilityFigure, InterpretabilityMetric
from explicate.v1 import bundle_pb2
from explicate.v1.bundle_pb2 import Interval
from support.harness import running_server
from support.measured_models import linear, publish_table

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
    assert described.interpretability == Interpretability(
        metrics=(
            InterpretabilityMetric("additive_r2", "Additive R²", "It says this.", (figure,), ""),
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
    assert lines["plausibility"] == "not measured: no row has a rationale"
    assert "interpretability" not in dict(_lines(plain))
