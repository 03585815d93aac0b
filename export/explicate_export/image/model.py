"""The trained model of images in torch: loading it, what the graph does to pixels, and its answers as the reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any  # transformers has no usable types

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForImageClassification

from explicate.v1.training_run_pb2 import PixelNormalisation, TargetScale
from explicate_export.errors import UsageError, first_line
from explicate_export.onnx_graph import GraphSource, in_unit
from explicate_export.pretrained import load_pretrained
from explicate_export.training_run import FinishedRun

PIXELS_NAME = "pixels"
_REFERENCE_BATCH_ROWS = 32
_SAMPLE_ROWS = 2  # any number above 1 will do


@dataclass(frozen=True)
class ImageModel:
    """A Hugging Face image classifier in float32, with the normalisation before it."""

    module: "NormalisedModel"
    architecture: str  # class name, such as "ResNetForImageClassification"
    width: int
    height: int

    @torch.no_grad()
    def outputs(self, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """float32 [images, outputs] of uint8 [height, width, 3] each, as the model answers in training."""
        parts = [
            self.module(torch.from_numpy(np.stack(pixels[start : start + _REFERENCE_BATCH_ROWS]))).numpy()
            for start in range(0, len(pixels), _REFERENCE_BATCH_ROWS)
        ]
        return np.concatenate(parts)

    def operations(self) -> int:
        """Floating point operations that one image takes; the same on every machine."""
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            self.module(self._sample(1))
        return int(counter.get_total_flops())

    def graph_source(self, output_name: str) -> GraphSource:
        """The graph: uint8 "pixels" [batch, height, width, 3] to float32 [batch, outputs]."""
        return GraphSource(
            module=self.module,
            name=self.architecture,
            samples={PIXELS_NAME: self._sample(_SAMPLE_ROWS)},
            dynamic_axes={0: "batch"},
            output_name=output_name,
            advice="train with another base model, such as a ResNet, ViT or MobileNetV2",
        )

    def _sample(self, rows: int) -> Tensor:
        pixels = torch.arange(rows * self.height * self.width * 3) % 256
        return pixels.to(torch.uint8).reshape(rows, self.height, self.width, 3)


class NormalisedModel(torch.nn.Module):
    """Scales and normalises pixels, puts the channels first, and returns the model's logits, or values, alone."""

    def __init__(self, model: Any, normalisation: PixelNormalisation, target: TargetScale | None) -> None:
        super().__init__()
        self.model = model
        self.target = target
        scale = [normalisation.rescale / std for std in normalisation.std]
        shift = [-mean / std for mean, std in zip(normalisation.mean, normalisation.std, strict=True)]
        self.register_buffer("scale", torch.tensor(scale))
        self.register_buffer("shift", torch.tensor(shift))

    def forward(self, *inputs: Tensor) -> Tensor:  # as all modules that become graphs: any number of inputs, here one
        (pixels,) = inputs
        normalised = pixels.to(torch.float32) * self.get_buffer("scale") + self.get_buffer("shift")
        logits: Tensor = self.model(pixel_values=normalised.permute(0, 3, 1, 2)).logits
        return in_unit(logits, self.target)


def load(run: FinishedRun) -> ImageModel:
    """Loads the run's model; raises UsageError when it does not fit what run.json says."""
    (model,) = load_pretrained(run, AutoModelForImageClassification)
    module = NormalisedModel(model, run.record.normalisation, run.target_scale).eval()
    schema = run.record.image
    trained = ImageModel(module, type(model).__name__, schema.width, schema.height)
    blank = np.zeros((schema.height, schema.width, 3), dtype=np.uint8)
    try:
        trained.outputs([blank])
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"{run.model_directory} does not read images of {schema.width} x {schema.height} pixels "
            f"({first_line(error)}): train again"
        ) from error
    return trained
