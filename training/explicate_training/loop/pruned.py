"""Attention heads and channels that a model does without: chosen, silenced while it learns on, and taken out.

A silenced unit is one whose outgoing weights are zero: the model answers as if it were not there, and its files stay
those of the architecture, so that any library loads them. What was silenced is written into config.json
(`explicate_pruned`), and whoever loads a model takes it out by that: the answers stay the same, the matrices get
smaller. It imports torch only, as the export needs it, too.

Units are ranked by the size of their weights (structured magnitude pruning: Li and others 2017, "Pruning Filters for
Efficient ConvNets"): of a head the norm of W_O W_V, of a channel the norm of its outgoing weights times the scale that
its normalisation gives it (Liu and others 2017, "Network Slimming"). In each layer the same share goes, and one stays.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any  # configs of transformers

import torch
from torch import Tensor, nn

RECORD = "explicate_pruned"
"""In a model's config: the units that are silenced, by the name of the module they are in."""

Pruned = dict[str, list[int]]

_ATTENTION = (
    ("query", "key", "value"),  # BERT, RoBERTa, ELECTRA; their output layer is a sibling
    ("q_proj", "k_proj", "v_proj"),
    ("q_lin", "k_lin", "v_lin"),
    ("q", "k", "v"),
)
_OUTPUTS = ("o_proj", "out_proj", "out_lin", "o")
_WIDTHS = ("attention_head_size", "head_dim")
_COUNTS = ("num_attention_heads", "n_heads", "num_heads")
_SHRUNK = ("all_head_size", "dim")  # numbers of a module that are heads times width
_RESIDUAL = ("ResNetBasicLayer", "ResNetBottleNeckLayer")
_INVERTED = "MobileNetV2InvertedResidual"


@dataclass(frozen=True)
class Layer:
    """Units that may be taken out together: made by some modules, read by one.

    Attributes:
        name: of the module in the model.
        kind: "heads" or "channels".
        count: how many units there are.
        width: features of one.
        makers: modules whose outputs the units are.
        reader: the module that reads them; nothing else does.
        owner: the module whose attributes count them; None for channels.
    """

    name: str
    kind: str
    count: int
    width: int
    makers: tuple[nn.Module, ...]
    reader: nn.Linear | nn.Conv2d
    owner: nn.Module | None = None

    def features(self, units: Sequence[int]) -> Tensor:
        """The places of some units' features, int64."""
        return torch.tensor([unit * self.width + place for unit in units for place in range(self.width)])

    @torch.no_grad()
    def silence(self, units: Sequence[int]) -> None:
        """Lets nothing of some units out."""
        self.reader.weight[:, self.features(units)] = 0

    def keep_silent(self, units: Sequence[int]) -> None:
        """Takes the gradient of their outgoing weights away, so that AdamW and SGD leave them at zero."""
        features = self.features(units)

        def masked(gradient: Tensor) -> Tensor:
            left = gradient.clone()
            left[:, features.to(gradient.device)] = 0
            return left

        self.reader.weight.register_hook(masked)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def importance(self) -> Tensor:
        """float32 [count]; the larger, the more a unit can change."""
        out = self.reader.weight.flatten(2).transpose(1, 2) if self.reader.weight.ndim > 2 else self.reader.weight
        if self.kind == "heads":
            value = self.makers[-1].weight
            assert isinstance(value, Tensor)
            parts = zip(torch.split(out, self.width, dim=1), torch.split(value, self.width, dim=0), strict=True)
            return torch.stack([torch.linalg.matrix_norm(o @ v) for o, v in parts])
        sizes: Tensor = torch.linalg.vector_norm(out.reshape(-1, out.shape[-1]), dim=0)
        for maker in self.makers:
            if isinstance(maker, nn.BatchNorm2d):
                sizes = sizes * maker.weight.abs()
        return sizes

    @torch.no_grad()
    def take_out(self, units: Sequence[int]) -> None:
        """Makes the modules smaller, in place."""
        gone = set(units)
        kept = self.features([unit for unit in range(self.count) if unit not in gone])
        for maker in self.makers:
            _shrink_outputs(maker, kept)
        self.reader.weight = nn.Parameter(self.reader.weight[:, kept].contiguous())
        setattr(self.reader, "in_features" if isinstance(self.reader, nn.Linear) else "in_channels", len(kept))
        for name in _COUNTS:
            if isinstance(getattr(self.owner, name, None), int):
                setattr(self.owner, name, self.count - len(gone))
        for name in _SHRUNK:
            if isinstance(getattr(self.owner, name, None), int):
                setattr(self.owner, name, len(kept))


def layers(model: nn.Module) -> list[Layer]:
    """What may be taken out of a model; empty for an architecture that is not known."""
    return [*_attention_layers(model), *_channel_layers(model)]


def choose(found: Sequence[Layer], share: float) -> Pruned:
    """The least important share of each layer's units, rounded to a whole number, by the layer's name."""
    chosen: Pruned = {}
    for layer in found:
        count = min(layer.count - 1, int(layer.count * share + 0.5))
        if count:
            chosen[layer.name] = sorted(torch.argsort(layer.importance(), stable=True)[:count].tolist())
    return chosen


def silence(model: nn.Module, chosen: Mapping[str, Sequence[int]], *, learning: bool = False) -> None:
    """Silences units; if `learning`, further steps leave them so."""
    for layer in layers(model):
        units = chosen.get(layer.name, ())
        if units:
            layer.silence(units)
            if learning:
                layer.keep_silent(units)


def record(model: nn.Module, chosen: Pruned) -> None:
    """Writes what is silenced into the model's config."""
    setattr(_config(model), RECORD, chosen)


def take_out_silenced(model: nn.Module) -> int:
    """Takes out what a model's config says is silenced, in place; returns how many units.

    Raises ValueError if the record does not fit the model, or a unit that it names is not silent.
    """
    chosen: Pruned = getattr(_config(model), RECORD, None) or {}
    known = {layer.name: layer for layer in layers(model)}
    for name, units in chosen.items():
        layer = known.get(name)
        if layer is None or len(set(units)) >= layer.count or not all(0 <= unit < layer.count for unit in units):
            raise ValueError(f"config.json says {RECORD} {name!r}: {units!r}, which the model does not have")
        if bool(layer.reader.weight[:, layer.features(units)].any()):
            raise ValueError(f"config.json says that units of {name!r} are silent, and their weights are not 0")
        layer.take_out(units)
    return sum(map(len, chosen.values()))


@contextmanager
def taken_out(model: nn.Module, chosen: Mapping[str, Sequence[int]]) -> Iterator[None]:
    """A model without some units, as an export makes it; afterwards it is as before, silenced or not."""
    found = [layer for layer in layers(model) if chosen.get(layer.name)]
    touched = {id(one): one for layer in found for one in (*layer.makers, layer.reader, layer.owner) if one is not None}
    before = [
        (one, {**vars(one), "_parameters": dict(one._parameters), "_buffers": dict(one._buffers)})
        for one in touched.values()
    ]
    try:
        for layer in found:
            layer.take_out(chosen[layer.name])
        yield
    finally:
        for one, state in before:
            vars(one).clear()
            vars(one).update(state)


def _config(model: nn.Module) -> Any:
    config = getattr(model, "config", None)
    return config if config is not None else getattr(model, "model").config  # noqa: B009 - nn.Module has no such field


def _attention_layers(model: nn.Module) -> Iterator[Layer]:
    modules = dict(model.named_modules())
    for name, module in modules.items():
        for names in _ATTENTION:
            makers = tuple(getattr(module, each, None) for each in names)
            reader = _reader(module, modules.get(name.rpartition(".")[0]))
            if reader is not None and all(isinstance(maker, nn.Linear) for maker in makers):
                width = _width(module, reader)
                if width and all(maker.out_features == reader.in_features for maker in makers if maker is not None):
                    linear = tuple(maker for maker in makers if maker is not None)
                    yield Layer(name, "heads", reader.in_features // width, width, linear, reader, module)


def _reader(module: nn.Module, parent: nn.Module | None) -> nn.Linear | None:
    """The linear layer that reads the heads of an attention module."""
    own = (getattr(module, name, None) for name in _OUTPUTS)
    beside = getattr(getattr(parent, "output", None), "dense", None)
    return next((one for one in (*own, beside) if isinstance(one, nn.Linear)), None)


def _width(module: nn.Module, reader: nn.Linear) -> int:
    """Features of a head; 0 if the module does not say."""
    for name in _WIDTHS:
        if isinstance(width := getattr(module, name, None), int):
            return width
    for name in _COUNTS:
        if isinstance(count := getattr(module, name, None), int):
            return reader.in_features // count
    return 0


def _channel_layers(model: nn.Module) -> Iterator[Layer]:
    """Channels inside residual blocks: nothing outside of a block sees them."""
    for name, module in model.named_modules():
        kind = type(module).__name__
        if kind in _RESIDUAL:
            inner = list(module.layer.children())
            for place, (first, second) in enumerate(pairwise(inner)):
                yield _channels(f"{name}.layer.{place}", [first], second)
        elif kind == _INVERTED:
            yield _channels(name, [module.expand_1x1, module.conv_3x3], module.reduce_1x1)


def _channels(name: str, makers: Sequence[Any], reader: Any) -> Layer:
    """Of blocks that each have a convolution and its normalisation."""
    parts = [part for block in makers for part in (block.convolution, block.normalization) if part is not None]
    return Layer(name, "channels", reader.convolution.in_channels, 1, tuple(parts), reader.convolution)


def _shrink_outputs(module: nn.Module, kept: Tensor) -> None:
    """Keeps some of a module's output features; of a depthwise convolution its inputs, too."""
    for name in ("weight", "bias"):
        values = getattr(module, name, None)
        if isinstance(values, Tensor):
            setattr(module, name, nn.Parameter(values[kept].contiguous()))
    count = len(kept)
    if isinstance(module, nn.Linear):
        module.out_features = count
    elif isinstance(module, nn.Conv2d):
        if module.groups == module.in_channels > 1:
            module.groups = module.in_channels = count
        module.out_channels = count
    elif isinstance(module, nn.BatchNorm2d):
        for name in ("running_mean", "running_var"):
            setattr(module, name, module.get_buffer(name)[kept].contiguous())
        module.num_features = count
