"""Models in Hugging Face directories: loaded whole, or refused."""

from pathlib import Path
from typing import Any  # transformers has no usable types

import torch

from explicate_export.errors import UsageError, first_line
from explicate_export.onnx_graph import quiet
from explicate_export.training_run import FinishedRun


def load_pretrained(run: FinishedRun, model_class: Any, *others: Any) -> list[Any]:
    """The run's model of an "AutoModelFor…" in float32, and what other classes find beside it, such as a tokenizer.

    Raises UsageError if one cannot be loaded, or the model lacks weights or contradicts run.json.
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
    return [model.eval(), *loaded]


def cannot_load(directory: Path, error: Exception) -> UsageError:
    """What to raise for a model that cannot be loaded."""
    return UsageError(f"{directory} cannot be loaded ({first_line(error)}): train again")
