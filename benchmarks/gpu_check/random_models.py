"""Models of known shapes with random weights, as runs that this project exports."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # configs of transformers

import numpy as np

from benchmarks.gpu_check.findings import Findings
from explicate_export.export import ExportOptions, export_run

Batch = tuple[int, int]
"""Rows, and tokens of each; an image or a row of a table is one token."""
LABELS = ("other", "great")
COMPARED_INPUTS = 16
_TEXT_BATCHES = ((8, 32), (64, 32), (256, 64), (512, 64), (64, 256))
_IMAGE_BATCHES = ((8, 1), (64, 1), (256, 1))
_TABLE_BATCHES = ((64, 1), (4096, 1))


@dataclass(frozen=True)
class Shape:
    """A model to make.

    Attributes:
        kind: "text", "image" or "table".
        write: writes its run directory.
        batches: that are timed, the first one on a CPU too.
        variants: precisions that its bundle gets besides.
    """

    kind: str
    write: Callable[[Path], object]
    batches: tuple[Batch, ...]
    variants: tuple[str, ...] = ("fp16",)


def words(count: int, *, seed: int = 0) -> str:
    """A text of that many words that the random models' tokenizer knows."""
    from support.tiny_text_model import WORDS

    stream = np.random.Generator(np.random.Philox([count, seed]))
    return " ".join(stream.choice(WORDS, count))


def build(name: str, out: Path, findings: Findings) -> None:
    """The run OUT/runs/NAME and version 1 of it in OUT/repository."""
    run, repository = out / "runs" / name, out / "repository"
    shape = SHAPES[name]
    for leftover in (run, repository / name):
        shutil.rmtree(leftover, ignore_errors=True)
    shape.write(run)
    folder = export_run(
        run,
        repository,
        ExportOptions(name, 1, COMPARED_INPUTS, variants=shape.variants),
        say=lambda line: print(f"  {line}", flush=True),
    )
    for path in sorted(folder.glob("*.onnx")):
        findings.add(f"size of {path.name}, MB", round(path.stat().st_size / 1e6, 1))


def _text(layers: int, hidden: int, heads: int) -> Callable[[Path], object]:
    def write(run: Path) -> None:
        import torch
        from transformers import BertConfig, BertForSequenceClassification

        from support.tiny_bundle import compose_texts, write_outputs, write_run_files
        from support.tiny_text_model import build_tokenizer, spread_logits

        tokenizer = build_tokenizer()
        tokenizer.model_max_length = 512
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
            max_position_embeddings=512,
            initializer_range=0.3 if hidden < 100 else 0.05,
            id2label=dict(enumerate(LABELS)),
        )
        model = BertForSequenceClassification(config).eval()
        with torch.no_grad():
            spread_logits(model, tokenizer, 0)
        tokenizer.save_pretrained(run / "model")
        model.save_pretrained(run / "model")
        write_run_files(run, texts=compose_texts(40, seed=1), labels=LABELS, max_tokens=512)
        write_outputs(run, max_tokens=512)

    return write


def _image(family: str, edge: int, patch_size: int = 8, **tiny: Any) -> Callable[[Path], object]:
    def write(run: Path) -> None:
        from transformers import ResNetConfig, ViTConfig

        from support.tiny_image_run import write_image_run

        config = {"resnet": ResNetConfig, "vit": ViTConfig}[family](**tiny)  # theirs are ResNet-50 and ViT-B
        write_image_run(run, family, config=config, edge=edge, patch_size=patch_size)

    return write


def _table(run: Path) -> None:
    from support.tiny_table_run import write_table_run

    write_table_run(run)


SHAPES: dict[str, Shape] = {
    "minilm-l6": Shape("text", _text(6, 384, 12), _TEXT_BATCHES),
    "bert-base": Shape("text", _text(12, 768, 12), _TEXT_BATCHES),
    "resnet-50": Shape("image", _image("resnet", 224), _IMAGE_BATCHES),
    "vit-b": Shape("image", _image("vit", 224, patch_size=16), _IMAGE_BATCHES),
    "table": Shape("table", _table, _TABLE_BATCHES, variants=()),
    "tiny-text": Shape("text", _text(2, 32, 4), ((4, 16), (8, 16))),
    "tiny-image": Shape(
        "image",
        _image("resnet", 32, embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"),
        ((2, 1), (8, 1)),
    ),
}
ON_A_GPU = ("minilm-l6", "bert-base", "resnet-50", "vit-b", "table")
REHEARSED = ("tiny-text", "tiny-image", "table")
