"""Which look at the validation rows was the best, and when to stop looking."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # values that the Trainer hands to its callbacks

from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, TrainingArguments

from explicate_training.config.sections import TrainingOptions
from explicate_training.tasks.task import Task

ONE_ANSWER = "eval_one_answer"


@dataclass(frozen=True)
class CheckpointRule:
    """The order of looks: by a metric, and of equal ones by the loss.

    A macro F1 of one answer to all rows is the same at every look, and accuracy can be better than that of a model that
    tells classes apart. So where the metric is one of decisions, a look with one answer comes after all others.
    """

    metric: str
    smaller_is_better: bool
    of_decisions: bool

    def rank(self, look: Mapping[str, float]) -> tuple[bool, float, float]:
        """Compares looks, as the Trainer's log has them: the largest is the best."""
        value = look[f"eval_{self.metric}"]
        several = not (self.of_decisions and look.get(ONE_ANSWER))
        return several, _known(-value if self.smaller_is_better else value), _known(-look["eval_loss"])

    def newest_is_best(self, log: Sequence[Mapping[str, float]]) -> bool:
        """Whether the last look of the log comes before all that were earlier."""
        *earlier, newest = (self.rank(entry) for entry in log if "eval_loss" in entry)
        return all(newest > one for one in earlier)


def checkpoint_rule(task: Task, training: TrainingOptions, *, imbalanced: bool) -> CheckpointRule:
    """What the objective and the config say."""
    metric = task.checkpoint_metric(training.best_metric, imbalanced=imbalanced)
    return CheckpointRule(metric, metric in ("loss", *task.errors), metric in task.decided_metrics)


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
