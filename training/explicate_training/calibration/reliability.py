"""What a temperature does to the probabilities of held-out rows: Brier score, calibration error, and a drawing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any  # JSON values; targets of any number type

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from explicate.views.look.palette import FIRST, QUIET, SECOND
from explicate_bundle.outcomes.calibration import CALIBRATION_BINS, brier_scores, calibration_errors, equal_mass_bins
from explicate_bundle.outcomes.resampling import Counts, Samples, interval, mean, resampled
from explicate_training.calibration.temperature import log_losses
from explicate_training.report.figures import STYLE, svg_of
from explicate_training.tasks.task import Outputs, Task, shown_interval

TITLES = {"brier": "Brier score", "calibration_error": "calibration error", "log_loss": "log loss"}
_BEFORE, _AFTER, _GREY = SECOND, FIRST, QUIET


@dataclass(frozen=True)
class Figured:
    """A figure of held-out rows before and after, and the difference, each with its interval."""

    before: float
    after: float
    before_interval: tuple[float, float] | None
    after_interval: tuple[float, float] | None
    change: float
    change_interval: tuple[float, float] | None


@dataclass(frozen=True)
class Reliability:
    """What a temperature did, or would do, to held-out rows.

    Attributes:
        temperature: what logits are divided by.
        applied: whether the model has it in it.
        figures: by the names of `TITLES`.
        drawing: SVG.
    """

    temperature: float
    applied: bool
    figures: Mapping[str, Figured]
    drawing: str

    def as_json(self) -> dict[str, Any]:
        """For metrics.json."""
        told = {name: vars(one) for name, one in self.figures.items()}
        return {"temperature": self.temperature, "applied": self.applied, "test": told}

    def line(self) -> str:
        """The same for the terminal."""
        parts = [
            f"{TITLES[name]} {one.before:.4f} to {one.after:.4f}"
            f" (change{shown_interval(one.change_interval, '+.4f') or ' unknown'})"
            for name, one in self.figures.items()
        ]
        does = "takes" if self.applied else "would take"
        return f"temperature {self.temperature:.3f} {does} the test's {', '.join(parts)}"


def reliability(
    task: Task, before: Outputs, after: Outputs, targets: NDArray[Any], *, temperature: float, applied: bool
) -> Reliability:
    """Measures logits float [rows, outputs] of held-out rows, before and after they were divided."""
    ones = np.ones((1, len(targets)), np.float32)
    values = {name: float(found[0]) for name, found in _measured(task, before, after, targets, ones).items()}
    samples = resampled(lambda counts: _measured(task, before, after, targets, counts), len(targets))
    figures = {
        name: Figured(
            values[f"before/{name}"],
            values[f"after/{name}"],
            interval(samples[f"before/{name}"]),
            interval(samples[f"after/{name}"]),
            values[f"after/{name}"] - values[f"before/{name}"],
            interval(samples[f"after/{name}"] - samples[f"before/{name}"]),
        )
        for name in TITLES
    }
    drawn = {"before": _told(task, before, targets), "after": _told(task, after, targets)}
    return Reliability(temperature, applied, figures, reliability_drawing(drawn))


def _measured(task: Task, before: Outputs, after: Outputs, targets: NDArray[Any], counts: Counts) -> Samples:
    """The figures on draws of the rows, by "before/" or "after/" and their names."""
    found = {}
    for when, logits in (("before", before), ("after", after)):
        scores = task.scores(logits)
        true = targets[:, np.newaxis] == np.arange(scores.shape[1]) if task.one_of_classes else targets == 1
        brier = brier_scores(scores, true, several=not task.one_of_classes)
        found[f"{when}/brier"] = mean(brier, counts)
        found[f"{when}/calibration_error"] = calibration_errors(*_told(task, logits, targets), counts)
        found[f"{when}/log_loss"] = mean(log_losses(logits.astype(np.float64), targets), counts)
    return found


def _told(task: Task, logits: Outputs, targets: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """The probabilities of what is most probable, [rows], or of all labels, [rows, labels]; and which are right."""
    scores = task.scores(logits)
    if task.one_of_classes:
        return scores.max(axis=1), scores.argmax(axis=1) == targets
    return scores, targets == 1


def reliability_drawing(told: Mapping[str, tuple[NDArray[np.float64], NDArray[Any]]]) -> str:
    """How often probabilities of 15 bins of equal mass are right, with 95 % intervals, each pair by its name."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=1, label="calibrated")
        for (name, (probabilities, right)), color in zip(told.items(), (_BEFORE, _AFTER), strict=False):
            places, flat, hits = equal_mass_bins(probabilities).ravel(), probabilities.ravel(), right.ravel()
            rows = [places == place for place in range(CALIBRATION_BINS) if (places == place).any()]
            means, shares = (np.array([values[of].mean() for of in rows]) for values in (flat, hits))
            sizes = np.array([of.sum() for of in rows])
            ends = np.array([_wilson(share, size) for share, size in zip(shares, sizes, strict=True)]).T
            axes.errorbar(
                means, shares, yerr=np.abs(ends - shares), fmt="o-", color=color, label=name,
                markersize=3.5, linewidth=0.8, elinewidth=0.6,
            )  # fmt: skip
        axes.set(xlabel="probability that was told", ylabel="how often it was right", xlim=(0, 1.01), ylim=(0, 1.02))
        axes.legend(frameon=False, loc="upper left", fontsize=9)
        return svg_of(figure)


def _wilson(share: float, rows: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share (1927)."""
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * float(np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)))
    return middle - half, middle + half
