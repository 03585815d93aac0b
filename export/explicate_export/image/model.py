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

from explicate_export.errors import UsageError
from explicate_export.image.run import ImageRun, Normalisation
from explicate_export.onnx_graph import GraphSource, first_line, in_unit, quiet
from explicate_export.training_run import Target

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

    def __init__(self, model: Any, normalisation: Normalisation, target: Target | None) -> None:
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


def load(run: ImageRun) -> ImageModel:
    """Loads the run's model; raises UsageError when it does not fit what run.json says."""
    directory = run.training.model_directory
    try:
        with quiet():
            model, report = AutoModelForImageClassification.from_pretrained(
                directory,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                attn_implementation="eager",  # as for texts, the graph with the fewest nodes
                output_loading_info=True,
            )
    except Exception as error:  # transformers passes on whatever its parts raise
        raise UsageError(f"{directory} cannot be loaded ({first_line(error)}): train again") from error
    if report["missing_keys"]:
        raise UsageError(f"{directory} lacks weights, {sorted(report['missing_keys'])[0]!r} among them: train again")
    module = NormalisedModel(model, run.normalisation, run.target).eval()
    trained = ImageModel(module, type(model).__name__, run.schema.width, run.schema.height)
    _check_outputs(trained, run)
    return trained


def _check_outputs(trained: ImageModel, run: ImageRun) -> None:
    wanted = len(run.labels) or 1
    blank = np.zeros((run.schema.height, run.schema.width, 3), dtype=np.uint8)
    try:
        outputs = trained.outputs([blank]).shape[1]
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"{run.training.model_directory} does not read images of {run.schema.width} x {run.schema.height} pixels "
            f"({first_line(error)}): train again"
        ) from error
    if outputs != wanted:
        raise UsageError(
            f"{run.training.directory} is not consistent: run.json says {wanted} outputs and the model has {outputs}, "
            "so train again"
        )
    named = [str(trained.module.model.config.id2label.get(index)) for index in range(outputs)]
    if set(named) == set(run.labels) and tuple(named) != run.labels:
        raise UsageError(
            f"{run.training.directory} is not consistent: run.json orders the labels {list(run.labels)} and the model "
            f"{named}, so train again"
        )
