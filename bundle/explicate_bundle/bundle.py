"""Reading a bundle from disk and trusting nothing in it until its digests are checked."""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from google.protobuf import json_format

from explicate.v1 import bundle_pb2
from explicate_bundle.errors import BundleError, unreadable
from explicate_bundle.files.array_files import read_text
from explicate_bundle.files.onnx_file import ExternalDataError, refuse_external_data
from explicate_bundle.files.tree_arrays import TreeArrays
from explicate_bundle.golden import Golden, read_golden
from explicate_bundle.input_kind import ModelKind, kind_of, split_kind
from explicate_bundle.kinds.table_kind import read_baselines_of, read_trees_of
from explicate_bundle.manifest import checks
from explicate_bundle.signatures import verify_signature
from explicate_bundle.table_arrays import Background, LimeStatistics, read_background, read_lime_statistics
from explicate_bundle.writing import BACKGROUND_NAME, GOLDEN_NAME, GRAPH_NAME, LIME_NAME, MANIFEST_NAME, SIGNATURE_NAME

# The categories of a table's columns are in it.
_MAX_MANIFEST_BYTES = 4 << 20


@dataclass(frozen=True)
class VerifiedBundle:
    """A bundle whose files all are what its manifest says."""

    folder: Path
    manifest: bundle_pb2.Bundle
    digest: str
    """SHA-256 of manifest.json, in hexadecimal."""

    @cached_property
    def kind(self) -> ModelKind:
        """What the model reads and predicts, and how it decides."""
        kind = kind_of(self.manifest)
        assert kind is not None, "the manifest was checked"
        return replace(kind, predicts=kind.predicts.deciding(self.manifest.decision, self.manifest.class_labels))

    @property
    def model_path(self) -> Path:
        """The ONNX graph."""
        return self.folder / GRAPH_NAME

    @property
    def precisions(self) -> tuple[str, ...]:
        """What it can be served in: that of model.onnx, then those of its variants."""
        return (self.manifest.precision, *(variant.precision for variant in self.manifest.variants))

    def variant_path(self, variant: bundle_pb2.ModelVariant) -> Path:
        """The ONNX graph of one of its variants."""
        return self.folder / variant.file

    def read_text(self, name: str) -> str:
        """A text file of the bundle, by a name its manifest lists; empty if it is not listed.

        Raises:
            BundleError: it is not UTF-8.
        """
        return read_text(self.folder / name) if name in {file.name for file in self.manifest.files} else ""

    def golden(self) -> Golden:
        """The golden inputs with their outputs and attributions.

        Raises:
            BundleError: they are not in the format.
        """
        return read_golden(self.folder / GOLDEN_NAME, self.manifest)

    def check_contents(self) -> None:
        """Read what the files hold: golden inputs, and what the kind of input brings.

        Raises:
            BundleError: a file is not in the format.
        """
        self.golden()
        self.kind.reads.check_contents(self.folder, self.manifest)

    def background(self) -> Background:
        """The background rows of a tabular model.

        Raises:
            BundleError: they are not in the format.
        """
        return read_background(self.folder / BACKGROUND_NAME, self.manifest.tabular)

    def baselines(self) -> Mapping[str, Background]:
        """The groups of rows that explanations of a tabular model may be set against, by name.

        Raises:
            BundleError: they are not in the format.
        """
        return read_baselines_of(self.folder, self.manifest.tabular)

    def lime_statistics(self) -> LimeStatistics | None:
        """What lime draws a table's rows from; None if the bundle has no lime statistics.

        Raises:
            BundleError: it is not in the format.
        """
        if not self.manifest.tabular.lime_statistics:
            return None
        return read_lime_statistics(self.folder / LIME_NAME, self.manifest.tabular)

    def trees(self) -> TreeArrays | None:
        """The trees that a table's outputs are a sum of; None of a model that has none, or cannot tell them.

        Raises:
            BundleError: they are not in the format.
        """
        return read_trees_of(self.folder, self.manifest)


def verify_bundle(folder: Path, *, model: str, version: int, verify_key: Path | None = None) -> VerifiedBundle:
    """Read the manifest and check every file's size and SHA-256, and with a key the signature over all of them first.

    Raises:
        BundleError: anything is missing, altered, too large, a link, not in the manifest, not in the format, or not
            signed by the key; UnreadableError where the disk does not give what is there.
    """
    try:
        if verify_key is not None:
            verify_signature(folder, verify_key)
        manifest_bytes = _read_manifest(folder)
        manifest = _parse_manifest(manifest_bytes)
        for holds, otherwise in checks(manifest, model=model, version=version):
            if not holds:
                raise BundleError(f"manifest.json: {otherwise}")
        for file in manifest.files:
            _check_file(folder, file)
        _refuse_unlisted(folder, manifest)
    except OSError as error:
        raise unreadable(_name_below(folder, error), error) from error
    return VerifiedBundle(folder, manifest, hashlib.sha256(manifest_bytes).hexdigest())


def read_manifest(folder: Path) -> bundle_pb2.Bundle:
    """What the manifest of a folder says, in itself: whether the files are what it says is for :func:`verify_bundle`.

    Raises:
        BundleError: it is missing, too large, a link, or not in the format.
    """
    try:
        manifest = _parse_manifest(_read_manifest(folder))
    except OSError as error:
        raise unreadable(MANIFEST_NAME, error) from error
    for holds, otherwise in checks(manifest, model=manifest.model, version=manifest.version):
        if not holds:
            raise BundleError(f"manifest.json: {otherwise}")
    return manifest


def _name_below(folder: Path, error: OSError) -> str:
    """The file that an error is about; "a file" where it names none."""
    named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else None
    if named == folder:
        return "the bundle's folder"
    return named.name if named is not None and named.name else "a file"


def check_bundle(folder: Path, *, model: str, version: int) -> VerifiedBundle:
    """Verify a bundle and read all that its files hold, as a server does at load, before it is seen.

    What is left for a server are the tokenizer, the graph, and whether it gives the golden answers there.

    Raises:
        BundleError: see :func:`verify_bundle`; or a file is not in the format.
    """
    bundle = verify_bundle(folder, model=model, version=version)
    bundle.check_contents()
    return bundle


def what_is_missing(folder: Path) -> str:
    """What a folder lacks to be a whole bundle, by the sizes its manifest lists; empty if it is whole.

    Whether the files are what they should be is for :func:`verify_bundle`, which reads them.
    """
    try:
        for file in _parse_manifest(_read_manifest(folder)).files:
            _check_size(folder, file)
    except (BundleError, OSError) as error:
        return str(error)
    return ""


def _read_manifest(folder: Path) -> bytes:
    path = folder / MANIFEST_NAME
    if folder.is_symlink() or path.is_symlink():
        raise BundleError("the bundle's folder or its manifest.json is a symbolic link")
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would hold the thread that loads for ever
            raise BundleError("manifest.json is not a plain file")
        if path.stat().st_size > _MAX_MANIFEST_BYTES:
            raise BundleError(f"manifest.json is larger than {_MAX_MANIFEST_BYTES:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise unreadable(MANIFEST_NAME, error) from error


def _parse_manifest(manifest_bytes: bytes) -> bundle_pb2.Bundle:
    try:
        manifest = json_format.Parse(manifest_bytes.decode("utf-8"), bundle_pb2.Bundle())
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"manifest.json is not a bundle manifest: {error}") from error
    return split_kind(manifest)


def _refuse_unlisted(folder: Path, manifest: bundle_pb2.Bundle) -> None:
    """Whatever has no digest could be swapped unseen; and nobody put it there on purpose."""
    known = {file.name for file in manifest.files} | {MANIFEST_NAME, SIGNATURE_NAME}
    for path in sorted(folder.iterdir()):
        if path.name not in known:
            raise BundleError(f"{path.name[:64]!r} lies in the bundle's folder and is not in its manifest; remove it")


def _check_file(folder: Path, file: bundle_pb2.BundleFile) -> None:
    _check_size(folder, file)
    try:
        with (folder / file.name).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:  # one from reading does not name its file
        raise unreadable(file.name, error) from error
    if digest != file.sha256.lower():
        raise BundleError(f"{file.name} has been altered: its SHA-256 is not the manifest's")
    if file.name.endswith(".onnx"):
        try:
            refuse_external_data(folder / file.name)
        except ExternalDataError as error:
            raise BundleError(f"{file.name}: {error}") from None


def _check_size(folder: Path, file: bundle_pb2.BundleFile) -> None:
    try:
        status = os.lstat(folder / file.name)
    except FileNotFoundError:
        raise BundleError(f"{file.name} is missing or is not a plain file") from None
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(f"{file.name} is missing or is not a plain file")
    size = status.st_size
    if size != file.size_bytes:
        raise BundleError(f"{file.name} has {size:,} bytes; the manifest says {file.size_bytes:,}")
