"""Which look at the validation rows was the best, and when to stop looking."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # values that the Trainer hands to its callbacks

from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, TrainingArguments

from explicate_training.config.sections import TrainingOptions
from explicate_training.tasks.task import Task

ONE_ANSWER = "eval_one_answer"
_EVAL, _MASKED, _BOTH = "eval_", "eval_masked_", "eval_both_"  # metrics of whole rows, of masked ones, the mean of both


@dataclass(frozen=True)
class CheckpointRule:
    """The order of looks: by a metric, and of equal ones by the loss.

    A macro F1 of one answer to all rows is the same at every look, and accuracy can be better than that of a model that
    tells classes apart. So where the metric is one of decisions, a look with one answer comes after all others.
    """

    metric: str
    smaller_is_better: bool
    of_decisions: bool
    masked: bool = False  # validation rows are seen twice, whole and with players hidden, and both count alike
    last: bool = False  # the newest look is the best

    @property
    def key(self) -> str:
        """The name of what chooses in the Trainer's log."""
        return f"{_BOTH if self.masked else _EVAL}{self.metric}"

    def with_masked(self, whole: Mapping[str, float], masked: Mapping[str, float]) -> dict[str, float]:
        """What a look adds of masked rows: their metrics, and the means of both that choose, by the Trainer's names."""
        own = {
            name.replace(_EVAL, _MASKED, 1): value
            for name, value in masked.items()
            if not name.endswith(("_runtime", "_per_second", "_model_preparation_time"))
        }
        chosen = dict.fromkeys((self.metric, "loss"))
        both = {f"{_BOTH}{name}": (whole[f"{_EVAL}{name}"] + own[f"{_MASKED}{name}"]) / 2 for name in chosen}
        return {**own, **both}

    def rank(self, look: Mapping[str, float]) -> tuple[bool, float, float]:
        """Compares looks, as the Trainer's log has them: the largest is the best."""
        value, loss = look[self.key], look[f"{_BOTH if self.masked else _EVAL}loss"]
        several = not (self.of_decisions and look.get(ONE_ANSWER))
        return several, _known(-value if self.smaller_is_better else value), _known(-loss)

    def newest_is_best(self, log: Sequence[Mapping[str, float]]) -> bool:
        """Whether the last look of the log comes before all that were earlier."""
        if self.last:
            return True
        *earlier, newest = (self.rank(entry) for entry in log if "eval_loss" in entry)
        return all(newest > one for one in earlier)


def checkpoint_rule(task: Task, training: TrainingOptions, *, imbalanced: bool, masked: bool = False) -> CheckpointRule:
    """What the objective and the config say."""
    metric = task.checkpoint_metric(training.best_metric, imbalanced=imbalanced)
    return CheckpointRule(metric, metric in ("loss", *task.errors), metric in task.decided_metrics, masked)


class Patience(EarlyStoppingCallback):
    """Stops after some looks that are no better; those with one answer to all rows do not count.

    A model that has not begun to tell classes apart gets no better by its decisions, while its loss falls.
    """

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **more: Any,
    ) -> None:
        """Counts a look."""
        if not (metrics or {}).get(ONE_ANSWER):
            super().on_evaluate(args, state, control, metrics or {}, **more)  # type: ignore[no-untyped-call]


def _known(value: float) -> float:
    return -math.inf if math.isnan(value) else value
