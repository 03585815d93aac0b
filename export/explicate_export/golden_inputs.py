"""Golden inputs of a bundle, with torch's answers and with attributions, for a server to meet on its own device.

The attributions come from the server's own engine, modality and default runtime, so what is fixed here is what is
served. Which inputs are golden, and how much attributing them may cost at every load, is each kind's to say.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.golden import Golden
from explicate_bundle.model_inputs import ModelInput
from explicate_server.device import AUTO
from explicate_server.explain.explain_game import GameExplanation
from explicate_server.explain.methods import METHODS
from explicate_server.modalities.modality import EncodedInput, Modality
from explicate_server.registry.golden_check import Evaluate, attribute
from explicate_server.runtime.cores import usable_cores
from explicate_server.runtime.device_faults import DeviceOutOfMemory
from explicate_server.runtime.devices.device_kinds import loaders_on, place
from explicate_server.runtime.model_runtime import Runtime, RuntimeUnavailable, run_rows
from explicate_server.runtime.onnx_runtime import OnnxRuntime
from explicate_server.runtime.runtimes import DEFAULT_RUNTIME

# In the unit that parity is measured in. Another processor or device adds in another order: ten times what export
# itself allows. A wrong graph, tokenizer or weight is off by far more.
GOLDEN_TOLERANCE = 1e-3
# permutation-shap is linear in the model's values. kernel-shap chooses between fits by cross-validation, and one text
# in a hundred takes the other choice in bf16: 12 % off where 1.6 % is the most that permutation-shap was.
METHOD = "permutation-shap"
# Measured on 70 texts of 16 words, MiniLM-L6, OpenVINO against ONNX Runtime: at most 2e-6 in fp32, 0.016 in bf16.
TOLERANCE = 0.05
LEAST_EVALUATIONS = 8  # of an input, however few players it has
# Smaller attributions than this, in the unit of parity, are not compared: their relative difference would be rounding.
_LEAST_NORM = 0.1

_Thing = TypeVar("_Thing")
_log = logging.getLogger(__name__)


def spread_evenly(things: Sequence[_Thing], count: int) -> list[_Thing]:
    """At most `count` of the things in their order, the first and the last among them."""
    places = np.linspace(0, len(things) - 1, min(count, len(things))).round().astype(int)
    return [things[place] for place in dict.fromkeys(places.tolist())]


@dataclass(frozen=True)
class Compared:
    """What graph and torch are compared on: some held-out inputs, then edge cases of the kind."""

    values: Sequence[ModelInput]
    encoded: Sequence[EncodedInput]
    reference: NDArray[np.float32]  # [inputs, outputs], torch's
    held_out: int  # how many of them are held-out ones


@dataclass(frozen=True)
class GoldenChoice:
    """What is golden of the compared inputs, and how some of that is attributed."""

    chosen: Sequence[int]  # indices of compared inputs
    attributed: Sequence[int]  # some of the chosen; none if attributing one would slow every load
    evaluations_per_player: int = 0
    segments: int = 0  # of an image's grid


@dataclass(frozen=True)
class GoldenParts:
    """The golden inputs, how their attributions were made, and these with their intervals, by index of an input."""

    golden: Golden
    recipe: bundle_pb2.GoldenAttributions | None  # None if nothing is attributed
    explanations: Mapping[int, GameExplanation]


def golden_inputs(
    compared: Compared, choice: GoldenChoice, *, graph: Path, modality: Modality, unit: float
) -> GoldenParts:
    """The chosen inputs, some with attributions of the highest output.

    Attributions that hardly depend on any player are left out; `unit` is that of a difference of outputs.
    """
    recipe = bundle_pb2.GoldenAttributions(
        method=METHOD,
        method_version=METHODS[METHOD].version,
        seed=0,
        evaluations_per_player=choice.evaluations_per_player,
        tolerance=TOLERANCE,
        segments=choice.segments or None,
        players_version=modality.players_version or None,
    )
    evaluate = evaluated(graph, modality)
    explanations = {}
    for index in choice.attributed:
        highest = int(compared.reference[index].argmax())
        explanation = attribute(compared.values[index], highest, recipe=recipe, modality=modality, evaluate=evaluate)
        if np.linalg.norm(explanation.values) >= _LEAST_NORM * unit:
            explanations[list(choice.chosen).index(index)] = explanation
    attributions = {index: explanation.values for index, explanation in explanations.items()}
    inputs = tuple(compared.values[index] for index in choice.chosen)
    golden = Golden(inputs, compared.reference[list(choice.chosen)], attributions)
    return GoldenParts(golden, recipe if attributions else None, explanations)


def evaluated(graph: Path, modality: Modality, *, on_cpu: bool = False) -> Evaluate:
    """The answers of a graph, float32[rows, outputs] of model rows, in the server's default runtime.

    It runs on a GPU when there is one, unless `on_cpu`: attributing takes hundreds of rows of each input.
    """
    runtime = OnnxRuntime(graph, threads=usable_cores()) if on_cpu else _on_a_device(graph)
    batch_tokens = modality.batch_tokens(runtime)
    return lambda rows: run_rows(runtime, modality.collate, rows, batch_tokens=batch_tokens)


def _on_a_device(graph: Path) -> Runtime:
    """A session where a server would have it; on the CPU, too, where a device is there but does not take the graph."""
    placement = place(AUTO, runtime=DEFAULT_RUNTIME)
    load = loaders_on(placement.devices[0], placement, memory_bytes=0)[DEFAULT_RUNTIME]
    try:
        return load(graph, threads=usable_cores(), reduced=False)
    except (RuntimeUnavailable, DeviceOutOfMemory) as error:
        _log.warning("golden attributions are made on the CPU: %s", error)
        return OnnxRuntime(graph, threads=usable_cores())
