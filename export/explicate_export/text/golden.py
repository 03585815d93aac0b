"""Golden texts of a bundle, with torch's answers and with attributions, for a server to meet on its own device.

The attributions come from the server's own engine, modality and default runtime, so what is fixed here is what is
served.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.golden import Golden
from explicate_bundle.inputs import TextInput
from explicate_export.evenly import evenly
from explicate_export.text.run import Texts
from explicate_server.explain.methods import METHODS
from explicate_server.modalities.text import TextModality
from explicate_server.modalities.words import words
from explicate_server.registry.golden_check import attribute
from explicate_server.runtime.full_batches import run_rows
from explicate_server.runtime.onnx_runtime import OnnxRuntime
from explicate_server.runtime.runtimes import usable_cores

GOLDEN_TEXTS = 32
# Four times 8 · 12 short rows: about 0.3 s of every load with MiniLM-L6 on two cores.
EXCERPTS = 4
EXCERPT_WORDS = 12
EVALUATIONS_PER_PLAYER = 8
# permutation-shap is linear in the model's values. kernel-shap chooses between fits by cross-validation, and one text
# in a hundred takes the other choice in bf16: 12 % off where 1.6 % is the most that permutation-shap was.
METHOD = "permutation-shap"
# Measured on 70 texts of 16 words, MiniLM-L6, OpenVINO against ONNX Runtime: at most 2e-6 in fp32, 0.016 in bf16.
TOLERANCE = 0.05
# Smaller attributions than this, in the unit of parity, are not compared: their relative difference would be rounding.
_LEAST_NORM = 0.1


def choose_golden(lengths: Sequence[int], count: int = GOLDEN_TEXTS, *, always: Sequence[int] = ()) -> list[int]:
    """Indices of texts spread evenly over the lengths (in tokens), the shortest and the longest among them, and of
    those that are always taken.
    """
    by_length = np.argsort(np.array(lengths), kind="stable")
    return list(dict.fromkeys([*evenly(by_length.tolist(), count), *always]))


def choose_excerpts(rows: Sequence[Texts]) -> list[Texts]:
    """The first words of a few rows of middle length and more; little enough for a server to attribute at load."""
    by_length = sorted(rows, key=length_of)
    places = np.linspace(len(rows) // 2, len(rows) - 1, EXCERPTS).round().astype(int)
    return list(dict.fromkeys(_excerpts(by_length[place]) for place in places))


def length_of(texts: Texts) -> int:
    """Code points of a text, or of both of a pair."""
    return sum(map(len, texts))


def golden_texts(rows: Sequence[Texts], outputs: NDArray[np.float32]) -> Golden:
    """The rows with their answers, not attributed yet."""
    return Golden(tuple(TextInput(*texts) for texts in rows), outputs)


def attribute_golden(
    golden: Golden,
    rows: Sequence[Texts],
    *,
    graph: Path,
    schema: bundle_pb2.TextSchema,
    tokenizer_json: str,
    unit: float = 1.0,
) -> tuple[bundle_pb2.GoldenAttributions | None, Golden]:
    """How the attributions are made, and the golden texts with those of ``rows``, which are among them.

    ``unit`` is that of a difference of outputs. Nothing is attributed, and the first is None, when the model's answers
    hardly depend on the words of any of them.
    """
    recipe = bundle_pb2.GoldenAttributions(
        method=METHOD,
        method_version=METHODS[METHOD].version,
        seed=0,
        evaluations_per_player=EVALUATIONS_PER_PLAYER,
        tolerance=TOLERANCE,
    )
    runtime = OnnxRuntime(graph, threads=usable_cores())
    most_bytes = max(len(text.encode()) for texts in rows for text in texts)
    modality = TextModality(schema, tokenizer_json, max_text_bytes=most_bytes)
    places = {value: index for index, value in enumerate(golden.inputs)}
    attributions = {}
    for index in (places[TextInput(*texts)] for texts in rows):
        values = attribute(
            golden.inputs[index],
            int(golden.outputs[index].argmax()),
            recipe=recipe,
            modality=modality,
            evaluate=lambda rows: run_rows(runtime, modality.collate, rows),
        )
        if np.linalg.norm(values) >= _LEAST_NORM * unit:
            attributions[index] = values
    return recipe if attributions else None, replace(golden, attributions=attributions)


def _excerpts(texts: Texts) -> Texts:
    return tuple(_excerpt(text, EXCERPT_WORDS // len(texts)) for text in texts)


def _excerpt(text: str, count: int) -> str:
    spans = words(text)
    return text[: spans[count - 1][1]] if len(spans) > count else text
