"""The golden texts of a text bundle: inputs with the answers that the exported model gave.

``golden.npz`` holds, without pickle: ``text_utf8`` uint8[bytes], all texts one after the other in UTF-8;
``text_offsets`` int64[texts + 1], where each begins and ends; for a model that reads pairs ``pair_utf8`` and
``pair_offsets``, the second texts; ``logits`` float32[texts, outputs], or the values; and, where the manifest says how
they were made, ``attribution_texts`` int64[k], indices of the texts that were attributed,
``attribution_offsets`` int64[k + 1] and ``attribution_values`` float32[values], one per word.

The golden rows of a tabular bundle: rows with the answers that the exported model gave.

``golden.npz`` holds, without pickle: ``numbers`` float32[rows, number columns] and ``codes`` int64[rows, other columns]
in the graph's form; ``outputs`` float32[rows, outputs], logits or the value; and, where the manifest says how they were
made, ``attribution_rows`` int64[k], indices of the rows that were attributed, with their values as texts have them
(golden.py), one per column or group.

The golden images of an image bundle: files with the answers that the exported model gave.

``golden.npz`` holds, without pickle: ``contents`` uint8[bytes], all image files one after the other;
``content_offsets`` int64[images + 1], where each begins and ends; ``outputs`` float32[images, outputs], logits or the
value; and, where the manifest says how they were made, ``attribution_images`` int64[k], indices of the images that were
attributed, with their values as texts have them (golden.py), one per cell of the grid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import TabularSchema
from explicate_bundle.arrays import opened_arrays
from explicate_bundle.columns import TableColumns
from explicate_bundle.errors import BundleError
from explicate_server.modalities.modality import ImageInput, TabularInput, TextInput


@dataclass(frozen=True)
class Golden:
    """Texts and what they must give.

    Attributes:
        texts: the texts.
        logits: float32[texts, outputs]; of a regression its values.
        attributions: by index of a text, float64[words]: of the highest golden logit, or of the value.
        pairs: the second texts; None for a model that reads one.
    """

    texts: tuple[str, ...]
    logits: NDArray[np.float32]
    attributions: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)
    pairs: tuple[str, ...] | None = None

    @cached_property
    def inputs(self) -> tuple[TextInput, ...]:
        """The texts as they are asked."""
        return tuple(map(TextInput, self.texts, self.pairs or [None] * len(self.texts)))

    @property
    def outputs(self) -> NDArray[np.float32]:
        """What the model must give."""
        return self.logits


def read_golden(path: Path, *, classes: int, attributed: bool, pairs: bool = False) -> Golden:
    """Read and check the file; ``attributed`` and ``pairs`` say whether it must hold attributions and second texts.

    Raises:
        BundleError: it is not in the format.
    """
    with opened_arrays(path) as arrays:
        texts = _read_texts(arrays, "text")
        second = _read_texts(arrays, "pair") if pairs else None
        logits = arrays["logits"].astype(np.float32)
        attributions = read_attributions(arrays, "attribution_texts") if attributed else {}
    if not texts or logits.shape != (len(texts), classes):
        raise BundleError(f"golden.npz has {len(texts)} texts and logits of shape {logits.shape}")
    if not all(0 <= index < len(texts) for index in attributions):
        raise BundleError(f"golden.npz has attributions of texts {list(attributions)}, but {len(texts)} texts")
    if second is not None and len(second) != len(texts):
        raise BundleError(f"golden.npz has {len(texts)} texts, but {len(second)} second texts of pairs")
    return Golden(texts, logits, attributions, second)


def write_golden(path: Path, golden: Golden) -> None:
    """Write the file."""
    arrays = {
        **_text_arrays(golden.texts, "text"),
        **({} if golden.pairs is None else _text_arrays(golden.pairs, "pair")),
        "logits": golden.logits.astype(np.float32),
        **attribution_arrays(golden.attributions, "attribution_texts"),
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]  # the stubs take the arrays for the flag allow_pickle


def _read_texts(arrays: Mapping[str, NDArray[Any]], name: str) -> tuple[str, ...]:
    data = arrays[f"{name}_utf8"].astype(np.uint8).tobytes()
    return tuple(data[start:end].decode("utf-8") for start, end in pairwise(arrays[f"{name}_offsets"].tolist()))


def _text_arrays(texts: Sequence[str], name: str) -> dict[str, NDArray[Any]]:
    encoded = [text.encode("utf-8") for text in texts]
    return {
        f"{name}_utf8": np.frombuffer(b"".join(encoded), dtype=np.uint8),
        f"{name}_offsets": _offsets([len(text) for text in encoded]),
    }


def attribution_arrays(attributions: Mapping[int, NDArray[np.float64]], indices: str) -> dict[str, NDArray[Any]]:
    """The arrays that hold attributions; ``indices`` names the one that says of which inputs they are."""
    if not attributions:
        return {}
    values = list(attributions.values())
    return {
        indices: np.array(list(attributions), dtype=np.int64),
        "attribution_offsets": _offsets([len(each) for each in values]),
        "attribution_values": np.concatenate(values).astype(np.float32),
    }


def read_attributions(arrays: Mapping[str, NDArray[Any]], indices: str) -> dict[int, NDArray[np.float64]]:
    """Attributions by the index of their input.

    Raises:
        KeyError, ValueError: they are not in the format.
    """
    inputs, offsets = arrays[indices].tolist(), arrays["attribution_offsets"].tolist()
    values = arrays["attribution_values"].astype(np.float64)
    ends = [0, *offsets[1:]]
    if not inputs or len(offsets) != len(inputs) + 1 or len(set(inputs)) != len(inputs):
        raise ValueError(f"{len(inputs)} attributed inputs with {len(offsets)} offsets")
    if offsets != sorted(ends) or offsets[-1] != len(values) or not np.isfinite(values).all():
        raise ValueError("the attributions' offsets do not fit their values, or a value is not finite")
    return {index: values[start:end] for index, (start, end) in zip(inputs, pairwise(offsets), strict=True)}


def _offsets(lengths: list[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


@dataclass(frozen=True)
class GoldenRows:
    """Rows and what they must give.

    Attributes:
        schema: of the columns.
        numbers: float32[rows, number columns].
        codes: int64[rows, other columns].
        outputs: float32[rows, outputs].
        attributions: by index of a row, float64[players]: of the logit with the highest golden one, or of the value.
    """

    schema: TabularSchema
    numbers: NDArray[np.float32]
    codes: NDArray[np.int64]
    outputs: NDArray[np.float32]
    attributions: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)

    @cached_property
    def inputs(self) -> tuple[TabularInput, ...]:
        """The rows as they are asked."""
        columns = TableColumns(self.schema)
        return tuple(
            TabularInput(columns.cells_of(numbers, codes))
            for numbers, codes in zip(self.numbers, self.codes, strict=True)
        )


def read_golden_rows(path: Path, schema: TabularSchema, *, outputs: int, attributed: bool) -> GoldenRows:
    """Read and check the file; ``attributed`` says whether it must hold attributions.

    Raises:
        BundleError: it is not in the format.
    """
    with opened_arrays(path) as arrays:
        golden = GoldenRows(
            schema,
            arrays["numbers"].astype(np.float32),
            arrays["codes"].astype(np.int64),
            arrays["outputs"].astype(np.float32),
            read_attributions(arrays, "attribution_rows") if attributed else {},
        )
    rows = len(golden.outputs)
    if not rows or golden.outputs.shape != (rows, outputs) or len(golden.codes) != rows:
        raise BundleError(
            f"golden.npz has {len(golden.codes)} rows and outputs of shape {golden.outputs.shape}; the model has "
            f"{outputs} outputs"
        )
    if not TableColumns(schema).fits(golden.numbers, golden.codes):
        raise BundleError("golden.npz has rows that are not of the manifest's columns")
    if not all(0 <= index < rows for index in golden.attributions):
        raise BundleError(f"golden.npz has attributions of rows {list(golden.attributions)}, but {rows} rows")
    return golden


def write_golden_rows(path: Path, golden: GoldenRows) -> None:
    """Write the file."""
    arrays = {
        "numbers": golden.numbers.astype(np.float32),
        "codes": golden.codes.astype(np.int64),
        "outputs": golden.outputs.astype(np.float32),
        **attribution_arrays(golden.attributions, "attribution_rows"),
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]  # the stubs take the arrays for the flag allow_pickle


@dataclass(frozen=True)
class GoldenImages:
    """Images and what they must give.

    Attributes:
        contents: the image files.
        outputs: float32[images, outputs].
        attributions: by index of an image, float64[cells]: of the logit with the highest golden one, or of the value.
    """

    contents: tuple[bytes, ...]
    outputs: NDArray[np.float32]
    attributions: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)

    @cached_property
    def inputs(self) -> tuple[ImageInput, ...]:
        """The images as they are asked."""
        return tuple(map(ImageInput, self.contents))


def read_golden_images(path: Path, *, outputs: int, attributed: bool) -> GoldenImages:
    """Read and check the file; ``attributed`` says whether it must hold attributions.

    Raises:
        BundleError: it is not in the format.
    """
    with opened_arrays(path) as arrays:
        data, offsets = arrays["contents"].astype(np.uint8).tobytes(), arrays["content_offsets"].tolist()
        golden = GoldenImages(
            tuple(data[start:end] for start, end in pairwise(offsets)),
            arrays["outputs"].astype(np.float32),
            read_attributions(arrays, "attribution_images") if attributed else {},
        )
    images = len(golden.contents)
    if offsets[:1] != [0] or offsets[-1:] != [len(data)] or offsets != sorted(offsets):
        raise BundleError("golden.npz has offsets that do not fit its images")
    if not images or golden.outputs.shape != (images, outputs):
        raise BundleError(
            f"golden.npz has {images} images and outputs of shape {golden.outputs.shape}; the model has {outputs} "
            "outputs"
        )
    if not all(0 <= index < images for index in golden.attributions):
        raise BundleError(f"golden.npz has attributions of images {list(golden.attributions)}, of {images}")
    return golden


def write_golden_images(path: Path, golden: GoldenImages) -> None:
    """Write the file."""
    arrays = {
        "contents": np.frombuffer(b"".join(golden.contents), dtype=np.uint8),
        "content_offsets": np.cumsum([0, *map(len, golden.contents)]).astype(np.int64),
        "outputs": golden.outputs.astype(np.float32),
        **attribution_arrays(golden.attributions, "attribution_images"),
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]  # the stubs take the arrays for the flag allow_pickle
