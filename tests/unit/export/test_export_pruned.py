"""A run whose model has silenced heads: the graph has fewer of them, a smaller file, and the same answers."""

import json
from pathlib import Path

import onnx
import pytest
from transformers import AutoModelForSequenceClassification

from explicate_export.errors import UsageError
from explicate_export.export import ExportOptions, export_run
from explicate_training.loop.pruned import RECORD, choose, layers, record, silence
from support.tiny_bundle import write_outputs, write_tiny_run
from support.tiny_text_model import HIDDEN_SIZE


def pruned_run(directory: Path, share: float) -> Path:
    run = write_tiny_run(directory)
    if share:
        model = AutoModelForSequenceClassification.from_pretrained(run / "model")
        chosen = choose(layers(model), share)
        silence(model, chosen)
        record(model, chosen)
        model.save_pretrained(run / "model")
        write_outputs(run)  # by the whole model, with silent heads; the export compares its graph with these
    return run


def projections(graph: Path) -> set[int]:
    """The features of the attention of each layer, by the sizes of the graph's matrices."""
    shapes = [tuple(one.dims) for one in onnx.load(graph).graph.initializer]
    return {shape[1] for shape in shapes if len(shape) == 2 and shape[0] == HIDDEN_SIZE}


def test_the_exported_graph_has_fewer_heads_and_the_same_answers(tmp_path: Path) -> None:
    whole = export_run(pruned_run(tmp_path / "whole", 0.0), tmp_path / "repository", ExportOptions("whole"))
    half = export_run(pruned_run(tmp_path / "half", 0.5), tmp_path / "repository", ExportOptions("half"))
    assert HIDDEN_SIZE // 2 not in projections(whole / "model.onnx")
    assert HIDDEN_SIZE // 2 in projections(half / "model.onnx")
    saved = (whole / "model.onnx").stat().st_size - (half / "model.onnx").stat().st_size
    # Two layers of four matrices of 32 x 16 and three biases of 16 fewer, float32; constants and names differ a little.
    assert saved == pytest.approx(2 * (4 * 32 * 16 + 3 * 16) * 4, rel=0.1)


def test_a_record_that_is_not_so_is_refused(tmp_path: Path) -> None:
    run = pruned_run(tmp_path / "run", 0.0)
    path = run / "model" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, RECORD: {"bert.encoder.layer.0.attention.self": [0]}}))
    with pytest.raises(UsageError, match=r"are silent, and their weights are not 0: train again"):
        export_run(run, tmp_path / "repository", ExportOptions("model"))
