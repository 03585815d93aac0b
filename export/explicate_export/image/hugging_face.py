"""Hugging Face directories of images that somebody else fine-tuned, as bundles.

Resizing and cutting are a server's, scaling and normalising the graph's, all by the settings of the directory's image
processor. The original is transformers with that processor on Pillow, one image at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any  # transformers has no usable types; cells and labels

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoImageProcessor, AutoModelForImageClassification

from explicate.v1.training_run_pb2 import PixelNormalisation, TrainingRun
from explicate_bundle.images import UnreadableImage, decode
from explicate_bundle.model_inputs import ImageInput
from explicate_export.conversion import Say
from explicate_export.described import HeldOutInput
from explicate_export.errors import UsageError, first_line
from explicate_export.golden_inputs import spread_evenly
from explicate_export.image.conversion import ImageExport, NormalisedModel, read_by
from explicate_export.onnx_graph import read_pretrained
from explicate_export.ready_graph import quiet
from explicate_export.sources.given_labels import label_of
from explicate_export.sources.given_rows import read_given
from explicate_export.sources.hugging_face import MEND, Answers, ModelDirectory, described
from explicate_export.sources.sources import Brought, BundleRequest
from explicate_training.image.processor import ImageProcessor, read_exactly

_PROCESSOR = "preprocessor_config.json"
_ADVICE = "a model of another family can be bundled, such as ViT, ConvNeXt, Swin or ResNet"
_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
Given = tuple[HeldOutInput, Any]
"""An image or its file, and what is right of it, or None."""


def bring(directory: ModelDirectory, request: BundleRequest, say: Say) -> Brought:
    """Loads a directory's model and asks transformers about the given images; see `sources.Source`."""
    labels, several = directory.named_outputs(request), directory.several(request)
    if request.max_tokens is not None:
        raise UsageError("--max-tokens is for models of texts")
    if not (directory.path / _PROCESSOR).is_file():
        raise UsageError(f"{directory.path} has no {_PROCESSOR}: save the image processor beside the model")
    channels = directory.config.get("num_channels", 3)
    if channels != 3:
        raise UsageError(
            f"{directory.path} reads images of {channels} channels, and a server gives a model three (RGB)"
        )
    given = list(_given(request, labels, several=several))
    chosen = spread_evenly(given, request.compared)
    say(f"loading {directory.path}, a {directory.architecture}")
    (model,) = read_pretrained(directory.path, AutoModelForImageClassification, safe=directory.safe, mend=MEND)
    original = _processor(directory.path)
    settings = read_exactly(original.to_dict(), str(directory.path))
    record = _record(settings, _patch_size(model.config))
    module = NormalisedModel(model, record.normalisation, None).eval()
    mend = f"{_PROCESSOR} has another size than the model"
    read = read_by(module, record.image, directory.path, mend=mend, advice=_ADVICE)
    say(f"asking transformers about {len(chosen)} of {len(given)} images")
    outputs = np.stack([_asked(model, original, value) for value, _ in chosen])
    answers = Answers([value for value, _ in chosen], outputs, [right for _, right in chosen])
    about = described(directory, request, record, answers, encoder="the model's own image processor")
    return Brought(ImageExport(about, answers.held_out(about), read), answers.right, list(directory.notes(request)))


def _processor(path: Path) -> Any:
    """transformers' own, on Pillow: what runs on torchvision resizes otherwise."""
    try:
        with quiet():
            found: Any = AutoImageProcessor
            return found.from_pretrained(path, local_files_only=True, trust_remote_code=False, backend="pil")
    except Exception as error:  # transformers passes on whatever its parts raise
        raise UsageError(f"{path / _PROCESSOR} cannot be used ({first_line(error)}): {MEND}") from error


@torch.no_grad()
def _asked(model: Any, processor: Any, value: HeldOutInput) -> NDArray[np.float32]:
    """What transformers answers for one image, float32 [outputs]."""
    content = value.read_bytes() if isinstance(value, Path) else _content(value)
    try:
        image = decode(content)
    except UnreadableImage as error:
        raise UsageError(f"the image {value if isinstance(value, Path) else 'of a row'} {error}") from None
    answers = model(**processor(images=image, return_tensors="pt")).logits
    return np.asarray(answers[0].numpy(), dtype=np.float32)


def _content(value: HeldOutInput) -> bytes:
    assert isinstance(value, ImageInput)
    return value.content


def _record(settings: ImageProcessor, patch_size: int) -> TrainingRun:
    return TrainingRun(
        image=settings.preparation.schema(patch_size),
        normalisation=PixelNormalisation(mean=settings.mean, std=settings.std, rescale=settings.rescale),
    )


def _patch_size(config: Any) -> int:
    """Pixels of the edge of the patches that the model reads; 0 if it reads none, or patches that are not square."""
    size = getattr(config, "patch_size", 0)
    return size if isinstance(size, int) else 0


def _given(request: BundleRequest, labels: Sequence[str], *, several: bool) -> Iterator[Given]:
    """The images of a folder, or those that a file of rows names; raises UsageError if there are none."""
    if not request.inputs.is_dir():
        yield from _of_rows(request, labels, several=several)
        return
    files = sorted(path for path in request.inputs.rglob("*") if path.suffix.lower() in _ENDINGS and path.is_file())
    if not files:
        raise UsageError(f"{request.inputs} has no images: give a folder of some, or a file that names them")
    folders = {path.parent.name for path in files if path.parent != request.inputs}
    told = bool(labels) and not several and folders <= set(labels)  # a folder for each label
    for path in files:
        inner = path.parent != request.inputs
        yield path, path.parent.name if told and inner else None


def _of_rows(request: BundleRequest, labels: Sequence[str], *, several: bool) -> Iterator[Given]:
    """The images that the rows of a file have, or name by paths from its folder."""
    given = read_given(request.inputs, [request.columns.get(name, name) for name in ("image", "label")])
    column, label = given.column("image", request.columns), given.column("label", request.columns, optional=True)
    assert column is not None
    for place, row in given.rows:
        try:
            right = None if label is None else label_of(row.get(label), labels, several=several)
            yield _image(row.get(column), request.inputs.parent), right
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None


def _image(cell: Any, folder: Path) -> HeldOutInput:
    """An image by its bytes, as datasets keep them, or by its path; raises UsageError for what is neither."""
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes):
        return ImageInput(cell)
    if not isinstance(cell, str) or not cell.strip() or "\0" in cell:
        raise UsageError("there is no image: give its path")
    path = folder / cell
    if not path.is_file():
        raise UsageError(f"the image {cell} is not there; paths are from the folder of the file of rows")
    return path
