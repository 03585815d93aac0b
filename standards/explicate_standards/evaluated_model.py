"""A bundle's model ready to be measured: in the server's own runtime, with its modality and its options.

Rows go through the runtime as golden inputs do (`run_rows`): in full batches whose make-up follows from the rows alone.
The batcher of a running server fills its batches as rows happen to arrive, which moves the last bits of a float32 from
run to run; a figure that is measured again, or after a break, must not move.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from explicate.errors import ExplicateError, UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import VerifiedBundle, verify_bundle
from explicate_bundle.errors import BundleError
from explicate_bundle.input_kind import ModelKind
from explicate_bundle.standard.record import content_sha256
from explicate_bundle.writing import MANIFEST_NAME, SIGNATURE_NAME, describe_files
from explicate_server.inference.explain_options import ExplainOptions, ResolvedOptions, check_options
from explicate_server.modalities.modalities import open_modality
from explicate_server.modalities.modality import Modality
from explicate_server.registry.records import Choices, Scales
from explicate_server.registry.runtime_choice import AUTO, NoRuntime, choose_runtime
from explicate_server.runtime.cores import usable_cores
from explicate_server.runtime.model_runtime import Runtime, run_rows
from explicate_server.runtime.queue import Row
from explicate_server.runtime.runtimes import DEFAULT_RUNTIME, RUNTIMES
from explicate_server.settings import Settings

_STAGED_VERSION = 1


class NotFinite(ExplicateError):
    """The model answers with what is not a number."""


@dataclass(frozen=True, eq=False)
class EvaluatedModel:
    """A loaded model. `settings` are a server's defaults, `others` the same with other graphs, by what was done."""

    bundle: VerifiedBundle
    modality: Modality
    runtime: Runtime
    settings: Settings
    others: "dict[str, EvaluatedModel | None]" = field(default_factory=dict, repr=False)

    @property
    def kind(self) -> ModelKind:
        """What it reads and predicts."""
        return self.bundle.kind

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Of its outputs; of a regression the name of its target."""
        return tuple(self.bundle.manifest.class_labels) or (self.bundle.manifest.target_name,)

    @cached_property
    def scales(self) -> Scales:
        """The scales that its answers are told on."""
        return Scales(len(self.labels), self.kind.predicts)

    @cached_property
    def content_sha256(self) -> str:
        """SHA-256 of what makes it answer: the same while it is staged and when it is published."""
        return content_sha256(self.bundle.manifest)

    def answers(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """The graph's answers float64[rows, outputs], finite.

        Raises:
            NotFinite: the model answers with what is not a number.
        """
        batch_tokens = self.modality.batch_tokens(self.runtime)
        answers = run_rows(self.runtime, self.modality.collate, rows, batch_tokens=batch_tokens)
        if not np.isfinite(answers).all():
            raise NotFinite(f"{self.name} answers with NaN or infinity, so it cannot be measured: train it again")
        return answers.astype(np.float64)

    def options(self, players: int, options: ExplainOptions) -> ResolvedOptions:
        """What a server would make of options for an input with so many players."""
        modality, scales = self.modality, self.scales
        choices = Choices(
            self.labels,
            scales,
            modality.maskings,
            modality.granularities,
            self.kind.reads.name,
            modality.counted,
        )
        return check_options(options, choices=choices, settings=self.settings).for_players(players)

    def in_precision(self, precision: str) -> "EvaluatedModel":
        """The same in a precision that its bundle has.

        Raises:
            UsageError: the bundle does not have it, or does not give its golden answers in it here.
        """
        if precision == self.runtime.precision:
            return self
        try:
            return replace(self, runtime=_runtime(self.bundle, self.modality, precision), others={})
        except NoRuntime as error:
            raise UsageError(f"{self.name} cannot be measured in {precision}: {error}") from None

    def with_graph(self, path: Path) -> "EvaluatedModel":
        """The same with another graph in its place."""
        runtime = RUNTIMES[DEFAULT_RUNTIME](path, threads=usable_cores(), reduced=False)
        return replace(self, runtime=runtime, others={})

    @property
    def name(self) -> str:
        """Model and version, for messages."""
        return f"{self.bundle.manifest.model} version {self.bundle.manifest.version}"


def open_published(folder: Path) -> EvaluatedModel:
    """A bundle of a repository, its digests checked.

    Raises:
        UsageError: it is not a bundle, it was altered, or no runtime gives its golden answers here.
    """
    bundle = verified(folder)
    try:
        return _opened(bundle)
    except (BundleError, NoRuntime) as error:
        raise UsageError(f"{folder} cannot be measured: {error}") from None


def verified(folder: Path) -> VerifiedBundle:
    """A bundle with its digests checked, without loading it.

    Raises:
        UsageError: it is not a bundle, or it was altered.
    """
    try:
        model, version = _named(folder)
        return verify_bundle(folder, model=model, version=version)
    except BundleError as error:
        raise UsageError(f"{folder} cannot be measured: {error}") from None


def open_staged(folder: Path, manifest: bundle_pb2.Bundle) -> EvaluatedModel:
    """A bundle that is being written: all files but the manifest and the card lie in the folder.

    Raises:
        UsageError: no runtime gives its golden answers here.
    """
    staged = bundle_pb2.Bundle()
    staged.CopyFrom(manifest)
    staged.model, staged.version = staged.model or "staged", staged.version or _STAGED_VERSION
    names = sorted(path.name for path in folder.iterdir() if path.name not in (MANIFEST_NAME, SIGNATURE_NAME))
    del staged.files[:]
    staged.files.extend(describe_files(folder, names))
    try:
        return _opened(VerifiedBundle(folder, staged, ""))
    except (BundleError, NoRuntime) as error:
        raise UsageError(f"the staged bundle cannot be measured: {error}") from None


def _opened(bundle: VerifiedBundle) -> EvaluatedModel:
    settings = Settings()
    modality = open_modality(bundle, settings)
    return EvaluatedModel(bundle, modality, _runtime(bundle, modality, AUTO), settings)


def _runtime(bundle: VerifiedBundle, modality: Modality, precision: str) -> Runtime:
    """What a server on this machine's CPU would take."""
    runtime, _ = choose_runtime(bundle, modality, runtime=DEFAULT_RUNTIME, threads=usable_cores(), precision=precision)
    return runtime


def _named(folder: Path) -> tuple[str, int]:
    """The model and version that a bundle's manifest names; whether they are right is for `verify_bundle`.

    A bundle may be measured where it was copied to, whatever that folder is called.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise UsageError(
            f"{folder} is not a bundle: it has no {MANIFEST_NAME}; give the folder of a version, such as "
            "repository/reviews/1"
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        return str(cast(object, manifest["model"])), int(manifest["version"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{MANIFEST_NAME} is not a bundle manifest ({type(error).__name__})") from None
