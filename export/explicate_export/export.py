"""From a model, or a run directory, to a published bundle; nothing is published unless every comparison holds."""

import importlib
import importlib.metadata
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # a class of a module that is not imported yet

from explicate.v1 import bundle_pb2
from explicate_bundle.errors import SignatureError
from explicate_bundle.signatures import check_sign_key
from explicate_bundle.standard.standard_file import HELD_OUT
from explicate_bundle.standard.verdicts import Verdict
from explicate_bundle.standard.waivers import Waiver
from explicate_bundle.writing import (
    FORMAT_VERSION,
    GRAPH_NAME,
    GRAPH_PRECISION,
    MODEL_CARD_NAME,
    STANDARD_RECORD_NAME,
)
from explicate_export.conversion import BundleParts, ModelExport, Say, convert
from explicate_export.described import DescribedModel
from explicate_export.errors import StandardNotMet, TrivialModel, UsageError
from explicate_export.model_card import metric_intervals, model_card, scalar_metrics
from explicate_export.publish import check_target, stage_bundle
from explicate_export.training_run import read_run
from explicate_standards.evaluated_model import open_staged
from explicate_standards.evaluation import Evaluation, chosen_metrics
from explicate_standards.held_out_rows import HELD_OUT_NAME, read_rows
from explicate_standards.leaderboard.runs import rows_digest
from explicate_standards.measuring import measure
from explicate_standards.outcomes.outcomes import DEFAULT_KEPT_ROWS, keep_rows
from explicate_standards.run_report import add_to_run
from explicate_standards.standard.check import Checked, judge, live_of
from explicate_standards.standard.standard import read_standard
from explicate_standards.standard.verdict_report import as_message as standard_verdict
from explicate_standards.standard.verdict_report import as_record
from explicate_standards.standard.verdict_report import as_table as verdict_table
from explicate_standards.standard.verdict_report import sentence as verdict_sentence
from explicate_standards.standard.waiving import excused
from explicate_standards.told import as_message

EXPORTS = {"text": "TrainedTextExport", "table": "TableExport", "image": "TrainedImageExport"}
"""By the name of what a model reads: the class of its `conversion`; a new kind is one entry."""

HEADS = {"ForSequenceClassification": "text", "ForImageClassification": "image"}
"""By the end of a transformers class's name: what the model reads; its directories are `NAME/hugging_face.py`'s."""
REPORT_NAME = "report.html"


def export_class(kind: str) -> Any:
    """The ModelExport of a run of that kind, made of the run; imported when it is wanted, for it brings torch along."""
    return getattr(importlib.import_module(f"explicate_export.{kind}.conversion"), EXPORTS[kind])


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
    model: ModelExport = export_class(run.kind.reads.name)(run, say)
    return model


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
    standard: Path | None = None  # the standard.toml that it must meet; None: none
    allow_unmet: bool = False  # publish it even if it does not, with that on record
    waivers: Sequence[Waiver] = ()  # requirements of it that the model need not meet for some time
    seeds: Sequence[Path] = ()  # runs that differ in the seed alone, for what the standard requires of them
    gradient: bool = False  # the gradient of a text model besides, for "integrated-gradients"
    kept_rows: int = DEFAULT_KEPT_ROWS  # test rows that the bundle keeps, for a server to score again


def export_run(run_directory: Path, repository: Path, options: ExportOptions, *, say: Say = lambda _: None) -> Path:
    """Converts, compares and publishes a training run; returns the bundle's folder. `say` gets a line for each step.

    Raises UsageError (the run, name or version), TrivialModel, ConversionError, ParityError or PublicationError.
    """
    check_options(repository, options)
    model = open_run(run_directory, say, allow_trivial=options.allow_trivial)
    published = publish_model(model, repository, options, rows=run_directory / HELD_OUT_NAME, say=say)
    if published.evaluation is not None:
        add_to_run(run_directory, published.evaluation, say=say)
    return published.folder


def check_options(repository: Path, options: ExportOptions) -> None:
    """Raises UsageError where nothing could be published there; touches nothing."""
    check_target(repository, options.model, version=options.version)
    if options.sign_key is not None:
        try:
            check_sign_key(options.sign_key)
        except SignatureError as error:
            raise UsageError(f"{error} (--sign-key)") from None


@dataclass(frozen=True)
class Published:
    """A bundle in a repository, with what was measured on the way."""

    folder: Path
    manifest: bundle_pb2.Bundle
    parts: BundleParts
    evaluation: Evaluation | None
    checked: Checked | None = None


Report = Callable[[Published], str]


def publish_model(
    model: ModelExport,
    repository: Path,
    options: ExportOptions,
    *,
    rows: Path | None = None,
    report: Report | None = None,
    say: Say = lambda _: None,
) -> Published:
    """Converts, compares and publishes a loaded model, whoever made it (`conversion.ModelExport`).

    Args:
        model: with the inputs that it is compared on.
        repository: a folder of bundles; made when it is missing.
        options: the bundle's name and version, and what it has besides.
        rows: a file as training's held_out.jsonl, for `options.evaluated_inputs`; None if there is none.
        report: makes report.html of what came of it; None where the bundle has none.
        say: gets a line for each step.

    Raises UsageError (the name or version), ConversionError, ParityError or PublicationError.
    """
    check_options(repository, options)
    if options.gradient:
        model.add_gradient()
    with stage_bundle(repository, options.model, version=options.version, sign_key=options.sign_key) as staged:
        parts = convert(
            model, staged.folder, compared_inputs=options.compared_inputs, variants=options.variants, say=say
        )
        manifest = _manifest(model.described, parts)
        evaluation = _evaluated(model.described, staged.folder, manifest, options, rows, say)
        if rows is not None and model.described.record.HasField("seed"):
            _tell_rows(model.described, rows, manifest)
        checked = _judged(staged.folder, manifest, repository, options, rows, say)
        card = model_card(options.model, model.described, manifest, parts, checked)
        (staged.folder / MODEL_CARD_NAME).write_text(card, encoding="utf-8")
        say(f"model.onnx is {(staged.folder / GRAPH_NAME).stat().st_size / 1e6:.1f} MB")
        published = Published(staged.folder, manifest, parts, evaluation, checked)
        if report is not None:
            (staged.folder / REPORT_NAME).write_text(report(published), encoding="utf-8")
        return replace(published, folder=staged.publish(manifest))


def _tell_rows(model: DescribedModel, file: Path, manifest: bundle_pb2.Bundle) -> None:
    """The digest of a run's held-out rows, by which a leaderboard knows what was tested on the same.

    Rows that do not say what is right were not tested on, so they have none.
    """
    with suppress(UsageError):
        manifest.test_rows_sha256 = rows_digest(file, model.kind.predicts, model.labels or (model.record.target_name,))


def _evaluated(
    model: DescribedModel,
    folder: Path,
    manifest: bundle_pb2.Bundle,
    options: ExportOptions,
    file: Path | None,
    say: Say,
) -> Evaluation | None:
    """How well the staged model can be explained, which the manifest then says; None if that was not asked for."""
    if options.evaluated_inputs is None or file is None:
        return None
    staged = open_staged(folder, manifest)
    rows = read_rows(file, staged, count=options.evaluated_inputs)
    evaluation = measure(staged, rows, chosen_metrics(options.evaluated_metrics), say=say)
    manifest.interpretability.CopyFrom(as_message(evaluation))
    inputs = f"{len(rows.inputs):,} {model.origin.inputs} {model.kind.reads.plural}"
    say(f"how well it can be explained, from {inputs}:")
    for result in evaluation.results:
        say(f"  {result.metric.id}: {result.sentence}")
    return evaluation


def _judged(
    folder: Path, manifest: bundle_pb2.Bundle, repository: Path, options: ExportOptions, rows: Path | None, say: Say
) -> Checked | None:
    """Judges the staged model by a standard, if there is one, puts that on record, and returns what came of it.

    Raises StandardNotMet if it does not meet it and that is not allowed.
    """
    if options.standard is None:
        return None
    standard = read_standard(options.standard)
    tested = standard.path.parent / standard.test if standard.test != HELD_OUT else rows
    if tested is None:
        raise UsageError(
            f"{options.standard} is about held-out rows with what is right, and there are none: give rows with labels, "
            'or name a file of rows there, test = "FILE"'
        )
    model = open_staged(folder, manifest)
    checked = judge(standard, model, tested, live=live_of(repository / options.model), seeds=options.seeds, say=say)
    checked = excused(checked, options.waivers)
    for line in verdict_table(checked).splitlines():
        say(line)
    if options.waivers and not standard.takes_waivers:
        say("a server that requires this standard will not count the waivers: it does not say waivers = true")
    if checked.verdict not in (Verdict.MET, Verdict.WAIVED) and not options.allow_unmet:
        raise StandardNotMet(
            f"{verdict_sentence(checked)}: nothing was published; with --allow-unmet it is, with that on record"
        )
    checked = replace(checked, kept_rows_sha256=keep_rows(model, tested, options.kept_rows))
    as_record(checked).write(folder / STANDARD_RECORD_NAME)
    manifest.standard.CopyFrom(standard_verdict(checked))
    return checked


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


def _manifest(model: DescribedModel, parts: BundleParts) -> bundle_pb2.Bundle:
    """The manifest but for the model's name, version and files, which publication fills in."""
    manifest = bundle_pb2.Bundle(
        format_version=FORMAT_VERSION,
        precision=GRAPH_PRECISION,
        provenance=bundle_pb2.Provenance(
            data_sha256=model.record.data_sha256,
            seed=model.record.seed,
            tool_versions={**_installed_versions(), **model.record.tool_versions},
            max_logit_difference=parts.parity.absolute_difference,
        ),
        metrics=scalar_metrics(model.test_metrics),
        metric_intervals=metric_intervals(model.test_metrics),
        verdict=model.record.verdict if model.record.HasField("verdict") else None,
        logit_offsets=model.record.logit_offsets,
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
