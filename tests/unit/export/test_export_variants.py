"""Variants of model.onnx: made at export, and kept only where they answer and explain as it does."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from explicate.errors import UsageError
from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.writing import VARIANT_PRECISIONS, variant_name
from explicate_export import conversion
from explicate_export.export import EXPORTS, ExportOptions, export_class, export_run
from explicate_export.sources import publication_arguments
from explicate_export.variants.precisions import WAYS, nodes_beyond_half, write_variant
from explicate_export.variants.verification import Attempt, told_apart
from explicate_server.explain.explain_game import explain_game
from explicate_server.modalities.modalities import open_modality
from explicate_server.settings import Settings
from support.exported import Bundles, ReuseGraph
from support.with_variants import KINDS, WithVariants

TOLERANCES = (5e-3, 0.02)  # as issued: of a probability or a regression's spread, and of attributions


def scores(bundle: VerifiedBundle, graph: Path) -> NDArray[np.float64]:
    """What the golden inputs' callers would be told, by ONNX Runtime itself."""
    modality = open_modality(bundle, Settings())
    session: Any = onnxruntime.InferenceSession(graph)
    rows = [modality.encode(value).row for value in bundle.golden().inputs]
    answers = np.concatenate([session.run(None, dict(modality.collate([row])))[0] for row in rows])
    return bundle.kind.predicts.scores(answers.astype(np.float64))


@pytest.mark.parametrize("kind", KINDS)
def test_a_variant_that_is_kept_is_listed_with_what_was_measured_of_it(variants: WithVariants, kind: str) -> None:
    bundle = variants[kind].bundle
    (variant,) = bundle.manifest.variants
    unit = 25.0 if kind == "table" else 1.0  # the spread of the regression's target
    assert (variant.precision, variant.file) == ("fp16", "model.fp16.onnx")
    assert variant.output_tolerance == pytest.approx(TOLERANCES[0] * unit, rel=0.3)
    assert variant.attribution_tolerance == TOLERANCES[1]
    off_by = np.abs(scores(bundle, bundle.variant_path(variant)) - scores(bundle, bundle.model_path)).max()
    assert 0 < off_by <= variant.output_tolerance
    assert variant.output_difference == pytest.approx(off_by, rel=0.2, abs=1e-4 * unit)
    assert 0 < variant.attribution_difference <= variant.attribution_tolerance
    assert variant.ordered_pairs > 0
    assert {"model.onnx", "model.fp16.onnx"} <= {file.name for file in bundle.manifest.files}


@pytest.mark.parametrize("kind", KINDS)
def test_a_variant_has_the_inputs_and_the_output_of_the_graph_and_weights_of_half_the_width(
    variants: WithVariants, kind: str
) -> None:
    bundle = variants[kind].bundle
    graph, half = (
        onnx.load(path).graph for path in (bundle.model_path, bundle.variant_path(bundle.manifest.variants[0]))
    )
    for values in ("input", "output"):
        assert list(getattr(half, values)) == list(getattr(graph, values))
    assert not half.value_info
    kept = {
        tensor.name for tensor in half.initializer if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1
    }
    assert kept == ({"network.numbers.bin_starts", "network.numbers.inverse_bin_widths"} if kind == "table" else set())


def test_the_text_models_variant_is_at_most_half_as_large(variants: WithVariants) -> None:
    sizes = {file.name: file.size_bytes for file in variants["text"].bundle.manifest.files}
    assert sizes["model.fp16.onnx"] <= 0.52 * sizes["model.onnx"]


def test_what_is_left_off_is_said_with_its_figures_and_its_file_is_gone(variants: WithVariants) -> None:
    exported = variants["text"]
    said = "\n".join(exported.lines)
    assert "making model.fp16.onnx and holding it to the golden inputs" in exported.lines
    assert "fp16 (all but inputs, output and what fp16 may not hold) kept: 0.5" in said
    left_off = [line for line in exported.lines if line.startswith("int8 (")]
    assert len(left_off) == len(WAYS["int8"])
    assert all(" left off: " in line and " is allowed)" in line for line in left_off)
    assert "int8" not in exported.bundle.precisions
    assert not (exported.bundle.folder / "model.int8.onnx").exists()


def test_the_model_card_tells_of_every_attempt(variants: WithVariants) -> None:
    card = variants["text"].bundle.read_text("MODEL_CARD.md")
    section = card.split("## Variants")[1].split("## ")[0]
    rows = [
        line.split(" | ") for line in section.splitlines() if line.startswith("| fp16") or line.startswith("| int8")
    ]
    assert [(row[0].strip("| "), row[2]) for row in rows] == [
        ("fp16", "kept"),
        ("int8", "left off"),
        ("int8", "left off"),
    ]
    assert "within 0.005 of a probability and 2% of an input's attributions" in section


def test_unless_told_otherwise_only_a_large_model_of_texts_or_images_gets_one(
    bundles: Bundles, reuse_graph: ReuseGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {kind: tuple(export_class(kind).auto_variants) for kind in EXPORTS} == {
        "text": ("fp16",),
        "table": (),
        "image": ("fp16",),
    }
    exported = bundles["text"]
    assert exported.verified.precisions == ("fp32",)  # 8 MB are more than it has
    reuse_graph(exported)
    monkeypatch.setattr(conversion, "LEAST_GRAPH_BYTES", exported.verified.model_path.stat().st_size)
    lines: list[str] = []
    export_run(exported.run, tmp_path, ExportOptions("large", compared_inputs=4), say=lines.append)
    assert "making model.fp16.onnx and holding it to the golden inputs" in lines
    lines.clear()
    export_run(exported.run, tmp_path, ExportOptions("none", compared_inputs=4, variants=()), say=lines.append)
    assert not any("fp16" in line for line in lines)


FINE = Attempt("fp16", "all", "of a probability", size=0.5, outputs=5e-3, attributions=0.02, ordered=7)


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({}, []),
        ({"size": 0.53}, ["0.53 of model.onnx's size (0.52 is allowed)"]),
        ({"outputs": 0.0061}, ["outputs off by 0.0061 of a probability (0.005 is allowed)"]),
        ({"outputs": float("nan")}, ["outputs off by nan of a probability (0.005 is allowed)"]),
        ({"attributions": 0.2234}, ["attributions off by 22.34% (2% is allowed)"]),
        ({"crossed": 2}, ["2 of 9 pairs that model.onnx tells apart change places"]),
        ({"failure": "it does not run"}, ["it does not run"]),
    ],
)
def test_each_figure_that_misses_is_a_reason(changes: dict[str, Any], faults: list[str]) -> None:
    attempt = Attempt(**(vars(FINE) | changes))
    assert attempt.faults == faults
    assert attempt.outcome == ("left off" if faults else "kept")


def test_players_are_told_apart_where_their_intervals_do_not_overlap() -> None:
    """Three players of an additive game, which is exact, and of one that is not known well."""
    exact = explain_game(lambda c: c @ np.array([3.0, 1.0, 2.0]), 3, method="exact-shap")
    assert told_apart(exact).tolist() == [[False, True, True], [False, False, False], [False, True, False]]
    noise = np.random.default_rng(0).normal(size=4096)
    places = 2 ** np.arange(12)
    rough = explain_game(lambda c: noise[c @ places], 12, method="permutation-shap", max_evaluations=96)
    apart = told_apart(rough)
    assert apart.sum() < 12 * 11 / 2
    assert not (apart & apart.T).any()


def graph_that_squares(path: Path) -> None:
    """sqrt((1000 x)^2) / 1000, whose square fp16 cannot hold from x = 0.26 on, and x masked out by a sum."""
    nodes = [
        helper.make_node("MatMul", ["x", "thousand"], ["large"], name="enlarge"),
        helper.make_node("Mul", ["large", "large"], ["square"], name="square"),
        helper.make_node("Sqrt", ["square"], ["root"], name="root"),
        helper.make_node("MatMul", ["root", "thousandth"], ["small"], name="reduce"),
        helper.make_node("Add", ["small", "mask"], ["masked"], name="mask"),
        helper.make_node("Exp", ["masked"], ["nothing"], name="exponential"),
        helper.make_node("Add", ["small", "nothing"], ["y"], name="sum"),
    ]
    lowest = np.array(np.finfo(np.float32).min)
    weights = {"thousand": 1e3 * np.eye(3), "thousandth": 1e-3 * np.eye(3), "mask": lowest}
    graph = helper.make_graph(
        nodes,
        "squares",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


@pytest.mark.parametrize(
    ("asked", "kept"),  # a thousandfold is measured, too
    [
        ([1e-6, 1e-5, 5e-5], []),
        ([1e-6, 1e-5, 1e-4], ["square", "root"]),  # 10,000 at most, near what fp16 holds
        ([0.001, 0.005, 0.02], ["enlarge", "square", "root", "reduce"]),
        ([0.01, 0.5, 20.0], ["enlarge", "square", "root", "reduce", "mask", "sum"]),
    ],
)
def test_nodes_whose_numbers_fp16_may_not_hold_are_kept_in_fp32(
    tmp_path: Path, asked: list[float], kept: list[str]
) -> None:
    feed = {"x": np.array([asked], dtype=np.float32)}
    graph_that_squares(tmp_path / "model.onnx")
    assert nodes_beyond_half(onnx.load(tmp_path / "model.onnx"), [feed]) == kept
    write_variant(tmp_path / "model.onnx", WAYS["fp16"][0], tmp_path / "model.fp16.onnx", [feed])
    half: Any = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "model.fp16.onnx"), strict_mode=True).graph
    types = {value.name: value.type.tensor_type.elem_type for value in half.value_info}
    types["y"] = TensorProto.FLOAT
    computed = {node.name: types.get(node.output[0]) for node in half.node if node.op_type != "Cast"}
    names = ["enlarge", "square", "root", "reduce", "mask", "exponential", "sum"]
    assert [name for name in names if computed[name] == TensorProto.FLOAT] == kept
    session: Any = onnxruntime.InferenceSession(tmp_path / "model.fp16.onnx")
    np.testing.assert_allclose(session.run(None, feed)[0][0], asked, rtol=2e-3, atol=1e-7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("auto", None), ("none", ()), ("fp16", ("fp16",)), ("int8, fp16", ("int8", "fp16")), ("fp16,fp16", ("fp16",))],
)
def test_variants_are_asked_for_by_name(text: str, expected: tuple[str, ...] | None) -> None:
    assert publication_arguments._variants(text) == expected


@pytest.mark.parametrize("text", ["", "fp8", "fp16,", "all", "bf16", "fp16,bf16", "none,fp16"])
def test_a_variant_that_cannot_be_made_is_refused_before_work_starts(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--variants"):
        publication_arguments._variants(text)
    assert not list(tmp_path.iterdir())


def test_the_names_that_may_be_asked_for_are_those_that_can_be_made() -> None:
    assert all(publication_arguments._variants(name) == (name,) for name in WAYS)
    assert set(WAYS) <= set(VARIANT_PRECISIONS)
    assert variant_name("int8") == "model.int8.onnx"
