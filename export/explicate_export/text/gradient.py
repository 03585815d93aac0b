"""The gradient of a text model as a graph of its own, gradient.onnx, which is compared with torch.

Sundararajan, Taly & Yan, Axiomatic Attribution for Deep Networks, ICML 2017: integrated gradients of a text x beside a
baseline x' are, for each token, the mean over α from 0 to 1 of the gradient at x' + α (x − x') along x − x', with the
tokens' embeddings as coordinates. The graph gives what is under the integral for one α; a server takes the mean.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # transformers has no usable types

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch.fx.experimental.proxy_tensor import make_fx

from explicate.v1 import bundle_pb2
from explicate_export.errors import ConversionError, ParityError, first_line
from explicate_export.onnx_graph import TorchGraph, in_unit, write_graph
from explicate_export.parity import largest
from explicate_export.text.model import TextModel

GRADIENTS, OUTPUT = "gradients", "output"
MAX_RELATIVE_DIFFERENCE = 1e-3
"""Of the graph from torch, as a part of the largest gradient of a text."""
_UNREAD = "attention_mask"  # the texts are never padded
_SIZES = (3, 7, 11)  # of the samples: tracing takes equal sizes for one, so rows, tokens and outputs have three
_TRIED = 4  # texts that the graph is compared on
_ADVICE = "export it without --gradient"
Scores = Callable[[torch.Tensor], torch.Tensor]
_SCORES: Mapping[str, Scores] = {
    "classification": lambda logits: logits.softmax(dim=-1),
    "multi-label": torch.sigmoid,
    "regression": lambda values: values,
}


@dataclass(frozen=True)
class GradientGraph:
    """The function that was written, and its file."""

    function: "_Gradient"
    graph: Path

    def check(self, rows: Sequence[NDArray[np.int64]], inputs: Sequence[str], mask_id: int) -> float:
        """The largest difference of the graph from torch on rows int64[inputs, length] of some texts, as a part of a
        text's largest gradient; raises ParityError if it is too large.
        """
        session: Any = onnxruntime.InferenceSession(str(self.graph), providers=["CPUExecutionProvider"])
        stream = np.random.Generator(np.random.Philox(0))
        differences = []
        for values in rows[:_TRIED]:
            row = dict(zip(inputs, values[:, np.newaxis], strict=True))
            row.pop(_UNREAD, None)
            weights = stream.normal(size=(2, 1, self.function.outputs)).astype(np.float32)
            feeds = {
                **row,
                "baseline_ids": np.full_like(row["input_ids"], mask_id),
                "scale": stream.random(1, dtype=np.float32),
                "output_weights": weights[0],
                "score_weights": weights[1],
            }
            told, _ = session.run([GRADIENTS, OUTPUT], {name: feeds[name] for name in self.function.names})
            own, _ = self.function(*(torch.from_numpy(feeds[name]) for name in self.function.names))
            differences.append(largest(told - own.numpy()) / max(largest(own.numpy()), 1e-9))
        found = max(differences)
        if not found <= MAX_RELATIVE_DIFFERENCE:
            raise ParityError(
                f"gradient.onnx and torch differ by up to {found:.2g} of a text's largest gradient, above "
                f"{MAX_RELATIVE_DIFFERENCE:g}: nothing was published; {_ADVICE}"
            )
        return found


def write_gradient(trained: TextModel, schema: bundle_pb2.TextSchema, objective: str, path: Path) -> GradientGraph:
    """Writes gradient.onnx of a model whose baseline is its mask token.

    Raises:
        ConversionError: the model has no mask token or no embeddings, or torch cannot express the gradient in ONNX.
    """
    if not schema.HasField("mask_id"):
        raise ConversionError(f"{trained.architecture} has no mask token to compare a text with: {_ADVICE}")
    function = _Gradient(trained, [name for name in schema.inputs if name != _UNREAD], _SCORES[objective])
    samples = function.samples(trained.model.config.vocab_size, schema.first_position)
    try:
        traced = make_fx(function, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*samples.values())
    except Exception as error:  # a tracer raises whatever a model raises
        raise ConversionError(
            f"torch cannot trace the gradient of {trained.architecture} ({first_line(error)}): {_ADVICE}"
        ) from error
    axes = {name: {0: "batch", 1: "length"} for name in samples}
    axes |= {"scale": {0: "batch"}, "output_weights": {0: "batch"}, "score_weights": {0: "batch"}}
    source = TorchGraph(
        module=_Traced(traced),
        name=f"the gradient of {trained.architecture}",
        samples=samples,
        dynamic_axes={},
        output_name=GRADIENTS,
        advice=_ADVICE,
        more_outputs=(OUTPUT,),
        axes_of=axes,
    )
    with torch.no_grad():  # the gradient is part of what was traced
        write_graph(source, path)
    return GradientGraph(function, path)


class _Gradient:
    """Gradients float32 [batch, length] along the difference of embeddings, and outputs float32 [batch, outputs]."""

    def __init__(self, trained: TextModel, inputs: Sequence[str], scores: Scores) -> None:
        self.outputs: int = trained.model.config.num_labels
        self.names = (*inputs, "baseline_ids", "scale", "output_weights", "score_weights")
        self._model, self._target, self._scores = trained.model, trained.target, scores
        self._model.requires_grad_(requires_grad=False)

    def samples(self, vocabulary: int, first_position: int) -> dict[str, torch.Tensor]:
        """An example of each input."""
        rows, tokens = [size for size in _SIZES if size != self.outputs][:2]
        ids = torch.arange(1, 1 + rows * tokens).reshape(rows, tokens) % vocabulary
        given = {
            "input_ids": ids,
            "position_ids": (first_position + torch.arange(tokens)).repeat(rows, 1),
            "token_type_ids": torch.zeros_like(ids),
            "baseline_ids": ids.flip(1),
            "scale": torch.full((rows,), 0.5),
            "output_weights": torch.ones(rows, self.outputs),
            "score_weights": torch.ones(rows, self.outputs),
        }
        return {name: given[name] for name in self.names}

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        given = dict(zip(self.names, inputs, strict=True))
        embed = self._model.get_input_embeddings()
        begin = embed(given["baseline_ids"])
        way = embed(given["input_ids"]) - begin
        point = (begin + given["scale"][:, None, None] * way).detach().requires_grad_(requires_grad=True)
        others = {name: given[name] for name in ("position_ids", "token_type_ids") if name in given}
        with torch.enable_grad():
            outputs = in_unit(self._model(inputs_embeds=point, **others).logits, self._target)
            total = (given["output_weights"] * outputs + given["score_weights"] * self._scores(outputs)).sum()
            (gradient,) = torch.autograd.grad(total, point)
        return (way * gradient).sum(dim=-1).detach(), outputs.detach()


class _Traced(torch.nn.Module):
    """What was traced, as a module with the inputs in the order of the samples."""

    def __init__(self, traced: torch.nn.Module) -> None:
        super().__init__()
        self.traced = traced

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gradients, outputs = self.traced(*inputs)
        return gradients, outputs
