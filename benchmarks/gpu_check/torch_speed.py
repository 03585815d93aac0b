"""The same models in torch on the same device: rows a second, and what `shap` takes of it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any  # torch's models, and values of several types

import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu_check.bare_graph import seconds
from benchmarks.gpu_check.findings import Findings
from benchmarks.gpu_check.random_models import SHAPES, Batch

_ROWS_OF_SHAP = 64


class TorchModel:
    """A run's model on a device, in fp32 or fp16."""

    def __init__(self, name: str, out: Path, device: str, *, half: bool = False) -> None:
        import torch

        self._torch, self.kind, self._device = torch, SHAPES[name].kind, device
        self.run = out / "runs" / name
        self.dtype = torch.float16 if half else torch.float32
        self.network: Any = self._load().train(False).to(device, self.dtype)

    def _load(self) -> Any:
        from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

        folder = self.run / "model"
        if self.kind == "text":
            return AutoModelForSequenceClassification.from_pretrained(folder)
        if self.kind == "image":
            return AutoModelForImageClassification.from_pretrained(folder)
        from explicate_training.table.saved_network import load_network

        return load_network(folder)

    def inputs(self, batch: Batch) -> list[Any]:
        """Random inputs on the device."""
        rows, length = batch
        torch, random = self._torch, np.random.Generator(np.random.Philox(rows * length))
        if self.kind == "text":
            ids = torch.from_numpy(random.integers(5, 300, (rows, length)))
            return [ids.to(self._device), torch.ones_like(ids).to(self._device)]
        if self.kind == "image":
            edge = self._edge
            return [torch.randn(rows, 3, edge, edge).to(self._device, self.dtype)]
        config = self.network.config
        numbers = torch.randn(rows, config.number_columns).to(self._device, self.dtype)
        return [numbers, torch.zeros(rows, len(config.category_counts), dtype=torch.int64).to(self._device)]

    def forward(self, network: Any, inputs: Sequence[Any]) -> Any:
        """Outputs on the CPU, which waits for the device."""
        with self._torch.inference_mode():
            answers = network(*inputs) if self.kind != "image" else network(pixel_values=inputs[0])
            return getattr(answers, "logits", answers).float().cpu()

    def probabilities_of_texts(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """float64[texts, classes], for shap."""
        encoded = self.tokenizer(list(texts), padding=True, truncation=True, max_length=512, return_tensors="pt")
        inputs = [encoded[name].to(self._device) for name in ("input_ids", "attention_mask")]
        return self._softmax(self.forward(self.network, inputs))

    def probabilities_of_pixels(self, pixels: NDArray[Any]) -> NDArray[np.float64]:
        """float64[images, classes] of pixels[images, height, width, 3] from 0 to 255, for shap."""
        parts = []
        for start in range(0, len(pixels), _ROWS_OF_SHAP):
            scaled = np.asarray(pixels[start : start + _ROWS_OF_SHAP], dtype=np.float32) / 255
            tensor = self._torch.from_numpy(scaled).permute(0, 3, 1, 2).to(self._device, self.dtype)
            parts.append(self._softmax(self.forward(self.network, [tensor])))
        return np.concatenate(parts)

    def probabilities_of_numbers(self, table: NDArray[Any], number_columns: int) -> NDArray[np.float64]:
        """float64[rows, classes] of rows whose first columns are numbers and whose others are codes, for shap."""
        numbers = self._torch.from_numpy(table[:, :number_columns].astype(np.float32)).to(self._device, self.dtype)
        codes = self._torch.from_numpy(table[:, number_columns:].astype(np.int64)).to(self._device)
        return self._softmax(self.forward(self.network, [numbers, codes]))

    def pixels(self, path: Path) -> NDArray[np.uint8]:
        """A picture as large as the model reads it, uint8[height, width, 3]."""
        from PIL import Image as Pictures

        with Pictures.open(path) as picture:
            return np.asarray(picture.convert("RGB").resize((self._edge, self._edge)))

    def rows(self) -> tuple[NDArray[np.float64], int]:
        """The held-out rows of a table, numbers first, then codes, and how many are numbers."""
        from google.protobuf import json_format

        from explicate.v1.training_run_pb2 import TrainingRun
        from support.run_files import read_lines
        from support.table_rows import encode

        record = json_format.Parse((self.run / "run.json").read_text(encoding="utf-8"), TrainingRun())
        encoded = encode([line["row"] for line in read_lines(self.run)], list(record.tabular.columns))
        return np.concatenate([encoded.numbers, encoded.codes], axis=1).astype(np.float64), encoded.numbers.shape[1]

    @property
    def tokenizer(self) -> Any:
        """Of a text model."""
        from transformers import AutoTokenizer

        if not hasattr(self, "_tokenizer"):
            self._tokenizer = AutoTokenizer.from_pretrained(self.run / "model")
        return self._tokenizer

    @property
    def _edge(self) -> int:
        return int(json.loads((self.run / "run.json").read_text(encoding="utf-8"))["image"]["width"])

    def _softmax(self, logits: Any) -> NDArray[np.float64]:
        return np.asarray(logits.softmax(dim=-1).numpy(), dtype=np.float64)


def check_torch(name: str, out: Path, device: str, findings: Findings, *, compiles: bool) -> None:
    """Rows a second in fp32 and fp16, and compiled at one shape if that is wanted; on a CPU in fp32 only."""
    torch_device = device.split(",")[0]
    precisions = ("fp32", "fp16") if torch_device.startswith("cuda") else ("fp32",)
    for precision in precisions:
        findings.part(f"torch in {precision}", lambda p=precision: _eager(name, out, torch_device, p, findings))  # type: ignore[misc]
    last = precisions[-1]
    if compiles:
        findings.part(f"compiled torch in {last}", lambda: _compiled(name, out, torch_device, last, findings))


def _eager(name: str, out: Path, device: str, precision: str, findings: Findings) -> None:
    model = TorchModel(name, out, device, half=precision == "fp16")
    for batch in SHAPES[name].batches:
        inputs = model.inputs(batch)
        found = batch[0] / seconds(_call(model, model.network, inputs))
        findings.add(f"rows/s, {batch[0]} x {batch[1]}, {precision}, torch", found)


def _compiled(name: str, out: Path, device: str, precision: str, findings: Findings) -> None:
    import torch

    model = TorchModel(name, out, device, half=precision == "fp16")
    batches = SHAPES[name].batches
    batch = batches[len(batches) // 2]  # one shape: each is compiled anew, in tens of seconds
    compiled = torch.compile(model.network, dynamic=False)
    found = batch[0] / seconds(_call(model, compiled, model.inputs(batch)))
    findings.add(f"rows/s, {batch[0]} x {batch[1]}, {precision}, torch compiled", found)


def _call(model: TorchModel, network: Any, inputs: Sequence[Any]) -> Callable[[], object]:
    return lambda: model.forward(network, inputs)
