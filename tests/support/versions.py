"""A repository whose model "tiny" has versions that can be told apart by their answers."""

import shutil
from pathlib import Path

from explicate.v1 import inference_service_pb2 as messages
from support.bundle_edits import edit_manifest
from support.tiny_bundle import CONSTANT_LOGITS, build_onnx_variant


def copy_with_constant_version(tiny_repository: Path, target: Path) -> Path:
    """A copy in which version 1 of "tiny" is as it was and version 2 answers CONSTANT_LOGITS whatever it reads."""
    repository = Path(shutil.copytree(tiny_repository, target))
    assert build_onnx_variant(repository, model="tiny", constant=True).name == "2"
    return repository


def publish_copy(repository: Path, version: int, *, of: int = 1, model: str = "tiny") -> Path:
    """Publishes a version again under another number, with one rename; returns its folder."""
    staging = repository / f".staging-{model}-{version}"
    shutil.copytree(repository / model / str(of), staging)
    edit_manifest(staging, lambda manifest: manifest.update(version=version))
    return staging.rename(repository / model / str(version))


def break_golden(folder: Path) -> None:
    """Makes a bundle that its server must refuse."""
    (folder / "golden.npz").write_bytes(b"no archive")


def is_constant(prediction: messages.Prediction) -> bool:
    """Whether the constant version gave this answer."""
    return tuple(score.logit for score in prediction.classification.scores) == CONSTANT_LOGITS
