"""What is done to a run's answers once its weights are chosen, in this order, by validation rows alone.

A temperature divides the logits (`[calibration]`). Then either thresholds are chosen (`[thresholds]`), or logits get
offsets for rare classes, unless probabilities are to be calibrated, which offsets would undo.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log
from typing import TYPE_CHECKING, Any  # Any: runs of any kind

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_training.calibration.chosen_points import ChosenPoint, MeanCost, chosen_points, mean_cost
from explicate_training.calibration.reliability import Reliability, reliability
from explicate_training.calibration.temperature import divide_outputs, fitted_temperature, log_loss
from explicate_training.calibration.thresholds import check_goals, choose
from explicate_training.tasks.decision import decision_offsets, fold_offsets, shift_bias
from explicate_training.tasks.task import Evaluation, Outputs, Task

if TYPE_CHECKING:
    from explicate_training.loop.run import Run

_SAME_LOGITS = 1e-3
_SURELY = 10.83  # of a chi-squared with one degree of freedom: one in a thousand is above it
_WORTH_A_NOTE = log(1.1)


@dataclass
class Adjustment:
    """What was done to the answers of a run.

    Attributes:
        temperature: what logits were divided by; None: nothing.
        offsets: what was added to each logit, float64 [outputs]; None: nothing.
        rule: what decides; None: the most probable answer does.
        points, cost: what that does on the test rows.
        reliability: what the temperature did on the test rows, or would do; None where it is not worth a word.
    """

    run: "Run[Any, Any]"
    temperature: float | None = None
    offsets: NDArray[np.float64] | None = None
    rule: bundle_pb2.DecisionRule | None = None
    points: list[ChosenPoint] = field(default_factory=list)
    cost: MeanCost | None = None
    reliability: Reliability | None = None

    def __post_init__(self) -> None:
        """Raises UsageError, naming the option, when what is wanted does not fit the data."""
        run, config = self.run, self.run.config
        if config.calibration.temperature and not run.task.decides:
            raise UsageError(
                f"calibration.temperature is of probabilities, and this is a {run.task.name}, which has none: leave it "
                "out"
            )
        check_goals(config.thresholds, run.task, run.labels, run.targets["validation"])

    def divide(self) -> None:
        """Divides the logits by a temperature, if that is wanted."""
        run = self.run
        if not run.config.calibration.temperature:
            return
        before, outputs = run.predict("validation"), len(run.task.outputs(run.labels))
        temperature = fitted_temperature(before, run.targets["validation"])
        if not divide_outputs(run.network, outputs, temperature):
            run.warn("calibration.temperature: the network has no last layer that could be divided, so it was not")
            return
        if not np.allclose(run.predict("validation"), before / temperature, atol=_SAME_LOGITS):
            divide_outputs(run.network, outputs, 1 / temperature)
            run.warn("calibration.temperature: the network's logits come from more than one layer: it was not divided")
            return
        self.temperature = temperature
        run.say(f"temperature: the {len(before):,} validation {run.config.data.counted} chose {temperature:.3f}")

    def decided(self) -> Evaluation:
        """Answers to the validation rows, once it is settled how they become decisions."""
        run = self.run
        validation = run.evaluate("validation", run.predict("validation"))
        if run.config.thresholds.active:
            run.task, self.rule = self._with_thresholds(validation.outputs, said=True)
            return run.evaluate("validation", validation.outputs)
        if run.config.training.rare_classes == "plain":
            return validation
        if self.temperature is not None:
            return validation
        return self._with_offsets(validation)

    def of_baseline(self, outputs: Mapping[str, Outputs]) -> tuple[Task, dict[str, Evaluation]]:
        """How another model's answers are decided, by its own on the validation rows, for the same goals; and those."""
        run, counted = self.run, self.run.config.data.counted
        wanted = run.config.thresholds.active
        task = self._with_thresholds(outputs["validation"], said=False)[0] if wanted else run.task
        return task, {
            name: task.evaluate(answers, run.targets[name], run.labels, counted=counted)
            for name, answers in outputs.items()
        }

    def as_message(self) -> TrainingRun:
        """What run.json says of it."""
        offsets = [] if self.offsets is None else self.offsets.tolist()
        return TrainingRun(logit_offsets=offsets, decision=self.rule, temperature=self.temperature)

    def _with_thresholds(self, outputs: Outputs, *, said: bool) -> tuple[Task, bundle_pb2.DecisionRule]:
        run = self.run
        scores, targets = run.task.scores(outputs), run.targets["validation"]
        rule, warnings = choose(run.config.thresholds, run.task, scores, targets, run.labels)
        if said:
            for one in rule.thresholds:
                run.say(
                    f"threshold: {one.label} is answered from a probability of {one.threshold:.3g} on ({one.goal}); on "
                    f"the validation {run.config.data.counted} it has recall {one.recall:.3f} and precision "
                    f"{one.precision:.3f}"
                )
            if rule.costs:
                run.say("thresholds: the class with the least expected cost is answered")
            for warning in warnings:
                run.warn(warning)
                run.say(f"note: {warning}")
        return run.task.deciding(rule, run.labels), rule

    def _with_offsets(self, validation: Evaluation) -> Evaluation:
        """Adds offsets to the model's logits where rare classes gain by it; the answers to the validation then."""
        run = self.run
        offsets = decision_offsets(run.task, validation, run.targets["train"], run.labels)
        layer = None if offsets is None else fold_offsets(run.network, offsets)
        if offsets is None or layer is None:
            return validation
        moved = run.evaluate("validation", run.predict("validation"))
        if not np.allclose(moved.outputs, validation.outputs + offsets, atol=_SAME_LOGITS):
            shift_bias(layer, -offsets)  # not the layer that makes the logits, then
            return validation
        self.offsets, metric = offsets, run.task.decision_metric
        before, after = (one.metrics[metric] for one in (validation, moved))
        run.say(
            f"rare classes: offsets of the logits take the validation's {run.task.titles[metric]} from {before:.3f} "
            f'to {after:.3f} (training.rare_classes = "plain" leaves them out)'
        )
        return moved

    def measure(self, validation: Evaluation, test: Evaluation, metrics: dict[str, Any]) -> None:
        """Measures what all of it does on the test rows, says so, and adds to the metrics."""
        run = self.run
        if self.rule is not None:
            self.points = chosen_points(run.task, self.rule, test, metrics["test"], run.labels)
            self._measure_cost(test)
            told = [{name: value for name, value in vars(one).items() if name != "drawing"} for one in self.points]
            metrics["thresholds"] = {"chosen": told, **({"cost": vars(self.cost)} if self.cost else {})}
        found = self.reliability = self._reliability(validation, test)
        if self.temperature is not None and found is not None:
            metrics["calibration"] = found.as_json()
        told_here: list[ChosenPoint | MeanCost | Reliability] = [*self.points]
        told_here += [one for one in (self.cost, found) if one is not None]
        for one in told_here:
            run.say(one.line())
        if found is not None and not found.applied:
            run.say("  ([calibration] temperature = true makes it a part of the graph)")

    def _measure_cost(self, test: Evaluation) -> None:
        costs, labels = self.run.config.thresholds.costs, self.run.labels
        if costs:
            table = [[costs.get(right, {}).get(answered, 0.0) for answered in labels] for right in labels]
            self.cost = mean_cost(self.run.task, np.array(table), test)

    def _reliability(self, validation: Evaluation, test: Evaluation) -> Reliability | None:
        """What the temperature did, or where there is none, what it would do if that is surely something."""
        task, outputs = self.run.task, test.outputs
        if self.temperature is not None:
            before = outputs * self.temperature
            return reliability(task, before, outputs, test.targets, temperature=self.temperature, applied=True)
        if not task.decides or self.offsets is not None:
            return None
        logits, targets = validation.outputs.astype(np.float64), validation.targets
        wanted = fitted_temperature(logits, targets)
        # A likelihood ratio: twice what the log likelihood of the validation gains.
        gain = 2 * len(targets) * (log_loss(logits, targets) - log_loss(logits / wanted, targets))
        if gain < _SURELY or abs(log(wanted)) < _WORTH_A_NOTE:
            return None
        return reliability(task, outputs, outputs / wanted, test.targets, temperature=wanted, applied=False)
