"""What a bundle will say of a model, from the record of its training: checked before it is trained, and exported."""

from collections.abc import Iterator
from pathlib import Path

from explicate.v1 import bundle_pb2
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.input_kind import ModelKind, kind_named
from explicate_bundle.kinds.kind import Check
from explicate_bundle.manifest import checks
from explicate_bundle.writing import FORMAT_VERSION, GOLDEN_NAME, GRAPH_NAME


def kind_of_run(record: TrainingRun) -> ModelKind | None:
    """What the model reads and predicts; None if no bundle knows that."""
    return kind_named(f"{record.WhichOneof('schema')}-{record.objective}")


def named_base(record: TrainingRun) -> str:
    """What was fine-tuned: a name of a hub, or the name of a folder, without the way to it on this machine."""
    name = record.base_model
    return Path(name).name if name.startswith(("/", ".", "~")) else name


def draft_manifest(record: TrainingRun, kind: ModelKind) -> bundle_pb2.Bundle:
    """What a bundle says before anything is measured: kind, labels or target, schema, base model."""
    field = kind.reads.field
    return bundle_pb2.Bundle(
        input_kind=kind.reads.number,  # type: ignore[arg-type]  # numbers, which the stubs know by other names
        objective=kind.predicts.number,  # type: ignore[arg-type]
        class_labels=record.labels,
        target_name=None if kind.predicts.least_labels else record.target_name,
        decision=record.decision if record.HasField("decision") else None,
        temperature=record.temperature if record.HasField("temperature") else None,
        **{field: getattr(record, field)},
        provenance=bundle_pb2.Provenance(base_model=named_base(record)),
    )


def draft_checks(record: TrainingRun, kind: ModelKind) -> Iterator[Check]:
    """What a server will ask of the manifest, all being right in it that the record does not say."""
    draft = bundle_pb2.Bundle(format_version=FORMAT_VERSION, model="draft", version=1, golden_tolerance=1)
    draft.MergeFrom(draft_manifest(record, kind))
    if draft.HasField("text"):
        draft.text.inputs.extend(("input_ids", "attention_mask"))
    for name in (GRAPH_NAME, GOLDEN_NAME, *kind.reads.files(draft)):
        draft.files.add(name=name)
    return checks(draft, model="draft", version=1)
