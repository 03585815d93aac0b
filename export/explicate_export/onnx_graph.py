"""A torch module as one ONNX file: weights inside, the axes that vary dynamic, named inputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # torch modules of any model

import torch

from explicate.v1.training_run_pb2 import TargetScale
from explicate_export.errors import ConversionError, UsageError, first_line
from explicate_export.ready_graph import MAX_FILE_BYTES, quiet, strip
from explicate_export.training_run import FinishedRun
from explicate_training.loop.pruned import take_out_silenced

_MARGIN_BYTES = 16 * 2**20


@dataclass(frozen=True)
class TorchGraph:
    """A torch module that becomes a graph."""

    module: torch.nn.Module  # takes the inputs in the samples' order, and returns a tensor for each output
    name: str  # of the model, for messages
    samples: Mapping[str, torch.Tensor]  # by input name; sizes above 1 on the dynamic axes, or they turn constant
    dynamic_axes: Mapping[int, str]  # of every input
    output_name: str
    advice: str  # what to do when it cannot be converted
    more_outputs: tuple[str, ...] = ()  # names of what it returns besides, which predictions do not ask for
    axes_of: Mapping[str, Mapping[int, str]] = field(default_factory=dict)  # where an input has others, by its name

    def write(self, path: Path) -> None:
        """See `ready_graph.GraphSource`."""
        write_graph(self, path)


def write_graph(source: TorchGraph, path: Path) -> None:
    """Writes `path`.

    Raises ConversionError when the model is too large for one file, or when torch cannot express it in ONNX.
    """
    _check_size(source.module)
    names = {name for axes in (source.dynamic_axes, *source.axes_of.values()) for name in axes.values()}
    sizes = {name: torch.export.Dim(name) for name in sorted(names)}
    axes = [
        {axis: sizes[size] for axis, size in source.axes_of.get(name, source.dynamic_axes).items()}
        for name in source.samples
    ]
    try:
        with quiet():
            program = torch.onnx.export(
                source.module.eval(),
                tuple(source.samples.values()),
                input_names=list(source.samples),
                output_names=[source.output_name, *source.more_outputs],
                dynamic_shapes=(tuple(axes),),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter raises whatever its passes raise
        raise ConversionError(
            f"torch cannot convert {source.name} to ONNX ({first_line(error.__cause__ or error)}): {source.advice}"
        ) from error
    if program is None:
        raise ConversionError(f"torch made no ONNX program of {source.name}: {source.advice}")
    graph = program.model_proto
    strip(graph)
    path.write_bytes(graph.SerializeToString(deterministic=True))


def in_unit(answers: torch.Tensor, target: TargetScale | None) -> torch.Tensor:
    """A regression's answers in the unit of its target; logits as they are."""
    return answers if target is None else answers * target.spread + target.mean


def _check_size(module: torch.nn.Module) -> None:
    weight_bytes = sum(parameter.numel() * 4 for parameter in module.parameters())
    if weight_bytes + _MARGIN_BYTES > MAX_FILE_BYTES:
        raise ConversionError(
            f"the model has {weight_bytes / 2**30:.1f} GiB of weights and a bundle's model.onnx can hold 2 GiB: "
            "train a smaller one"
        )


def load_pretrained(run: FinishedRun, model_class: Any, *others: Any) -> list[Any]:
    """The run's model of an "AutoModelFor…" in float32, and what other classes find beside it, such as a tokenizer.

    Heads and channels that training silenced are taken out. Raises UsageError if one cannot be loaded, or the model
    lacks weights or contradicts run.json.
    """
    directory = run.model_directory
    model, *loaded = read_pretrained(directory, model_class, *others)
    run.check_outputs(model.config.num_labels, model.config.id2label)
    try:
        take_out_silenced(model)
    except ValueError as error:
        raise UsageError(f"{directory}: {error}: train again") from None
    return [model, *loaded]


def read_pretrained(
    directory: Path, model_class: Any, *others: Any, safe: bool = True, mend: str = "train again"
) -> list[Any]:
    """A directory's model of an "AutoModelFor…" in float32, and what other classes find beside it.

    Weights are safetensors, or, if not `safe`, what torch reads without unpickling objects; no code of the directory is
    run. Raises UsageError, which ends with how to `mend` it, if one cannot be loaded or the model lacks weights.
    """
    try:
        with quiet():
            model, report = model_class.from_pretrained(
                directory,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=safe,
                weights_only=True,
                dtype=torch.float32,
                # The graph with the fewest nodes: 216 for MiniLM-L6, against 288 of "sdpa". Which of them is faster in
                # ONNX Runtime was not settled on a busy machine (batches +3 to +9 %, one row -13 to +9 %).
                attn_implementation="eager",
                output_loading_info=True,
            )
            loaded = [
                other.from_pretrained(directory, local_files_only=True, trust_remote_code=False) for other in others
            ]
    except Exception as error:  # transformers passes on whatever its parts raise
        raise cannot_load(directory, error, mend=mend) from error
    if report["missing_keys"]:
        raise UsageError(f"{directory} lacks weights, {sorted(report['missing_keys'])[0]!r} among them: {mend}")
    return [model.eval(), *loaded]


def cannot_load(directory: Path, error: Exception, *, mend: str = "train again") -> UsageError:
    """What to raise for a model that cannot be loaded."""
    return UsageError(f"{directory} cannot be loaded ({first_line(error)}): {mend}")
