"""The bundles that real exports of tiny networks for tables publish: complete, true, and the same however asked."""

import hashlib
import itertools
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from google.protobuf import json_format
from numpy.typing import NDArray
from onnx import numpy_helper

from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import verify_bundle
from explicate_export.errors import ParityError
from explicate_export.export import ExportOptions, export_run
from explicate_export.table import conversion as tabular_export
from explicate_export.table import golden as golden_rows
from explicate_server.modalities.modalities import open_modality
from explicate_server.settings import Settings
from explicate_training.table.network import load_network
from support.tiny_table_run import BACKGROUND_ROWS, COLUMNS, LABELS, TARGET, Column, category, number, write_table_run

NUMBERS = tuple(number(f"n{index}") for index in range(4))
CATEGORIES = (category("colour", "red", "green"), category("sold", "false", "true", kind="boolean"))
WIDE = tuple(number(f"c{i}") if i % 2 else category(f"c{i}", "a", "b", "c") for i in range(500))
KINDS: dict[str, tuple[Sequence[Column], tuple[str, ...]]] = {
    "mixed": (COLUMNS, LABELS),
    "numbers": (NUMBERS, LABELS),
    "categories": (CATEGORIES, ("low", "middle", "high")),
    "regression": (COLUMNS, ()),
    "wide": (WIDE, LABELS),
}


class Bundle:
    """A run, its bundle, and the bundle's graph."""

    def __init__(self, name: str, directory: Path) -> None:
        columns, labels = KINDS[name]
        self.run = write_table_run(directory / name, columns, labels=labels)
        self.lines: list[str] = []
        options = ExportOptions(name, compared_inputs=40)
        self.folder = export_run(self.run, directory / "repository", options, say=self.lines.append)
        self.manifest = json_format.Parse((self.folder / "manifest.json").read_text("utf-8"), bundle_pb2.Bundle())
        self.golden = dict(np.load(self.folder / "golden.npz"))
        self._session: Any = onnxruntime.InferenceSession(self.folder / "model.onnx")

    def ask(self, numbers: NDArray[np.float32], codes: NDArray[np.int64]) -> NDArray[np.float32]:
        feeds = {"numbers": numbers, "codes": codes}
        (answers,) = self._session.run(None, {name: feed for name, feed in feeds.items() if feed.shape[1]})
        return np.asarray(answers, dtype=np.float32)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    directory = tmp_path_factory.mktemp("tables")
    return {name: Bundle(name, directory) for name in KINDS}


@pytest.fixture(params=list(KINDS))
def bundle(bundles: dict[str, Bundle], request: pytest.FixtureRequest) -> Bundle:
    return bundles[request.param]


def test_every_field_that_its_kind_has_is_filled(bundle: Bundle) -> None:
    manifest, regression = bundle.manifest, not KINDS[bundle.manifest.model][1]
    unset = {field.name for field in manifest.DESCRIPTOR.fields} - {field.name for field, _ in manifest.ListFields()}
    # No lower precision is allowed, which an unset field says; "kind" is what version 0.1 wrote.
    absent = {"kind", "text", "image", "golden_reduced_tolerance"}
    assert unset == {*absent, "class_labels" if regression else "target_name"}
    assert manifest.tabular.lime_statistics
    assert manifest.input_kind == bundle_pb2.INPUT_KIND_TABULAR
    objective = "REGRESSION" if regression else "CLASSIFICATION"
    assert manifest.objective == bundle_pb2.Objective.Value(f"OBJECTIVE_{objective}")
    assert tuple(manifest.class_labels) == KINDS[manifest.model][1]
    assert manifest.target_name == (TARGET if regression else "")
    assert [column.name for column in manifest.tabular.columns] == [c["name"] for c in KINDS[manifest.model][0]]
    assert manifest.tabular.background_rows == BACKGROUND_ROWS
    assert manifest.provenance.base_model == "tabular-network"
    assert 0 <= manifest.provenance.max_logit_difference < manifest.golden_tolerance


def test_digests_are_those_of_the_files(bundle: Bundle) -> None:
    found = {path.name: path.read_bytes() for path in bundle.folder.iterdir() if path.name != "manifest.json"}
    assert {file.name: file.sha256 for file in bundle.manifest.files} == {
        name: hashlib.sha256(data).hexdigest() for name, data in found.items()
    }
    assert set(found) == {"model.onnx", "background.npz", "lime.npz", "golden.npz", "MODEL_CARD.md"}
    for name in ("background.npz", "lime.npz"):
        assert found[name] == (bundle.run / name).read_bytes()


def test_graph_has_the_inputs_that_exist_and_a_dynamic_batch(bundle: Bundle) -> None:
    graph = onnx.load(bundle.folder / "model.onnx").graph
    columns = KINDS[bundle.manifest.model][0]
    numbers = sum(column["type"] == "number" for column in columns)
    counts = {"numbers": numbers, "codes": len(columns) - numbers}

    def shape(value: Any) -> list[Any]:
        return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]

    expected = {name: ["batch", count] for name, count in counts.items() if count}
    assert {value.name: shape(value) for value in graph.input} == expected
    (output,) = graph.output
    labels = KINDS[bundle.manifest.model][1]
    assert (output.name, shape(output)) == ("logits" if labels else "values", ["batch", len(labels) or 1])
    assert b"site-packages" not in (bundle.folder / "model.onnx").read_bytes()


def test_golden_rows_have_torchs_answers_and_the_graph_meets_them(bundle: Bundle) -> None:
    numbers, codes, outputs = (bundle.golden[name] for name in ("numbers", "codes", "outputs"))
    assert (numbers.dtype, codes.dtype, outputs.dtype) == (np.float32, np.int64, np.float32)
    assert len(numbers) == len(codes) == len(outputs) == 40  # 32 held-out rows and 8 with holes
    with torch.no_grad():
        answers = load_network(bundle.run / "model")(torch.from_numpy(numbers), torch.from_numpy(codes)).numpy()
    np.testing.assert_array_equal(outputs, answers)
    # Different answers, or meeting them would say nothing.
    unit = 1 if bundle.manifest.class_labels else 25
    assert outputs.std(axis=0).min() > 0.1 * unit
    assert np.abs(bundle.ask(numbers, codes) - outputs).max() <= 1e-4 * unit < bundle.manifest.golden_tolerance


def test_golden_rows_include_missing_values_and_unknown_categories_in_every_column(bundle: Bundle) -> None:
    numbers, codes = bundle.golden["numbers"], bundle.golden["codes"]
    assert np.isnan(numbers).any(axis=0).all()
    assert (codes == 0).any(axis=0).all()
    assert (codes == 1).any(axis=0).all()
    everything_missing = np.isnan(numbers).all(axis=1) & (codes == 1).all(axis=1)
    assert everything_missing.any()


def test_a_row_answers_the_same_alone_in_a_batch_and_in_any_order(bundle: Bundle) -> None:
    numbers, codes = bundle.golden["numbers"], bundle.golden["codes"]
    together = bundle.ask(numbers, codes)
    order = np.random.Generator(np.random.Philox(3)).permutation(len(numbers))
    alone = np.concatenate([bundle.ask(numbers[[row]], codes[[row]]) for row in range(len(numbers))])
    unit = 1 if bundle.manifest.class_labels else 25
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-5 * unit)
    np.testing.assert_allclose(bundle.ask(numbers[order], codes[order]), together[order], rtol=0, atol=1e-5 * unit)


@pytest.mark.parametrize("name", ["mixed", "numbers", "categories", "regression"])
def test_golden_attributions_are_the_shapley_values_of_the_background_game(
    bundles: dict[str, Bundle], name: str
) -> None:
    bundle = bundles[name]
    # So few players that 8 evaluations for each are every coalition there is, or nearly so.
    close = 1e-5 if name != "regression" else 25e-5
    golden, offsets = bundle.golden, bundle.golden["attribution_offsets"]
    assert len(golden["attribution_rows"]) >= 3
    for index, start, end in zip(golden["attribution_rows"], offsets[:-1], offsets[1:], strict=True):
        exact = _exact_shapley(bundle, KINDS[name][0], int(index))
        np.testing.assert_allclose(golden["attribution_values"][start:end], exact, rtol=0, atol=close)
        assert np.abs(exact).max() > 1000 * close


def _exact_shapley(bundle: Bundle, columns: Sequence[Column], index: int) -> NDArray[np.float64]:
    """By the formula, over all coalitions of columns and groups; absent columns take each background row's value."""
    names = list(dict.fromkeys(column["group"] or column["name"] for column in columns))
    background = dict(np.load(bundle.folder / "background.npz"))
    output = int(bundle.golden["outputs"][index].argmax())

    def value(present: frozenset[str]) -> float:
        numbers, codes = background["numbers"].copy(), background["codes"].copy()
        for array, kept, row in (
            (numbers, [c for c in columns if c["type"] == "number"], bundle.golden["numbers"][index]),
            (codes, [c for c in columns if c["type"] != "number"], bundle.golden["codes"][index]),
        ):
            for place, column in enumerate(kept):
                if (column["group"] or column["name"]) in present:
                    array[:, place] = row[place]
        return float(background["weights"] @ bundle.ask(numbers, codes)[:, output].astype(np.float64))

    values = {
        frozenset(some): value(frozenset(some))
        for size in range(len(names) + 1)
        for some in itertools.combinations(names, size)
    }
    count = len(names)
    return np.array(
        [
            sum(
                math.factorial(len(some))
                * math.factorial(count - len(some) - 1)
                / math.factorial(count)
                * (values[some | {name}] - without)
                for some, without in values.items()
                if name not in some
            )
            for name in names
        ]
    )


def test_attributions_of_a_wide_table_are_few_and_still_add_up(bundles: dict[str, Bundle]) -> None:
    bundle = bundles["wide"]
    golden, background = bundle.golden, dict(np.load(bundle.folder / "background.npz"))
    (index,) = golden["attribution_rows"]
    assert bundle.manifest.golden_attributions.evaluations_per_player == 2
    output = golden["outputs"][index].argmax()
    baseline = background["weights"] @ bundle.ask(background["numbers"], background["codes"])[:, output]
    total = golden["attribution_values"].sum()
    assert len(golden["attribution_values"]) == 500
    assert total == pytest.approx(golden["outputs"][index, output] - baseline, abs=1e-3)
    assert abs(total) > 0.1


def test_no_attributions_where_they_would_slow_every_load(
    bundles: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundles["categories"]
    _reuse_graph(monkeypatch, bundle.folder / "model.onnx", offset=0.0)
    monkeypatch.setattr(golden_rows, "MOST_MODEL_ROWS", 10)
    folder = export_run(bundle.run, tmp_path, ExportOptions("m"))
    manifest = json_format.Parse((folder / "manifest.json").read_text("utf-8"), bundle_pb2.Bundle())
    assert not manifest.HasField("golden_attributions")
    assert set(np.load(folder / "golden.npz").files) == {"numbers", "codes", "outputs"}


def test_model_card_names_what_a_reader_needs(bundles: dict[str, Bundle]) -> None:
    card = (bundles["mixed"].folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    for needed in ("# mixed\n", "predicts `left`", "`no`, `yes`", "| auroc | 0.75 |", "Intended use", "in a logit"):
        assert needed in card
    assert "| city | category | Ghent, Köln, São Paulo | place | yes |" in card
    assert "| age | number |  |  | no |" in card
    assert "takes the values of the 20 background rows" in card
    assert bundles["mixed"].manifest.provenance.data_sha256 in card
    assert "of the target's spread" in (bundles["regression"].folder / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_the_server_reads_the_bundle_as_it_was_meant(bundle: Bundle) -> None:
    verified = verify_bundle(bundle.folder, model=bundle.manifest.model, version=1)
    golden = verified.golden()
    np.testing.assert_array_equal(golden.outputs, bundle.golden["outputs"])
    assert list(golden.attributions) == bundle.golden["attribution_rows"].tolist()
    modality = open_modality(verified, Settings())
    feeds = modality.collate([modality.encode(value).row for value in golden.inputs])
    for name, values in feeds.items():
        np.testing.assert_array_equal(values, bundle.golden[name])


def test_each_step_is_said(bundles: dict[str, Bundle]) -> None:
    said = "\n".join(bundles["regression"].lines)
    for line in ("converting", "on 40 held-out rows and 8 with holes", "of the target's spread (allowed 0.0001)"):
        assert line in said


def _reuse_graph(monkeypatch: pytest.MonkeyPatch, graph: Path, *, offset: float) -> None:
    """Instead of converting, takes a graph that exists, with its outputs moved."""

    def write_graph(source: Any, path: Path) -> None:
        model = onnx.load(graph)
        (output,) = model.graph.output
        for node in model.graph.node:
            node.output[:] = ["plain" if name == output.name else name for name in node.output]
        model.graph.initializer.append(numpy_helper.from_array(np.float32(offset).reshape(1), "moved_by"))
        model.graph.node.append(onnx.helper.make_node("Add", ["plain", "moved_by"], [output.name]))
        onnx.save(model, path)

    monkeypatch.setattr(tabular_export, "write_graph", write_graph)


@pytest.mark.parametrize(
    ("name", "offset", "message"),
    [
        ("mixed", 1.5e-4, "in a logit"),
        ("mixed", float("nan"), "in a logit"),
        # Its target's spread is about 25.
        ("regression", 60e-4, "of the target's spread"),
    ],
)
def test_graph_that_differs_from_torch_is_not_published(
    bundles: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, offset: float, message: str
) -> None:
    _reuse_graph(monkeypatch, bundles[name].folder / "model.onnx", offset=offset)
    with pytest.raises(ParityError, match=rf"differ by up to .* {message}.*nothing was published"):
        export_run(bundles[name].run, tmp_path / "repository", ExportOptions("m"))
    assert list((tmp_path / "repository").iterdir()) == []


@pytest.mark.parametrize(("name", "offset"), [("mixed", 0.5e-4), ("regression", 10e-4)])
def test_graph_that_differs_less_than_the_limit_is_published(
    bundles: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, offset: float
) -> None:
    _reuse_graph(monkeypatch, bundles[name].folder / "model.onnx", offset=offset)
    folder = export_run(bundles[name].run, tmp_path / "repository", ExportOptions("m"))
    manifest = json_format.Parse((folder / "manifest.json").read_text("utf-8"), bundle_pb2.Bundle())
    assert manifest.provenance.max_logit_difference == pytest.approx(offset, rel=0.05)


def test_one_held_out_row_is_enough(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    run = Path(shutil.copytree(bundles["regression"].run, tmp_path / "run"))
    first = (run / "held_out.jsonl").read_text(encoding="utf-8").splitlines()[0]
    (run / "held_out.jsonl").write_text(first + "\n", encoding="utf-8")
    folder = export_run(run, tmp_path / "repository", ExportOptions("m"))
    assert len(np.load(folder / "golden.npz")["outputs"]) == 1 + 8
