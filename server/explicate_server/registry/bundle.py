"""Reading a bundle from disk and trusting nothing in it until its digests are checked."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format

from explicate.v1 import bundle_pb2
from explicate_server.registry.golden import Golden, GoldenFormatError, read_golden

FORMAT_VERSION = 1
MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_MANIFEST_BYTES = 1 << 20
_MAX_CLASSES = 10_000
_MAX_EVALUATIONS_PER_PLAYER = 1024
_REQUIRED_FILES = ("model.onnx", "golden.npz", "tokenizer.json")
_GRAPH_INPUTS = frozenset({"input_ids", "attention_mask", "position_ids", "token_type_ids"})


class BundleError(Exception):
    """A bundle cannot be trusted or understood; the message says what is wrong with it."""


@dataclass(frozen=True)
class VerifiedBundle:
    """A bundle whose files all are what its manifest says."""

    folder: Path
    manifest: bundle_pb2.Bundle
    digest: str
    """SHA-256 of manifest.json, in hexadecimal."""

    @property
    def model_path(self) -> Path:
        """The ONNX graph."""
        return self.folder / "model.onnx"

    def read_text(self, name: str) -> str:
        """A text file of the bundle, by a name its manifest lists; empty when it is not listed."""
        if name not in {file.name for file in self.manifest.files}:
            return ""
        return (self.folder / name).read_text(encoding="utf-8")

    def golden(self) -> Golden:
        """The golden texts with their outputs and attributions.

        Raises:
            BundleError: they are not in the format.
        """
        manifest = self.manifest
        try:
            return read_golden(
                self.folder / "golden.npz",
                classes=len(manifest.class_labels),
                attributed=manifest.HasField("golden_attributions"),
            )
        except GoldenFormatError as error:
            raise BundleError(str(error)) from error


def verify_bundle(folder: Path, *, model: str, version: int) -> VerifiedBundle:
    """Read the manifest and check every file's size and SHA-256.

    Raises:
        BundleError: anything is missing, altered, too large, a link, or not in the format.
    """
    manifest_bytes = _read_manifest(folder)
    manifest = _parse_manifest(manifest_bytes)
    _check_manifest(manifest, model=model, version=version)
    for file in manifest.files:
        _check_file(folder, file)
    return VerifiedBundle(folder, manifest, hashlib.sha256(manifest_bytes).hexdigest())


def _read_manifest(folder: Path) -> bytes:
    path = folder / "manifest.json"
    if folder.is_symlink() or path.is_symlink():
        raise BundleError("the bundle's folder or its manifest.json is a symbolic link")
    try:
        if path.stat().st_size > _MAX_MANIFEST_BYTES:
            raise BundleError(f"manifest.json is larger than {_MAX_MANIFEST_BYTES:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"manifest.json cannot be read: {error.strerror}") from error


def _parse_manifest(manifest_bytes: bytes) -> bundle_pb2.Bundle:
    try:
        return json_format.Parse(manifest_bytes.decode("utf-8"), bundle_pb2.Bundle())
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"manifest.json is not a bundle manifest: {error}") from error


def _check_manifest(manifest: bundle_pb2.Bundle, *, model: str, version: int) -> None:
    """Raise unless the manifest describes this model and version in a form this server understands."""
    text = manifest.text
    names = [file.name for file in manifest.files]
    checks = (
        (
            manifest.format_version == FORMAT_VERSION,
            f"format_version is {manifest.format_version}, not {FORMAT_VERSION}",
        ),
        (manifest.model == model, f"model is {manifest.model!r}, its folder says {model!r}"),
        (manifest.version == version, f"version is {manifest.version}, its folder says {version}"),
        (manifest.kind == bundle_pb2.MODEL_KIND_TEXT_CLASSIFICATION, f"kind {manifest.kind} is not known"),
        (2 <= len(manifest.class_labels) <= _MAX_CLASSES, f"{len(manifest.class_labels)} class_labels"),
        (len(set(manifest.class_labels)) == len(manifest.class_labels), "class_labels repeat"),
        (manifest.golden_tolerance > 0, "golden_tolerance is not above 0"),
        (manifest.golden_reduced_tolerance >= 0, "golden_reduced_tolerance is below 0"),
        *_attribution_checks(manifest),
        (8 <= text.max_tokens <= 1 << 16, f"text.max_tokens is {text.max_tokens}"),
        ({"input_ids", "attention_mask"} <= set(text.inputs) <= _GRAPH_INPUTS, f"text.inputs are {list(text.inputs)}"),
        (len(set(text.inputs)) == len(text.inputs), "text.inputs repeat"),
        (not text.token_dropping or "position_ids" in text.inputs, "text.token_dropping without position_ids"),
        (text.padding_id >= 0 and text.mask_id >= 0 and text.first_position >= 0, "an id in text is negative"),
        (len(set(names)) == len(names), "files repeat"),
        *((name in names, f"files do not list {name}") for name in _REQUIRED_FILES),
        *(
            (_FILE_NAME.fullmatch(name) is not None, f"files name {name!r}, which is no plain file name")
            for name in names
        ),
    )
    for holds, otherwise in checks:
        if not holds:
            raise BundleError(f"manifest.json: {otherwise}")


def _attribution_checks(manifest: bundle_pb2.Bundle) -> list[tuple[bool, str]]:
    if not manifest.HasField("golden_attributions"):
        return []
    recipe = manifest.golden_attributions
    return [
        (recipe.tolerance > 0, "golden_attributions.tolerance is not above 0"),
        (
            1 <= recipe.evaluations_per_player <= _MAX_EVALUATIONS_PER_PLAYER,
            f"golden_attributions.evaluations_per_player is {recipe.evaluations_per_player}",
        ),
    ]


def _check_file(folder: Path, file: bundle_pb2.BundleFile) -> None:
    path = folder / file.name
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{file.name} is missing or is not a plain file")
    size = path.stat().st_size
    if size != file.size_bytes:
        raise BundleError(f"{file.name} has {size:,} bytes; the manifest says {file.size_bytes:,}")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != file.sha256.lower():
        raise BundleError(f"{file.name} has been altered: its SHA-256 is not the manifest's")
