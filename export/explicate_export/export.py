"""From a run directory to a published bundle, step by step; nothing is published unless every comparison holds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from explicate_bundle.errors import SignatureError
from explicate_bundle.signatures import check_sign_key
from explicate_bundle.writing import GRAPH_NAME, MODEL_CARD_NAME
from explicate_export.contents import ModelExport, Say
from explicate_export.description import describe
from explicate_export.errors import UsageError
from explicate_export.image.conversion import open_image_run
from explicate_export.image.run import KINDS as IMAGE_KINDS
from explicate_export.model_card import model_card
from explicate_export.publish import check_target, stage_bundle
from explicate_export.table.conversion import open_tabular_run
from explicate_export.table.run import KINDS as TABULAR_KINDS
from explicate_export.text.conversion import open_text_run
from explicate_export.text.run import KINDS as TEXT_KINDS
from explicate_export.training_run import RUN_NAME, read_kind

KINDS: Mapping[str, Callable[[Path, Say], ModelExport]] = {
    **dict.fromkeys(TEXT_KINDS, open_text_run),
    **dict.fromkeys(TABULAR_KINDS, open_tabular_run),
    **dict.fromkeys(IMAGE_KINDS, open_image_run),
}


def open_run(directory: Path, say: Say) -> ModelExport:
    """Reads a run directory and loads its model; raises UsageError, naming the file that is missing or wrong."""
    kind = read_kind(directory)
    if kind not in KINDS:
        raise UsageError(
            f"{directory / RUN_NAME}: kind is {kind!r}, and what can be exported is {', '.join(map(repr, KINDS))}"
        )
    return KINDS[kind](directory, say)


DEFAULT_COMPARED_INPUTS = 256


@dataclass(frozen=True)
class ExportOptions:
    """What to publish, on how many held-out inputs to compare, and the private key to sign with."""

    model: str
    version: int | None = None
    compared_inputs: int = DEFAULT_COMPARED_INPUTS
    sign_key: Path | None = None


def export_run(run_directory: Path, repository: Path, options: ExportOptions, *, say: Say = lambda _: None) -> Path:
    """Converts, compares and publishes; returns the bundle's folder. `say` gets a line for each step.

    Raises UsageError (the run, name or version), ConversionError, ParityError or PublicationError.
    """
    check_target(repository, options.model, version=options.version)
    if options.sign_key is not None:
        try:
            check_sign_key(options.sign_key)
        except SignatureError as error:
            raise UsageError(f"{error} (--sign-key)") from None
    model = open_run(run_directory, say)
    with stage_bundle(repository, options.model, version=options.version, sign_key=options.sign_key) as staged:
        contents = model.fill(staged.folder, compared_inputs=options.compared_inputs, say=say)
        manifest = describe(model.run, contents)
        card = model_card(options.model, model.run, manifest, contents)
        (staged.folder / MODEL_CARD_NAME).write_text(card, encoding="utf-8")
        say(f"model.onnx is {(staged.folder / GRAPH_NAME).stat().st_size / 1e6:.1f} MB")
        return staged.publish(manifest)
