"""What a run says while it works: lines, and for the steps a bar on a terminal or a line every few seconds.

All of it goes to stderr.
"""

# ruff: noqa: ARG002 - the Trainer hands its callbacks their arguments by name, wanted or not

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO  # Any: values that the Trainer hands to its callbacks

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_SECONDS_BETWEEN_LINES = 5.0
_SECONDS_BETWEEN_VALIDATIONS = 1.0  # a small model is validated many times a second
# Metrics that a validation's line shows, those there are.
_SHOWN = {"loss": "loss", "accuracy": "accuracy", "f1_macro": "macro F1", "auroc": "AUROC", "r2": "R²", "mae": "MAE"}


class StepProgress(TrainerCallback):
    """Shows training steps, the running loss, each validation, and the time left."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._clock = clock
        self._bar: tqdm[Any] | None = None
        self._loss: float | None = None
        self._begin_s = self._line_s = 0.0
        self._begin_step = 0
        self._validation_s = -math.inf

    def say(self, text: str) -> None:
        """Writes a line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Starts the clock and the bar."""
        self._begin_s = self._line_s = self._clock()
        self._begin_step = state.global_step
        if self._stream.isatty():
            self._bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                desc="training",
                unit="step",
                file=self._stream,
                dynamic_ncols=True,
            )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Moves the bar, or writes a line when the last one is old."""
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)
            return
        now_s = self._clock()
        if now_s - self._line_s >= _SECONDS_BETWEEN_LINES:
            self._line_s = now_s
            self.say(self._line(state, now_s))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Takes the running loss."""
        if logs and "loss" in logs:
            self._loss = logs["loss"]
            if self._bar is not None:
                self._bar.set_postfix(loss=f"{self._loss:.3f}")

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Says how the validation went."""
        now_s = self._clock()
        if metrics and now_s - self._validation_s >= _SECONDS_BETWEEN_VALIDATIONS:
            self._validation_s = now_s
            shown = [
                f"{title} {metrics[f'eval_{name}']:.3f}" for name, title in _SHOWN.items() if f"eval_{name}" in metrics
            ]
            self.say(f"  validation at step {state.global_step}: {', '.join(shown)}")

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Closes the bar."""
        self.close()

    def close(self) -> None:
        """Takes the bar down, also after an interruption."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _line(self, state: TrainerState, now_s: float) -> str:
        done = state.global_step - self._begin_step
        left_s = (now_s - self._begin_s) / done * (state.max_steps - state.global_step)
        loss = "" if self._loss is None else f", loss {self._loss:.3f}"
        return f"  step {state.global_step} of {state.max_steps}{loss}, {duration(left_s)} left"


def duration(seconds: float) -> str:
    """A duration for people: 8 s, 2 min 05 s, 1 h 02 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
