"""What is known of a model, whoever made it: what export needs of it, and how sentences tell where it comes from.

A training run of ours is one such model (`FinishedRun`), which knows more. Another source of models fills in a
`TrainingRun` with what it knows (objective, labels, target_name, one schema, base_model) and says its `Origin`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias  # JSON values

from explicate.v1 import bundle_pb2
from explicate.v1.training_run_pb2 import TargetScale, TrainingRun
from explicate_bundle.draft import draft_checks, draft_manifest, kind_of_run, named_base
from explicate_bundle.input_kind import ModelKind
from explicate_bundle.model_inputs import ModelInput
from explicate_bundle.telling.grounds import Grounds
from explicate_bundle.telling.slice_notes import SliceNotes
from explicate_export.markdown import code
from explicate_export.objectives import EXPORT_OBJECTIVES, ExportObjective
from explicate_export.parity import Origin, Scale

HeldOutInput: TypeAlias = ModelInput | Path
"""An input, or the file that it is read from when it is compared."""


@dataclass(frozen=True)
class HeldOut:
    """An input with what the original model answered, as it was before anything was converted."""

    value: HeldOutInput
    outputs: Sequence[float]  # of the original model by its own library and preprocessing, in the graph's terms
    target: float | None  # of a regression: what is right


@dataclass(frozen=True, kw_only=True)
class DescribedModel:
    """What is known of a model.

    Attributes:
        record: objective, labels, target_name, base_model and the schema of its kind, as far as it is known before
            anything is converted; what only a training knows (seed, data_sha256, verdict, …) may be unset.
        origin: how sentences tell where it comes from.
        test_metrics: what was measured of it, by name; "intervals" and "per_class" as in a run's metrics.json.
        data_report: what is known of its data, for the card.
        grounds: what moves its answers most; None where that was not measured.
        slices: how good it is on groups of test rows; None where that was not measured.
    """

    record: TrainingRun
    origin: Origin
    test_metrics: Mapping[str, Any] = field(default_factory=dict)
    data_report: Mapping[str, Any] = field(default_factory=dict)
    grounds: Grounds | None = None
    slices: SliceNotes | None = None

    @property
    def kind(self) -> ModelKind:
        """What the model reads and predicts."""
        kind = kind_of_run(self.record)
        assert kind is not None
        return kind

    @property
    def objective(self) -> ExportObjective:
        """What the model predicts, for the export."""
        return EXPORT_OBJECTIVES[self.record.objective]

    @property
    def outputs(self) -> int:
        """How many outputs the model has."""
        return self.kind.predicts.outputs(len(self.record.labels))

    @property
    def labels(self) -> tuple[str, ...]:
        """By output; empty for a regression."""
        return tuple(self.record.labels)

    @property
    def target_scale(self) -> TargetScale | None:
        """What takes the model's answers to the unit of its target; None if they are in it, or are logits."""
        return self.record.target_scale if self.record.HasField("target_scale") else None

    @property
    def base_model(self) -> str:
        """What was fine-tuned."""
        return named_base(self.record)

    @property
    def made(self) -> str:
        """How it came about, in a sentence."""
        base = self.base_model
        return self.origin.made or (
            f"A small {code(base.removeprefix('new '))}, trained from nothing."
            if base.startswith("new ")
            else f"Fine-tuned from {code(base)}."
        )

    def scale(self, held_out: Sequence[HeldOut]) -> Scale:
        """What differences of outputs are measured in."""
        targets = [one.target for one in held_out if one.target is not None]
        return self.objective.scale(self.record, targets, spread_of=self.origin.spread_of)

    def manifest(self) -> bundle_pb2.Bundle:
        """What a bundle says of the model before anything is measured: kind, labels or target, schema, base model."""
        return draft_manifest(self.record, self.kind)

    def draft_problem(self) -> str | None:
        """Why no server would take the model, as far as that is known before it is converted."""
        return next((otherwise for holds, otherwise in draft_checks(self.record, self.kind) if not holds), None)
