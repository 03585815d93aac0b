"""An image classifier, pretrained with a new last layer or new altogether, and how it reads pixels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # configs of transformers

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    MobileNetV2Config,
    PreTrainedModel,
    ResNetConfig,
    ViTConfig,
    set_seed,
)
from transformers.image_processing_base import ImageProcessingMixin

from explicate.errors import UsageError
from explicate_bundle.images import Pixels, Preparation
from explicate_training.image.config import ImageModelConfig
from explicate_training.image.processor import ImageProcessor, read_processor
from explicate_training.loop.pretrained import cannot_load, model_folder

_PREDICTION_ROWS = 64
_NEW_VIT_PATCH, _NEW_VIT_HEAD = 4, 16
_MOST_PATCHES = 1024  # more are no players of an explanation
_NEW = "new "
_MAPS = 4  # axes of what a convolution makes


class PixelsToLogits(nn.Module):
    """The model with what is done to pixels before it: uint8 [batch, height, width, 3] to float32 [batch, outputs]."""

    def __init__(self, model: PreTrainedModel, processor: ImageProcessor, *, frozen: bool = False) -> None:
        super().__init__()
        self.model = model
        self.frozen = frozen
        scale = [processor.rescale / std for std in processor.std]
        shift = [-mean / std for mean, std in zip(processor.mean, processor.std, strict=True)]
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self.register_buffer("shift", torch.tensor(shift), persistent=False)
        if frozen:
            backbone = model.base_model
            if backbone is model:
                raise UsageError("model.trained is head, but this model has no backbone apart from its head: train all")
            backbone.requires_grad_(False)

    def forward(self, pixels: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:  # noqa: ARG002 - the Trainer looks for the name
        return {"logits": self.model(pixel_values=self._normal(pixels)).logits}

    def backbone_states(self, pixels: Tensor) -> Tensor:
        """What the backbone makes of them: maps [batch, channels, height, width], or tokens [batch, tokens, size]."""
        states: Tensor = self.model.base_model(pixel_values=self._normal(pixels))[0]
        return states

    def _normal(self, pixels: Tensor) -> Tensor:
        return (pixels.float() * self.get_buffer("scale") + self.get_buffer("shift")).permute(0, 3, 1, 2)

    def train(self, mode: bool = True) -> "PixelsToLogits":
        """As any module's, but a frozen backbone keeps the means that its normalisation has learnt."""
        super().train(mode)
        if self.frozen:
            self.model.base_model.train(False)
        return self


@dataclass(frozen=True)
class ImageModel:
    """A model of images."""

    network: PixelsToLogits
    processor: ImageProcessor
    base: str  # where it came from

    @property
    def patch_size(self) -> int:
        """Pixels of the edge of the square patches that the model reads; 0 when it has none that divide its pixels."""
        size = getattr(self.network.model.config, "patch_size", 0)
        preparation = self.processor.preparation
        if not isinstance(size, int) or size <= 1 or preparation.width % size or preparation.height % size:
            return 0
        return size if preparation.width * preparation.height <= _MOST_PATCHES * size**2 else 0

    @property
    def normalises_batches(self) -> bool:
        """Whether what it learns of an image depends on the others of its batch."""
        self.network.train()
        return any(isinstance(module, nn.BatchNorm2d) and module.training for module in self.network.modules())

    @torch.no_grad()
    def operations(self) -> int:
        """Floating point operations of one image's answer."""
        self.network.train(False)
        preparation = self.processor.preparation
        with FlopCounterMode(display=False) as counter:
            self.network(torch.zeros((1, preparation.height, preparation.width, 3), dtype=torch.uint8))
        return int(counter.get_total_flops())

    @torch.no_grad()
    def predict(self, pixels: Pixels, places: NDArray[np.intp]) -> NDArray[np.float32]:
        """Answers float32 [places, outputs] of some of the pixels, in fp32 arithmetic: as exported."""
        self.network.train(False)
        device = next(self.network.parameters()).device
        parts = [
            self.network(torch.from_numpy(pixels[places[start : start + _PREDICTION_ROWS]]).to(device))["logits"]
            for start in range(0, len(places), _PREDICTION_ROWS)
        ]
        outputs: NDArray[np.float32] = torch.cat(parts).float().cpu().numpy()
        return outputs

    @torch.no_grad()
    def features(self, pixels: Pixels, places: NDArray[np.intp]) -> NDArray[np.float32]:
        """What the backbone makes of some of the pixels, float32 [places, features]: the mean over places or tokens."""
        self.network.train(False)
        device = next(self.network.parameters()).device
        parts = []
        for start in range(0, len(places), _PREDICTION_ROWS):
            batch = torch.from_numpy(pixels[places[start : start + _PREDICTION_ROWS]]).to(device)
            states = self.network.backbone_states(batch).float()
            parts.append(states.flatten(2).mean(dim=2) if states.dim() == _MAPS else states.mean(dim=1))
        features: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
        return features

    def save(self, directory: Path) -> None:
        """Writes config.json, model.safetensors and preprocessor_config.json: a directory that can be a base again."""
        self.network.model.save_pretrained(directory)
        text = json.dumps(self.processor.as_json(), indent=2)
        (directory / "preprocessor_config.json").write_text(text + "\n", encoding="utf-8")


def load_processor(config: ImageModelConfig) -> ImageProcessor:
    """How images become pixels of the configured model; raises UsageError when the base does not say."""
    if config.architecture:
        return ImageProcessor(Preparation(config.image_size, config.image_size))
    try:
        settings, _ = ImageProcessingMixin.get_image_processor_dict(model_folder(config.base))
    except (OSError, ValueError) as error:
        raise UsageError(_cannot_load(config.base, error)) from error
    return read_processor(settings, config.base)


def load_image_model(
    config: ImageModelConfig, processor: ImageProcessor, outputs: Sequence[str], *, seed: int, problem_type: str
) -> ImageModel:
    """The base model with a new last layer for the named `outputs`, or a new model, initialised from `seed`.

    Weights are read from safetensors only, and no code of the model's authors is run. Raises UsageError when the base
    cannot be loaded, or does not read such pixels.
    """
    set_seed(seed)
    if config.architecture:
        settings = _NEW_CONFIGS[config.architecture](config)
        _name_outputs(settings, outputs, problem_type)
        model = AutoModelForImageClassification.from_config(settings)  # type: ignore[no-untyped-call]
    else:
        model = _pretrained(config.base, outputs, problem_type)
    network = PixelsToLogits(model.float(), processor, frozen=config.trained == "head")
    _check_reading(network, processor, config)
    base = config.base or f"{_NEW}{config.architecture}"
    return ImageModel(network, processor, base)


def _pretrained(base: str, outputs: Sequence[str], problem_type: str) -> PreTrainedModel:
    try:
        settings = AutoConfig.from_pretrained(model_folder(base), trust_remote_code=False)
        _name_outputs(settings, outputs, problem_type)
        model: PreTrainedModel = AutoModelForImageClassification.from_pretrained(
            model_folder(base),
            config=settings,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # a classifier for other classes gets a new last layer
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UsageError(_cannot_load(base, error)) from error
    return model


def _name_outputs(settings: Any, outputs: Sequence[str], problem_type: str) -> None:
    settings.id2label = dict(enumerate(outputs))
    settings.label2id = {name: index for index, name in enumerate(outputs)}
    settings.problem_type = problem_type


def _cannot_load(base: str, error: Exception) -> str:
    return cannot_load(
        base,
        error,
        model_class="AutoModelForImageClassification",
        advice="give a directory with config.json, model.safetensors and preprocessor_config.json, a hub name that can "
        "be reached, or set model.architecture instead",
    )


@torch.no_grad()
def _check_reading(network: PixelsToLogits, processor: ImageProcessor, config: ImageModelConfig) -> None:
    preparation = processor.preparation
    try:
        network.train(False)
        network(torch.zeros((1, preparation.height, preparation.width, 3), dtype=torch.uint8))
    except (RuntimeError, ValueError) as error:
        what = (
            f"model.base: {config.base}" if config.base else "model.image_size, model.width and model.depth: the model"
        )
        raise UsageError(
            f"{what} does not read images of {preparation.width} x {preparation.height} pixels "
            f"({' '.join(str(error).split())[:200]})"
        ) from None


def _new_resnet(config: ImageModelConfig) -> ResNetConfig:
    return ResNetConfig(
        embedding_size=config.width,
        hidden_sizes=[config.width * 2**stage for stage in range(config.depth)],
        depths=[1] * config.depth,
        layer_type="basic",
    )


def _new_vit(config: ImageModelConfig) -> ViTConfig:
    return ViTConfig(
        hidden_size=config.width,
        num_hidden_layers=config.depth,
        num_attention_heads=max(1, config.width // _NEW_VIT_HEAD) if config.width % _NEW_VIT_HEAD == 0 else 1,
        intermediate_size=2 * config.width,
        image_size=config.image_size,
        patch_size=_NEW_VIT_PATCH,
    )


def _new_mobilenet_v2(config: ImageModelConfig) -> MobileNetV2Config:
    return MobileNetV2Config(depth_multiplier=config.width / 32, image_size=config.image_size, tf_padding=False)


_NEW_CONFIGS = {"resnet": _new_resnet, "vit": _new_vit, "mobilenet-v2": _new_mobilenet_v2}
