"""What tests of whole training runs share."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from transformers import TrainerControl, TrainerState

from explicate_training.config.sections import OutputConfig
from explicate_training.loop.progress import StepProgress

MARKUP = "<script>alert('$x$')</script>"


class Interruption(StepProgress):
    """Somebody presses Ctrl-C at a step."""

    def __init__(self, at_step: int) -> None:
        super().__init__()
        self.at_step = at_step

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step == self.at_step:
            raise KeyboardInterrupt


def to_folder(config: Any, name: str) -> Any:
    """The same run, to another folder beside its own."""
    return replace(config, output=OutputConfig(str(Path(config.output.directory).parent / name), explained=0))


def weights(run: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a run's model."""
    return load_file(run / "model" / "model.safetensors")
