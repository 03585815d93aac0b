"""The golden texts of a text bundle: inputs with the answers that the exported model gave.

``golden.npz`` holds, without pickle: ``text_utf8`` uint8[bytes], all texts one after the other in UTF-8;
``text_offsets`` int64[texts + 1], where each begins and ends; for a model that reads pairs ``pair_utf8`` and
``pair_offsets``, the second texts; ``logits`` float32[texts, outputs], or the values; and, where the manifest says how
they were made, ``attribution_texts`` int64[k], indices of the texts that were attributed,
``attribution_offsets`` int64[k + 1] and ``attribution_values`` float32[values], one per word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.arrays import opened_arrays
from explicate_bundle.errors import BundleError
from explicate_server.modalities.modality import TextInput


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
