"""Whether a variant of model.onnx answers and explains as it does: on the golden inputs, in the server's own runtime.

What a server will hold a variant to at every load is held here first: outputs on the scale that callers are told, and
attributions. Here it must also keep the order of all pairs of players that model.onnx tells apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.objective import Objective
from explicate_bundle.writing import variant_name
from explicate_export.errors import first_line
from explicate_export.golden_inputs import GoldenParts, evaluated
from explicate_export.parity import Scale
from explicate_export.ready_graph import quiet
from explicate_export.variants.precisions import WAYS, Way, write_variant
from explicate_server.explain.explain_game import GameExplanation
from explicate_server.modalities.modality import Modality
from explicate_server.registry.golden_check import attribute, relative_difference, score_difference
from explicate_server.runtime.model_runtime import Feeds

OUTPUT_TOLERANCE = 5e-3
"""Of a probability, or of the spread of a regression's target."""
ATTRIBUTION_TOLERANCE = 0.02
"""||a - b|| / ||b|| of an input's attributions."""
_FOR_CPUS = ("int8",)  # a GPU runs most of it in other kernels, or not at all
_MOST_SAID = 160  # characters of an error of onnx's tools
MOST_SIZE = 0.52
"""Of model.onnx. A variant that is larger is not worth a file."""


@dataclass(frozen=True)
class Subject:
    """A bundle's graph with what its variants are held to.

    Attributes:
        graph: model.onnx.
        modality: encodes the golden inputs.
        parts: the golden inputs, with model.onnx's explanations.
        objective: what the outputs mean.
        unit: of a difference of scores: 1 of probabilities, the spread of a regression's target.
        words: the same in words, such as "of a probability".
    """

    graph: Path
    modality: Modality
    parts: GoldenParts
    objective: Objective
    unit: float
    words: str

    @classmethod
    def of(cls, graph: Path, modality: Modality, parts: GoldenParts, objective: Objective, scale: Scale) -> "Subject":
        """With scores of the objective; `scale` is that of the graph's own outputs."""
        words = scale.words if objective.spaces[0] == objective.spaces[-1] else f"of a {objective.spaces[0]}"
        return cls(graph, modality, parts, objective, scale.unit, words)

    @property
    def feeds(self) -> list[Feeds]:
        """The golden inputs for the graph, each alone."""
        modality = self.modality
        return [modality.collate([modality.encode(value).row]) for value in self.parts.golden.inputs]


@dataclass(frozen=True)
class Attempt:
    """What came of one way to a variant.

    Attributes:
        precision, how: what was tried.
        words: the subject's, of `outputs`.
        failure: why there is no graph, or none that runs; empty if there is one.
        size: of its file, as a fraction of model.onnx's.
        outputs: largest difference of a golden output, in the subject's unit.
        attributions: largest relative difference of an input's golden attributions.
        ordered, crossed: pairs of players that model.onnx tells apart, in its order and in another.
    """

    precision: str
    how: str
    words: str
    failure: str = ""
    size: float = 0.0
    outputs: float = 0.0
    attributions: float = 0.0
    ordered: int = 0
    crossed: int = 0

    @property
    def faults(self) -> list[str]:
        """Why it is not kept, with the figures; empty if it is."""
        return [self.failure] if self.failure else list(self._missed())

    def _missed(self) -> Iterator[str]:
        if not self.size <= MOST_SIZE:
            yield f"{self.size:.2f} of model.onnx's size ({MOST_SIZE} is allowed)"
        if not self.outputs <= OUTPUT_TOLERANCE:
            yield f"outputs off by {self.outputs:.2g} {self.words} ({OUTPUT_TOLERANCE:g} is allowed)"
        if not self.attributions <= ATTRIBUTION_TOLERANCE:
            yield f"attributions off by {self.attributions:.2%} ({ATTRIBUTION_TOLERANCE:.0%} is allowed)"
        if self.crossed:
            yield f"{self.crossed} of {self.ordered + self.crossed} pairs that model.onnx tells apart change places"

    @property
    def figures(self) -> str:
        """What was measured of one that is kept."""
        return (
            f"{self.size:.2f} of model.onnx's size, outputs within {self.outputs:.1e} {self.words}, attributions "
            f"within {self.attributions:.2%}, {self.ordered} pairs in their order"
        )

    @property
    def outcome(self) -> str:
        """ "kept" or "left off"."""
        return "left off" if self.faults else "kept"

    def __str__(self) -> str:
        return f"{self.precision} ({self.how}) {self.outcome}: {'; '.join(self.faults) or self.figures}"


def add_variant(subject: Subject, precision: str) -> Iterator[Attempt]:
    """Try the ways to a precision until one holds, whose file stays beside the graph; every attempt is told."""
    path = subject.graph.with_name(variant_name(precision))
    for way in WAYS[precision]:
        attempt = _attempt(subject, precision, way, path)
        if attempt.faults:
            path.unlink(missing_ok=True)
        yield attempt
        if not attempt.faults:
            return


def listed(attempts: Sequence[Attempt], unit: float) -> list[bundle_pb2.ModelVariant]:
    """What a manifest says of those that are kept."""
    return [
        bundle_pb2.ModelVariant(
            precision=attempt.precision,
            file=variant_name(attempt.precision),
            output_tolerance=OUTPUT_TOLERANCE * unit,
            output_difference=attempt.outputs * unit,
            attribution_tolerance=ATTRIBUTION_TOLERANCE,
            attribution_difference=attempt.attributions,
            ordered_pairs=attempt.ordered,
        )
        for attempt in attempts
        if not attempt.faults
    ]


def _attempt(subject: Subject, precision: str, way: Way, path: Path) -> Attempt:
    if subject.parts.recipe is None:
        return Attempt(precision, way.how, subject.words, "the bundle has no golden attributions to hold it to")
    try:
        with quiet():
            write_variant(subject.graph, way, path, subject.feeds)
            return _measured(subject, precision, way, path)
    except Exception as error:  # onnx's tools and the runtime raise whatever their parts raise
        said = first_line(error).replace(str(path), path.name)[:_MOST_SAID]
        return Attempt(precision, way.how, subject.words, f"onnxruntime cannot make or run it ({said})")


def _measured(subject: Subject, precision: str, way: Way, path: Path) -> Attempt:
    golden, recipe = subject.parts.golden, subject.parts.recipe
    evaluate = evaluated(path, subject.modality, on_cpu=precision in _FOR_CPUS)
    assert recipe is not None
    answers = evaluate([subject.modality.encode(value).row for value in golden.inputs])
    differences, ordered, crossed = [], 0, 0
    for index, expected in subject.parts.explanations.items():
        highest = int(golden.outputs[index].argmax())
        found = attribute(
            golden.inputs[index], highest, recipe=recipe, modality=subject.modality, evaluate=evaluate
        ).values
        differences.append(relative_difference(found, expected.values))
        above = found[:, None] > found[None, :]
        apart = told_apart(expected)
        ordered, crossed = ordered + int((apart & above).sum()), crossed + int((apart & ~above).sum())
    return Attempt(
        precision,
        way.how,
        subject.words,
        size=path.stat().st_size / subject.graph.stat().st_size,
        outputs=score_difference(answers, golden.outputs, subject.objective) / subject.unit,
        attributions=max(differences),
        ordered=ordered,
        crossed=crossed,
    )


def told_apart(explanation: GameExplanation) -> NDArray[np.bool_]:
    """Which player is above which for certain, bool[players, players]: its interval begins where the other's ended."""
    return np.asarray(explanation.lower[:, None] > explanation.upper[None, :])
