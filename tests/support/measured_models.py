"""Bundles whose models are written down node by node, so that what a metric must say of them is known.

Columns are numbers; an absent one is 0, the only background row (two rows, −1 and 1, where a spread is needed). Texts
are bags of words: each word adds its own weights to the logits. A classifier of two classes has the logits (0, s) for
the score s of the graph.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any  # onnx has no types

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing

from explicate.v1 import bundle_pb2
from explicate.v1.bundle_pb2 import COLUMN_TYPE_NUMBER, ColumnSchema
from explicate_bundle.golden import Golden, write_golden
from explicate_bundle.model_inputs import ModelInput, TabularInput, TextInput
from explicate_bundle.table_arrays import Background, write_background
from explicate_bundle.writing import describe_files, manifest_bytes
from explicate_server.runtime.onnx_runtime import OnnxRuntime

LABELS = ("no", "yes")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
Floats = NDArray[np.float64]
Nodes = Sequence[Any]


def linear(weights: Sequence[float]) -> tuple[Nodes, Mapping[str, Any]]:
    """score = numbers · weights."""
    node = helper.make_node("MatMul", ["numbers", "weights"], ["score"])
    return [node], {"weights": np.array(weights, np.float32)[:, np.newaxis]}


def both(first: int, second: int, columns: int) -> tuple[Nodes, Mapping[str, Any]]:
    """score = the product of two columns: of ones, whether both are present."""
    picks = np.zeros((2, columns, 1), np.float32)
    picks[0, first], picks[1, second] = 1, 1
    nodes = [
        helper.make_node("MatMul", ["numbers", "first"], ["one"]),
        helper.make_node("MatMul", ["numbers", "second"], ["other"]),
        helper.make_node("Mul", ["one", "other"], ["score"]),
    ]
    return nodes, {"first": picks[0], "second": picks[1]}


def constant(value: float, columns: int) -> tuple[Nodes, Mapping[str, Any]]:
    """score = the value, whatever is asked."""
    nodes, weights = linear([0.0] * columns)
    nodes = [helper.make_node("MatMul", ["numbers", "weights"], ["nothing"])]
    return [*nodes, helper.make_node("Add", ["nothing", "value"], ["score"])], {
        **weights,
        "value": np.array(value, np.float32),
    }


def publish_table(
    repository: Path,
    graph: tuple[Nodes, Mapping[str, Any]],
    columns: int,
    *,
    model: str = "table",
    labels: Sequence[str] = (),
    spread: bool = False,
    interpretability: bundle_pb2.Interpretability | None = None,
    forbidden: Sequence[str] = (),
) -> Path:
    """A bundle over number columns c0, c1, …; without labels it is a regression."""
    folder = repository / model / "1"
    folder.mkdir(parents=True)
    nodes, constants = graph
    inputs = [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["batch", columns])]
    _save(folder / "model.onnx", nodes, constants, inputs, labels)
    rows = np.array([[-1.0] * columns, [1.0] * columns] if spread else [[0.0] * columns], np.float32)
    weights = np.full(len(rows), 1 / len(rows))
    write_background(folder / "background.npz", Background(rows, np.zeros((len(rows), 0), np.int64), weights))
    named = [ColumnSchema(name=f"c{number}", type=COLUMN_TYPE_NUMBER) for number in range(columns)]
    manifest = _manifest(model, "TABULAR", labels)
    manifest.MergeFrom(bundle_pb2.Bundle(interpretability=interpretability))
    left_out = [bundle_pb2.LeftOutColumn(name=name, reason="is forbidden", forbidden=True) for name in forbidden]
    schema = bundle_pb2.TabularSchema(columns=named, background_rows=len(rows), left_out=left_out)
    manifest.tabular.CopyFrom(schema)
    golden = np.random.Generator(np.random.Philox(9)).normal(size=(4, columns)).astype(np.float32)
    outputs = OnnxRuntime(folder / "model.onnx", threads=1).run({"numbers": golden})
    cells = [{column.name: float(cell) for column, cell in zip(named, row, strict=True)} for row in golden]
    _finish(folder, manifest, [TabularInput(row) for row in cells], outputs)
    return folder


def publish_texts(
    repository: Path, words: Mapping[str, float], *, model: str = "texts", forbidden: Sequence[str] = ()
) -> Path:
    """A bundle of texts of these words, each with what it adds to the score of "yes"."""
    folder = repository / model / "1"
    folder.mkdir(parents=True)
    weights = np.array([*(0.0 for _ in SPECIAL), *words.values()], np.float32)
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["each"]),
        helper.make_node("Cast", ["attention_mask"], ["seen"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["each", "seen"], ["counted"]),
        helper.make_node("ReduceSum", ["counted", "axis"], ["score"], keepdims=1),
    ]
    names = ("input_ids", "attention_mask")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in names]
    _save(folder / "model.onnx", nodes, {"weights": weights, "axis": np.array([1])}, inputs, LABELS)
    (folder / "tokenizer.json").write_text(_tokenizer(list(words)).to_str(), encoding="utf-8")
    manifest = _manifest(model, "TEXT", LABELS)
    lists = [bundle_pb2.WordList(words=forbidden)] if forbidden else []
    manifest.text.CopyFrom(bundle_pb2.TextSchema(max_tokens=512, inputs=names, padding_id=0, forbidden=lists))
    ids = np.arange(len(SPECIAL), len(SPECIAL) + min(len(words), 4))[:, np.newaxis]
    tokens = np.concatenate([np.full_like(ids, 2), ids, np.full_like(ids, 3)], axis=1)
    outputs = OnnxRuntime(folder / "model.onnx", threads=1).run({names[0]: tokens, names[1]: np.ones_like(tokens)})
    _finish(folder, manifest, [TextInput(word) for word in list(words)[:4]], outputs)
    return folder


def write_rows(path: Path, lines: Sequence[Mapping[str, Any]]) -> Path:
    """A file of held-out rows."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def table_line(values: Sequence[float], **more: Any) -> dict[str, Any]:
    """A row of columns c0, c1, …."""
    return {"row": {f"c{number}": value for number, value in enumerate(values)}, **more}


def _tokenizer(words: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate([*SPECIAL, *words])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()  # type: ignore[assignment]
    specials = [(name, SPECIAL.index(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(  # type: ignore[assignment]
        single="[CLS] $A [SEP]", special_tokens=specials
    )
    return tokenizer


def _save(path: Path, nodes: Nodes, constants: Mapping[str, Any], inputs: Sequence[Any], labels: Sequence[str]) -> None:
    """The graph from its inputs by "score" to its one output."""
    constants = dict(constants)
    name, outputs = ("logits", len(labels)) if labels else ("values", 1)
    if labels:
        constants["sides"] = np.array([[0.0, 1.0]], np.float32)  # score [batch, 1] to (0, score)
        nodes = [*nodes, helper.make_node("MatMul", ["score", "sides"], [name])]
    else:
        nodes = [*nodes, helper.make_node("Identity", ["score"], [name])]
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", outputs])
    tensors = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, "measured", inputs, [output], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _manifest(model: str, reads: str, labels: Sequence[str]) -> bundle_pb2.Bundle:
    return bundle_pb2.Bundle(
        format_version=1,
        model=model,
        version=1,
        input_kind=f"INPUT_KIND_{reads}",
        objective="OBJECTIVE_CLASSIFICATION" if labels else "OBJECTIVE_REGRESSION",
        class_labels=labels,
        target_name=None if labels else "score",
        precision="fp32",
        golden_tolerance=1e-4,
    )


def _finish(
    folder: Path, manifest: bundle_pb2.Bundle, inputs: Sequence[ModelInput], outputs: NDArray[np.float32]
) -> None:
    write_golden(folder / "golden.npz", Golden(tuple(inputs), outputs, {}), manifest)
    (folder / "MODEL_CARD.md").write_text("# measured\n", encoding="utf-8")
    manifest.files.extend(describe_files(folder, sorted(path.name for path in folder.iterdir())))
    (folder / "manifest.json").write_bytes(manifest_bytes(manifest))
