"""What a run knows of its errors: where they are, and on what grounds classes are taken for each other.

`diagnosis.json` in the run has all of it; the report and `explicate diagnose` tell it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any  # runs of any kind; JSON values

from explicate_training.diagnosis.found_slices import FoundSlice, find_slices
from explicate_training.report.explanations import Confusion, Explanations
from explicate_training.tasks.task import Evaluation

DIAGNOSIS_NAME = "diagnosis.json"


@dataclass(frozen=True)
class Diagnosis:
    """What was found. `measured` says what slices have the mean of; `large_is_bad` whether that is an error."""

    counted: str
    measured: str
    large_is_bad: bool
    validation_rows: int
    validation_value: float
    test_rows: int
    test_value: float
    slices: Sequence[FoundSlice]
    confusions: Sequence[Confusion]

    @property
    def confirmed(self) -> list[FoundSlice]:
        """Those that are worse than the rest on the test rows, too."""
        return [one for one in self.slices if one.confirmed]

    @property
    def others(self) -> list[FoundSlice]:
        """Those that may be chance."""
        return [one for one in self.slices if not one.confirmed]

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            **{name: value for name, value in vars(self).items() if name not in ("slices", "confusions")},
            "slices": [one.as_json() for one in self.slices],
            "confusions": [
                {
                    **asdict(one),
                    "parts": [
                        {"part": name, "where_right": right, "where_wrong": wrong} for name, right, wrong in one.parts
                    ],
                }
                for one in self.confusions
            ],
        }


def diagnose(run: Any, evaluations: Mapping[str, Evaluation], explanations: Explanations) -> Diagnosis:
    """What a trained run's answers to its validation and test rows tell."""
    names, (measured, large_is_bad) = ("validation", "test"), run.task.sliced
    values = {name: run.task.sliced_by_row(evaluations[name], run.labels) for name in names}
    fields = {name: run.row_fields(name) for name in names}
    return Diagnosis(
        counted=run.config.data.counted,
        measured=measured,
        large_is_bad=large_is_bad,
        validation_rows=len(values["validation"]),
        validation_value=float(values["validation"].mean()),
        test_rows=len(values["test"]),
        test_value=float(values["test"].mean()),
        slices=find_slices(
            fields["validation"], values["validation"], fields["test"], values["test"], large_is_bad=large_is_bad
        ),
        confusions=explanations.confusions,
    )
