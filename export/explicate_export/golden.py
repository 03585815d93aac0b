"""Golden texts of a bundle: inputs with the answers torch gave, for a server to run on its own device.

`golden.npz` holds, without pickle: `text_utf8` uint8 [bytes], all texts one after the other in UTF-8; `text_offsets`
int64 [texts + 1], where each begins and ends; `logits` float32 [texts, classes].
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GOLDEN_TEXTS = 32


def choose_golden(lengths: Sequence[int], count: int = GOLDEN_TEXTS) -> list[int]:
    """Indices of texts spread evenly over the lengths (in tokens), the shortest and the longest among them."""
    by_length = np.argsort(np.array(lengths), kind="stable")
    places = np.linspace(0, len(by_length) - 1, min(count, len(by_length))).round().astype(int)
    return [int(index) for index in by_length[places]]


def write_golden(path: Path, texts: Sequence[str], logits: NDArray[np.float32]) -> None:
    """Writes golden.npz; logits float32 [texts, classes]."""
    encoded = [text.encode() for text in texts]
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in encoded])]).astype(np.int64)
    np.savez(
        path,
        text_utf8=np.frombuffer(b"".join(encoded), dtype=np.uint8),
        text_offsets=offsets,
        logits=np.asarray(logits, dtype=np.float32),
    )


def read_golden(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    """The texts and their logits float32 [texts, classes]."""
    with np.load(path, allow_pickle=False) as arrays:
        data, offsets, logits = arrays["text_utf8"].tobytes(), arrays["text_offsets"], arrays["logits"]
    texts = [data[start:end].decode() for start, end in pairwise(offsets)]
    return texts, logits
