"""From a run directory to a published bundle, step by step; nothing is published unless every comparison holds."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from explicate.v1 import bundle_pb2
from explicate_bundle.errors import SignatureError
from explicate_bundle.signatures import check_sign_key
from explicate_bundle.writing import FORMAT_VERSION, GRAPH_NAME, GRAPH_PRECISION, MODEL_CARD_NAME
from explicate_export.conversion import BundleParts, ModelExport, Say, convert
from explicate_export.errors import TrivialModel, UsageError
from explicate_export.image.conversion import ImageExport
from explicate_export.model_card import metric_intervals, model_card, scalar_metrics
from explicate_export.publish import check_target, stage_bundle
from explicate_export.table.conversion import TableExport
from explicate_export.text.conversion import TextExport
from explicate_export.training_run import FinishedRun, read_run
from explicate_standards.evaluated_model import open_staged
from explicate_standards.evaluation import Evaluation, chosen_metrics
from explicate_standards.held_out_rows import read_rows, rows_of_run
from explicate_standards.measuring import measure
from explicate_standards.run_report import add_to_run
from explicate_standards.told import as_message

EXPORTS: dict[str, type[ModelExport]] = {"text": TextExport, "table": TableExport, "image": ImageExport}
"""By the name of what a model reads; a new kind is one entry."""


def open_run(directory: Path, say: Say, *, allow_trivial: bool = True) -> ModelExport:
    """Reads a run directory and loads its model.

    Raises UsageError, naming the file that is missing or wrong, and TrivialModel if that is not allowed.
    """
    run = read_run(directory)
    verdict = run.record.verdict
    if run.record.HasField("verdict") and not verdict.learnt and not allow_trivial:
        raise TrivialModel(
            f"the model of {directory} is not better than {verdict.rivals[0].name} ({verdict.sentence}): train again "
            "with more data, more epochs or another learning rate, or publish it all the same with --allow-trivial"
        )
    return EXPORTS[run.kind.reads.name](run, say)


DEFAULT_COMPARED_INPUTS = 256


@dataclass(frozen=True)
class ExportOptions:
    """What to publish, on how many held-out inputs to compare, and the private key to sign with."""

    model: str
    version: int | None = None
    compared_inputs: int = DEFAULT_COMPARED_INPUTS
    sign_key: Path | None = None
    allow_trivial: bool = False  # publish a model that was not shown to have learnt anything
    variants: Sequence[str] | None = None  # precisions of model.onnx to make besides; None: what the kind of model gets
    evaluated_inputs: int | None = None  # on how many to measure how well it can be explained; None: that is left out
    evaluated_metrics: Sequence[str] | None = None  # by which metrics; None: all of them


def export_run(run_directory: Path, repository: Path, options: ExportOptions, *, say: Say = lambda _: None) -> Path:
    """Converts, compares and publishes; returns the bundle's folder. `say` gets a line for each step.

    Raises UsageError (the run, name or version), TrivialModel, ConversionError, ParityError or PublicationError.
    """
    check_target(repository, options.model, version=options.version)
    if options.sign_key is not None:
        try:
            check_sign_key(options.sign_key)
        except SignatureError as error:
            raise UsageError(f"{error} (--sign-key)") from None
    model = open_run(run_directory, say, allow_trivial=options.allow_trivial)
    with stage_bundle(repository, options.model, version=options.version, sign_key=options.sign_key) as staged:
        parts = convert(
            model, staged.folder, compared_inputs=options.compared_inputs, variants=options.variants, say=say
        )
        manifest = _manifest(model.run, parts)
        evaluation = _evaluated(model.run, staged.folder, manifest, options, say)
        card = model_card(options.model, model.run, manifest, parts)
        (staged.folder / MODEL_CARD_NAME).write_text(card, encoding="utf-8")
        say(f"model.onnx is {(staged.folder / GRAPH_NAME).stat().st_size / 1e6:.1f} MB")
        published = staged.publish(manifest)
    if evaluation is not None:
        add_to_run(run_directory, evaluation, say=say)
    return published


def _evaluated(
    run: FinishedRun, folder: Path, manifest: bundle_pb2.Bundle, options: ExportOptions, say: Say
) -> Evaluation | None:
    """How well the staged model can be explained, which the manifest then says; None if that was not asked for."""
    if options.evaluated_inputs is None:
        return None
    model = open_staged(folder, manifest)
    rows = read_rows(rows_of_run(run.directory), model, count=options.evaluated_inputs)
    evaluation = measure(model, rows, chosen_metrics(options.evaluated_metrics), say=say)
    manifest.interpretability.CopyFrom(as_message(evaluation))
    say(f"how well it can be explained, from {len(rows.inputs):,} held-out {run.kind.reads.plural}:")
    for result in evaluation.results:
        say(f"  {result.metric.id}: {result.sentence}")
    return evaluation


_TOOLS = (
    "explicate",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxscript",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
)


def _manifest(run: FinishedRun, parts: BundleParts) -> bundle_pb2.Bundle:
    """The manifest but for the model's name, version and files, which publication fills in."""
    manifest = bundle_pb2.Bundle(
        format_version=FORMAT_VERSION,
        precision=GRAPH_PRECISION,
        provenance=bundle_pb2.Provenance(
            data_sha256=run.record.data_sha256,
            seed=run.record.seed,
            tool_versions={**_installed_versions(), **run.record.tool_versions},
            max_logit_difference=parts.parity.absolute_difference,
        ),
        metrics=scalar_metrics(run.test_metrics),
        metric_intervals=metric_intervals(run.test_metrics),
        verdict=run.record.verdict if run.record.HasField("verdict") else None,
        logit_offsets=run.record.logit_offsets,
    )
    manifest.MergeFrom(parts.manifest)
    manifest.create_time.GetCurrentTime()
    return manifest


def _installed_versions() -> dict[str, str]:
    versions = {}
    for name in _TOOLS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # one of the two builds of onnxruntime is not there
    return versions
