"""A torch module as one ONNX file: weights inside, the axes that vary dynamic, named inputs."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # torch modules of any model, and onnx's messages

import torch
from transformers.utils import logging as transformers_logging

from explicate.v1.training_run_pb2 import TargetScale
from explicate_export.errors import ConversionError, UsageError, first_line
from explicate_export.training_run import FinishedRun
from explicate_training.loop.pruned import take_out_silenced


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, nothing but exceptions gets out; afterwards everything is as before."""
    disabled_level = logging.root.manager.disable
    bars = transformers_logging.is_progress_bar_enabled()
    logging.disable(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled_level)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


# Protocol buffers cannot be larger, and the weights are inside; what is not weights stays below the margin.
MAX_FILE_BYTES = 2**31 - 1
_MARGIN_BYTES = 16 * 2**20


@dataclass(frozen=True)
class GraphSource:
    """What becomes a graph."""

    module: torch.nn.Module  # takes the inputs in the samples' order, and returns a tensor for each output
    name: str  # of the model, for messages
    samples: Mapping[str, torch.Tensor]  # by input name; sizes above 1 on the dynamic axes, or they turn constant
    dynamic_axes: Mapping[int, str]  # of every input
    output_name: str
    advice: str  # what to do when it cannot be converted
    more_outputs: tuple[str, ...] = ()  # names of what it returns besides, which predictions do not ask for


def write_graph(source: GraphSource, path: Path) -> None:
    """Writes `path`.

    Raises ConversionError when the model is too large for one file, or when torch cannot express it in ONNX.
    """
    _check_size(source.module)
    axes = {axis: torch.export.Dim(name) for axis, name in source.dynamic_axes.items()}
    try:
        with quiet():
            program = torch.onnx.export(
                source.module.eval(),
                tuple(source.samples.values()),
                input_names=list(source.samples),
                output_names=[source.output_name, *source.more_outputs],
                dynamic_shapes=(tuple(axes for _ in source.samples),),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter raises whatever its passes raise
        raise ConversionError(
            f"torch cannot convert {source.name} to ONNX ({first_line(error)}): {source.advice}"
        ) from error
    if program is None:
        raise ConversionError(f"torch made no ONNX program of {source.name}: {source.advice}")
    graph = program.model_proto
    _strip(graph)
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


def load_pretrained(run: FinishedRun, model_class: Any, *others: Any) -> list[Any]:
    """The run's model of an "AutoModelFor…" in float32, and what other classes find beside it, such as a tokenizer.

    Heads and channels that training silenced are taken out. Raises UsageError if one cannot be loaded, or the model
    lacks weights or contradicts run.json.
    """
    directory = run.model_directory
    try:
        with quiet():
            model, report = model_class.from_pretrained(
                directory,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                # The graph with the fewest nodes: 216 for MiniLM-L6, against 288 of "sdpa". Which of them is faster in
                # ONNX Runtime was not settled on a busy machine (batches +3 to +9 %, one row -13 to +9 %).
                attn_implementation="eager",
                output_loading_info=True,
            )
            loaded = [other.from_pretrained(directory, local_files_only=True) for other in others]
    except Exception as error:  # transformers passes on whatever its parts raise
        raise cannot_load(directory, error) from error
    if report["missing_keys"]:
        raise UsageError(f"{directory} lacks weights, {sorted(report['missing_keys'])[0]!r} among them: train again")
    run.check_outputs(model.config.num_labels, model.config.id2label)
    try:
        take_out_silenced(model)
    except ValueError as error:
        raise UsageError(f"{directory}: {error}: train again") from None
    return [model.eval(), *loaded]


def cannot_load(directory: Path, error: Exception) -> UsageError:
    """What to raise for a model that cannot be loaded."""
    return UsageError(f"{directory} cannot be loaded ({first_line(error)}): train again")
