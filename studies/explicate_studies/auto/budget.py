"""The time that `explicate auto` has: how it is divided among candidates, and how a training is made to end in it.

A training that would not be done in time is not cut off in the middle of its schedule. Once its own rate is known, its
schedule of learning rates is shortened to as many steps as fit, so that the last one is at the end of the fall.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO  # Any: values that the Trainer hands to its callbacks

from transformers import TrainerControl, TrainerState, TrainingArguments

from explicate_studies.trial import TrialProgress
from explicate_training.loop.progress import StepProgress
from explicate_training.run_directory import write_json

Clock = Callable[[], float]
Say = Callable[[str], None]

FOR_EXPLANATIONS = 0.12
"""Of the whole time, kept for measuring what explanations of the best candidates cost."""
_LEAST_STEPS, _LEAST_S = 3, 2.0  # of a training, after which its rate is known
_LATE = 1.03  # times the steps that fit, from which a schedule is shortened
_SECONDS_BETWEEN_LINES = 15.0
SPENT_NAME = "spent.json"


class Budget:
    """How much of the time is spent. It outlives its process: what a killed one had spent is spent."""

    def __init__(self, minutes: float, file: Path, *, clock: Clock = time.monotonic, spent_s: float = 0.0) -> None:
        """`file` keeps what is spent, `spent_s` is what it had kept."""
        self.seconds = 60 * minutes
        self.clock = clock
        self._file = file
        self._begin_s = clock() - spent_s

    def go_on(self, spent_s: float) -> None:
        """Counts from here, with so much spent: reading the data again is no part of a search that goes on."""
        self._begin_s = self.clock() - spent_s

    @property
    def spent_s(self) -> float:
        """Seconds that are over."""
        return self.clock() - self._begin_s

    @property
    def search_left_s(self) -> float:
        """Seconds until no candidate may be trained any more."""
        return (1 - FOR_EXPLANATIONS) * self.seconds - self.spent_s

    @property
    def left_s(self) -> float:
        """Seconds until all is over but export and check."""
        return self.seconds - self.spent_s

    def keep(self) -> None:
        """Writes what is spent."""
        unfinished = self._file.with_name(f".{self._file.name}")
        write_json(unfinished, {"seconds": round(self.spent_s, 1)})
        unfinished.rename(self._file)


@dataclass(frozen=True)
class Need:
    """Seconds with which a candidate is worth trying, and those that it takes as it is meant."""

    least_s: float
    full_s: float


def allot(needs: Mapping[str, Need], left_s: float) -> dict[str, float]:
    """Seconds for candidates in their order: as many get their least as can, then each as much as there is.

    The first one is never left out: it makes do with what there is.
    """
    kept: dict[str, Need] = {}
    for name, need in needs.items():
        if not kept or sum(one.least_s for one in kept.values()) + need.least_s <= left_s:
            kept[name] = need
    spare = max(0.0, left_s - sum(need.least_s for need in kept.values()))
    found = {}
    for name, need in kept.items():
        more = min(max(0.0, need.full_s - need.least_s), spare)
        spare -= more
        found[name] = min(need.least_s + more, max(0.0, left_s))
    return found


class Ending:
    """When a training must have taken its last step.

    Attributes:
        until_s: on the clock.
        step_s: seconds a step takes, as measured; 0 while it is not known.
        planned, steps: that the training would have taken, and that it is to take.
    """

    def __init__(self, until_s: float, clock: Clock) -> None:
        self.until_s, self.clock = until_s, clock
        self.step_s, self.planned, self.steps = 0.0, 0, 0
        self._begin_s, self._first = 0.0, 0

    def begin(self, state: TrainerState) -> None:
        """Starts to measure."""
        self._begin_s, self._first = self.clock(), state.global_step
        self.planned = self.steps = state.max_steps

    def step(self, state: TrainerState, scheduler: Any) -> None:
        """Shortens the schedule where a step more would be too late."""
        now_s, done = self.clock(), state.global_step - self._first
        if done < _LEAST_STEPS or (now_s - self._begin_s < _LEAST_S and now_s < self.until_s):
            return
        self.step_s = (now_s - self._begin_s) / done
        fit = state.global_step + max(0, math.floor((self.until_s - now_s) / max(self.step_s, 1e-9)))
        if _LATE * fit < state.max_steps:
            _shorten(scheduler, fit, state.max_steps)
            self.steps = state.max_steps = fit

    @property
    def note(self) -> str:
        """What became of the schedule, for people; empty if nothing."""
        if self.steps >= self.planned:
            return ""
        return f"{self.steps:,} of {self.planned:,} steps, for lack of time"


def _shorten(scheduler: Any, steps: int, planned: int) -> None:
    """Makes a schedule of transformers end at another step; one that has no end stays as it is."""
    for place, of_rate in enumerate(scheduler.lr_lambdas):
        if not isinstance(of_rate, partial) or "num_training_steps" not in of_rate.keywords:
            continue
        keywords = {**of_rate.keywords, "num_training_steps": max(1, steps)}
        if "num_warmup_steps" in keywords:
            keywords["num_warmup_steps"] = math.ceil(keywords["num_warmup_steps"] * steps / planned)
        scheduler.lr_lambdas[place] = partial(of_rate.func, *of_rate.args, **keywords)


class TimedProgress(StepProgress):
    """A training that ends in time; all that it says goes to a file, a step now and then to the terminal too."""

    def __init__(self, name: str, log: TextIO, say: Say, ending: Ending, *, keep: Callable[[], None]) -> None:
        super().__init__(log, clock=ending.clock)
        self._name, self._told, self._ending, self._keep = name, say, ending, keep
        self._line_at_s = ending.clock()

    def say(self, text: str) -> None:
        """Writes a line to the file; one of a step also to the terminal, at most every few seconds."""
        super().say(text)
        if text.startswith("  step ") and self._clock() - self._line_at_s >= _SECONDS_BETWEEN_LINES:
            self._line_at_s = self._clock()
            self._told(f"{self._name}:{text.removeprefix(' ')}")
            self._keep()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Starts to measure."""
        super().on_train_begin(args, state, control, **more)
        self._ending.begin(state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Shortens the schedule where it must be."""
        super().on_step_end(args, state, control, **more)
        end_in_time(self._ending, state, control, more.get("lr_scheduler"))


class TimedTrial(TrialProgress):
    """A trial of a study that ends in time."""

    ending: Ending

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Starts to measure."""
        super().on_train_begin(args, state, control, **more)
        self.ending.begin(state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Shortens the schedule where it must be."""
        super().on_step_end(args, state, control, **more)
        end_in_time(self.ending, state, control, more.get("lr_scheduler"))


def end_in_time(ending: Ending, state: TrainerState, control: TrainerControl, scheduler: Any) -> None:
    """After a step: the last one is validated and kept, as that of a whole schedule is."""
    ending.step(state, scheduler)
    if state.global_step >= state.max_steps:
        control.should_training_stop = control.should_evaluate = control.should_save = True
