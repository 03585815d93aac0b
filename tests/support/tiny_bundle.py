"""A real repository with a tiny random text model, made by the real export; and variants of it with edited graphs."""

import hashlib
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any  # onnx has no types

import numpy as np
import onnx
from google.protobuf import json_format
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from explicate.v1 import bundle_pb2
from explicate.v1.training_run_pb2 import TargetScale, TrainingRun
from explicate_bundle.golden import Golden, read_golden, write_golden
from explicate_bundle.writing import GOLDEN_NAME, GRAPH_NAME, MANIFEST_NAME, TOKENIZER_NAME
from explicate_export.publish import stage_bundle
from support.run_files import read_lines, write_lines, write_record
from support.tiny_text_model import HIDDEN_SIZE, WORDS, write_tiny_text_model

LABELS = ("other", "great")
MAX_TOKENS = 128
TARGET_NAME, TARGET_MEAN, TARGET_SPREAD = "stars", 3.5, 1.25
CONSTANT_LOGITS = (0.25, -0.5)
POISON_WORD = "poison"
_HELD_OUT_TEXTS = 40


def build_tiny_repository(directory: Path, *, model: str = "tiny", versions: int = 1) -> Path:
    """Exports that many versions of a tiny random model, each with other weights; returns the repository.

    BERT, labels "other" and "great", at most 128 tokens. Its texts are common lower-case words (tiny_text_model.WORDS).
    """
    from explicate_export.export import ExportOptions, export_run

    repository = directory / "repository"
    for version in range(1, versions + 1):
        run = write_tiny_run(directory / f"run-{version}", seed=version)
        export_run(run, repository, ExportOptions(model, version))
    return repository


def write_tiny_run(
    directory: Path,
    *,
    seed: int = 1,
    texts: Sequence[str] | None = None,
    kind: str = "text-classification",
    labels: Sequence[str] = LABELS,
    pairs: bool = False,
    hidden_size: int = HIDDEN_SIZE,
) -> Path:
    """A run directory as `explicate train` leaves it, with a random model; `texts` are the held-out ones.

    A regression has no labels. Of pairs, the second texts are random ones.
    """
    write_tiny_text_model(directory / "model", labels=labels or ["value"], seed=seed, hidden_size=hidden_size)
    texts = texts or compose_texts(_HELD_OUT_TEXTS, seed=seed)
    write_run_files(directory, texts=texts, labels=labels, kind=kind, pairs=pairs)
    write_outputs(directory)
    return directory


def write_outputs(directory: Path, *, max_tokens: int = MAX_TOKENS) -> None:
    """Puts what the run's model answers into held_out.jsonl, as training does."""
    import torch  # only for the tests that need a bundle
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(directory / "model").train(False)
    tokenizer = AutoTokenizer.from_pretrained(directory / "model")
    lines = read_lines(directory)
    columns = [[line[name] for line in lines] for name in ("text", "text_pair") if name in lines[0]]
    with torch.no_grad():
        encoded = tokenizer(*columns, truncation=True, max_length=max_tokens, padding=True, return_tensors="pt")
        outputs = model(**encoded).logits
    if "value" in lines[0]:
        outputs = outputs * TARGET_SPREAD + TARGET_MEAN
    write_lines(directory, ({**line, "outputs": row} for line, row in zip(lines, outputs.tolist(), strict=True)))


def write_run_files(
    directory: Path,
    *,
    texts: Sequence[str],
    labels: Sequence[str] = LABELS,
    max_tokens: int = MAX_TOKENS,
    kind: str = "text-classification",
    pairs: bool = False,
) -> None:
    """Every file of a run directory but the model, which seems to have answered 0 throughout."""
    data_sha256 = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    record = TrainingRun(
        objective=kind.removeprefix("text-"),
        labels=labels,
        target_name=TARGET_NAME,
        target_scale=None if labels else TargetScale(mean=TARGET_MEAN, spread=TARGET_SPREAD),
        text=bundle_pb2.TextSchema(max_tokens=max_tokens, pairs=pairs),
        base_model="tiny-random",
        seed=7,
        data_sha256=data_sha256,
        tool_versions={"torch": "0"},
    )
    per_class = {label: {"precision": 0.5, "recall": 0.25, "f1": 0.33} for label in labels}
    metrics = {"validation": {"accuracy": 0.5}, "test": {"accuracy": 0.5, "f1_macro": 0.375, "per_class": per_class}}
    data = {"sha256": data_sha256, "splits": {"train": 10, "test": len(texts)}, "exact_duplicates": 0}
    write_record(directory, record, metrics=metrics, data=data)
    others = compose_texts(len(texts), seed=len(texts), longest=40)
    write_lines(
        directory,
        (
            {
                **_held_out(kind, text, labels, index),
                **({"text_pair": others[index]} if pairs else {}),
                "outputs": [0.0] * (len(labels) or 1),
            }
            for index, text in enumerate(texts)
        ),
    )


def _held_out(kind: str, text: str, labels: Sequence[str], index: int) -> dict[str, Any]:
    if kind == "text-regression":
        return {"text": text, "value": TARGET_MEAN + index % 3}
    if kind == "text-multi-label":
        return {"text": text, "labels": list(labels[: index % (len(labels) + 1)])}
    return {"text": text, "label": labels[index % len(labels)]}


def compose_texts(count: int, *, seed: int = 0, longest: int = 150) -> list[str]:
    """Texts of 1 to `longest` random words, most of them short, the last one longer than the tiny model reads."""
    stream = random.Random(seed)
    lengths = [stream.randint(1, 40) for _ in range(count - 1)] + [longest]
    return [" ".join(stream.choices(WORDS, k=length)) for length in lengths]


def build_onnx_variant(
    repository: Path, *, model: str, nan: bool = False, constant: bool = False, source: str = "tiny"
) -> Path:
    """Publishes version 1 of `source` again as `model`, with another graph; returns the bundle's folder.

    nan: the logits of rows in which the word "poison" is present (its tokens there and attended to) are NaN; other rows
    answer as before. constant: every row answers CONSTANT_LOGITS, and there are no golden attributions.
    """
    origin = repository / source / "1"
    manifest = json_format.Parse((origin / MANIFEST_NAME).read_text(encoding="utf-8"), bundle_pb2.Bundle())
    with stage_bundle(repository, model) as staged:
        for file in manifest.files:
            shutil.copyfile(origin / file.name, staged.folder / file.name)
        graph = onnx.load(staged.folder / GRAPH_NAME)
        if nan:
            _poison(graph, _poison_ids(origin / TOKENIZER_NAME))
        if constant:
            _make_constant(graph)
        onnx.checker.check_model(graph)
        onnx.save(graph, staged.folder / GRAPH_NAME)
        if constant:
            manifest.ClearField("golden_attributions")
            golden = read_golden(origin / GOLDEN_NAME, manifest)
            logits = np.broadcast_to(np.array(CONSTANT_LOGITS, dtype=np.float32), golden.outputs.shape)
            write_golden(staged.folder / GOLDEN_NAME, Golden(golden.inputs, logits), manifest)
        return staged.publish(manifest)


def _poison_ids(tokenizer_json: Path) -> list[int]:
    ids: list[int] = Tokenizer.from_file(str(tokenizer_json)).encode(POISON_WORD, add_special_tokens=False).ids
    return ids


def _poison(model: Any, poison_ids: Sequence[int]) -> None:
    """Adds NaN to the logits of rows where these ids follow one another, all with attention."""
    graph, count = model.graph, len(poison_ids)
    _rename_logits(graph)
    for name, value in {
        "poison_pads": np.array([0, 0, 0, count]),
        "poison_axis": np.array([1]),
        "poison_end": np.array([np.iinfo(np.int64).max]),
        "poison_nan": np.array(np.nan, dtype=np.float32),
        "poison_zero": np.array(0.0, dtype=np.float32),
        "poison_all": np.array(count),
        **{f"poison_start_{k}": np.array([k]) for k in range(count)},
        **{f"poison_stop_{k}": np.array([k - count]) for k in range(count)},
        **{f"poison_id_{k}": np.array(token_id) for k, token_id in enumerate(poison_ids)},
    }.items():
        graph.initializer.append(numpy_helper.from_array(value, name))
    # Padded on the right by as many columns, so that every shifted view has the row's own length.
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["poison_seen"]),
        helper.make_node("Pad", ["poison_seen", "poison_pads"], ["poison_padded"]),
    ]
    for k in range(count):
        view = ["poison_padded", f"poison_start_{k}", f"poison_stop_{k}", "poison_axis"]
        nodes += [
            helper.make_node("Slice", view, [f"poison_view_{k}"]),
            helper.make_node("Equal", [f"poison_view_{k}", f"poison_id_{k}"], [f"poison_hit_{k}"]),
            helper.make_node("Cast", [f"poison_hit_{k}"], [f"poison_count_{k}"], to=TensorProto.FLOAT),
        ]
    nodes += [
        helper.make_node("Sum", [f"poison_count_{k}" for k in range(count)], ["poison_sum"]),
        helper.make_node("ReduceMax", ["poison_sum", "poison_axis"], ["poison_most"], keepdims=1),
        helper.make_node("Cast", ["poison_all"], ["poison_all_float"], to=TensorProto.FLOAT),
        helper.make_node("GreaterOrEqual", ["poison_most", "poison_all_float"], ["poison_present"]),
        helper.make_node("Where", ["poison_present", "poison_nan", "poison_zero"], ["poison_added"]),
        helper.make_node("Add", ["plain_logits", "poison_added"], ["logits"]),
    ]
    graph.node.extend(nodes)


def _make_constant(model: Any) -> None:
    graph = model.graph
    _rename_logits(graph)
    graph.initializer.append(numpy_helper.from_array(np.zeros(1, dtype=np.float32), "constant_zero"))
    graph.initializer.append(numpy_helper.from_array(np.array(CONSTANT_LOGITS, dtype=np.float32), "constant_logits"))
    graph.node.append(helper.make_node("Mul", ["plain_logits", "constant_zero"], ["constant_zeros"]))
    graph.node.append(helper.make_node("Add", ["constant_zeros", "constant_logits"], ["logits"]))


def _rename_logits(graph: Any) -> None:
    for node in graph.node:
        for index, name in enumerate(node.output):
            if name == "logits":
                node.output[index] = "plain_logits"
