"""The torch model as one ONNX file: weights inside, dynamic batch and length, positions as an input."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any  # torch modules and tensors of any model

import torch

from explicate_export.errors import ConversionError
from explicate_export.quiet import quiet
from explicate_export.torch_model import TorchModel, first_line

OUTPUT_NAME = "logits"
# Protocol buffers cannot be larger, and the weights are inside; what is not weights stays below the margin.
MAX_FILE_BYTES = 2**31 - 1
_MARGIN_BYTES = 16 * 2**20
_SAMPLE_ROWS, _SAMPLE_TOKENS = 2, 7  # any sizes above 1 will do; 1 would be taken for a constant


class _Logits(torch.nn.Module):
    """Calls the model with named inputs and returns its logits alone."""

    def __init__(self, model: Any, input_names: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.input_names = tuple(input_names)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(**dict(zip(self.input_names, inputs, strict=True))).logits
        return logits


def write_graph(torch_model: TorchModel, input_names: Sequence[str], first_position: int, path: Path) -> None:
    """Writes `path`: inputs int64 [batch, length] by those names, output "logits" float32 [batch, classes].

    Raises ConversionError when the model is too large for one file, or when torch cannot express it in ONNX.
    """
    _check_size(torch_model)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    try:
        with quiet():
            program = torch.onnx.export(
                _Logits(torch_model.model, input_names).eval(),
                _sample_inputs(input_names, first_position),
                input_names=list(input_names),
                output_names=[OUTPUT_NAME],
                dynamic_shapes=(tuple(axes for _ in input_names),),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter raises whatever its passes raise
        raise ConversionError(
            f"torch cannot convert {torch_model.architecture} to ONNX ({first_line(error)}): "
            "train with another base model, such as BERT, RoBERTa, DistilBERT or ELECTRA"
        ) from error
    if program is None:
        raise ConversionError(f"torch made no ONNX program of {torch_model.architecture}")
    graph = program.model_proto
    _strip(graph)
    path.write_bytes(graph.SerializeToString(deterministic=True))


def _check_size(torch_model: TorchModel) -> None:
    weight_bytes = sum(parameter.numel() * 4 for parameter in torch_model.model.parameters())
    if weight_bytes + _MARGIN_BYTES > MAX_FILE_BYTES:
        raise ConversionError(
            f"the model has {weight_bytes / 2**30:.1f} GiB of weights and a bundle's model.onnx can hold 2 GiB: "
            "train with a smaller base model"
        )


def _sample_inputs(input_names: Sequence[str], first_position: int) -> tuple[torch.Tensor, ...]:
    shape = (_SAMPLE_ROWS, _SAMPLE_TOKENS)
    attention = torch.ones(shape, dtype=torch.int64)
    attention[1, -2:] = 0  # some padding, so that the mask is not taken for a constant
    samples = {
        "input_ids": torch.arange(1, 1 + _SAMPLE_ROWS * _SAMPLE_TOKENS).reshape(shape),
        "attention_mask": attention,
        "position_ids": (first_position + torch.arange(_SAMPLE_TOKENS)).repeat(_SAMPLE_ROWS, 1),
        "token_type_ids": torch.zeros(shape, dtype=torch.int64),
    }
    return tuple(samples[name] for name in input_names)


def _strip(model: Any) -> None:
    """Takes out what running does not need: traces with file names of this machine, and inferred shapes."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
