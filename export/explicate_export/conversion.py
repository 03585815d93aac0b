"""From a model to the parts of a bundle: graph, comparison with the original, golden inputs, manifest, card.

One path for all kinds and all sources of models; what differs between them is a ModelExport. Free of torch, so that a
model of another library can be exported in its own process.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.golden import write_golden
from explicate_bundle.model_inputs import ModelInput
from explicate_bundle.writing import GOLDEN_NAME, GRAPH_NAME, variant_name
from explicate_export.described import DescribedModel, HeldOut
from explicate_export.errors import UsageError
from explicate_export.golden_inputs import GOLDEN_TOLERANCE, Compared, GoldenChoice, golden_inputs, spread_evenly
from explicate_export.objectives import InputWords
from explicate_export.parity import OUTPUTS, Comparison, Graph, Parity, Scale, check_parity, measure_parity
from explicate_export.ready_graph import GraphSource, write_graph
from explicate_export.variants.verification import Attempt, Subject, add_variant, listed
from explicate_server.modalities.modality import EncodedInput, Modality
from explicate_server.runtime.queue import Row

Say = Callable[[str], None]
AnswerRows = Callable[[Sequence[Row]], NDArray[np.float32]]
"""The graph's outputs float32 [rows, outputs] of one batch."""


# A variant of a smaller graph saves less than 4 MB, and a device spends its time on launches, not on numbers.
LEAST_GRAPH_BYTES = 8_000_000


@dataclass(frozen=True)
class CardText:
    """The sentences of the model card that differ by kind, in Markdown."""

    words: InputWords
    inputs: str  # what the comparisons were made on, such as "pairs of texts"
    origin: str  # how the model was made, and what it reads
    absence: str  # how explanations express that a part of the input is absent
    sections: Sequence[str] = ()  # whole sections, from "## " on
    tested: Sequence[str] = ()  # what the test inputs are like, without markup


@dataclass(frozen=True)
class BundleParts:
    """What is known of a bundle once its files lie in the folder."""

    manifest: bundle_pb2.Bundle  # kind, labels or target, schema, base model, golden tolerances and attributions
    parity: Parity
    card: CardText
    variants: Sequence[Attempt] = ()  # every way that was tried to one, kept or left off


class ModelExport(ABC):
    """A loaded model with inputs that it was not trained on: what becomes a bundle (`convert`, `export.publish_model`).

    Classes of a kind (`text.conversion.TrainedTextExport`, …) take a training run. Another source of models makes a
    `DescribedModel` and the `HeldOut` inputs, each with what the original library answered through its own
    preprocessing, and takes a kind's base class or writes its own. `graph_source` is a `ready_graph.ReadyGraph` where
    there is an ONNX graph already, and an `onnx_graph.TorchGraph` where torch makes one.
    """

    described: DescribedModel
    words: InputWords
    held_out: Sequence[HeldOut]
    architecture: str
    """What is converted, for messages."""

    batch_rows: ClassVar[int] = 16
    """Inputs of a batch in the comparison."""

    schema: Message
    """How inputs become the graph's, for the manifest; complete once it is measured."""

    auto_variants: ClassVar[Sequence[str]] = ("fp16",)
    """Precisions of the variants that a large graph gets unless told otherwise."""

    reduced_tolerance: float = 0.0
    """How closely golden outputs must be met at a lower precision, in the unit of parity; 0 if none is allowed."""

    comparison: ClassVar[Comparison] = OUTPUTS
    """In what form outputs are compared; where it is another one than the graph's, golden outputs are the graph's."""

    def add_gradient(self) -> None:
        """Make the bundle have the model's gradient, too; raises UsageError where it cannot have one."""
        raise UsageError(f"--gradient is for texts, and {self.architecture} reads {self.words.many}")

    def choose(self, count: int) -> list[HeldOut]:
        """At most `count` of the held-out inputs, spread evenly over the file."""
        return spread_evenly(self.held_out, count)

    def load(self, held_out: HeldOut) -> ModelInput:
        """A held-out input, ready to be encoded."""
        assert not isinstance(held_out.value, Path)
        return held_out.value

    @abstractmethod
    def prepare(self, folder: Path, values: Sequence[ModelInput]) -> Modality:
        """Writes the files besides the graph and the golden inputs; returns what encodes inputs for this model."""

    def encode(self, modality: Modality, values: Sequence[ModelInput]) -> list[EncodedInput]:
        """The inputs as model rows, one each; raises UsageError if one cannot be read."""
        return [modality.encode(value) for value in values]

    @abstractmethod
    def edge_cases(self, values: Sequence[ModelInput], encoded: Sequence[EncodedInput]) -> list[ModelInput]:
        """More inputs to compare on, made from the held-out ones."""

    @abstractmethod
    def graph_source(self, output_name: str) -> GraphSource:
        """What becomes model.onnx."""

    @abstractmethod
    def reference(self, values: Sequence[ModelInput], encoded: Sequence[EncodedInput]) -> NDArray[np.float32]:
        """The outputs float32 [inputs, outputs] of the model as it is converted, in the library that it is of.

        They have the form of `comparison`, as those of `held_out`.
        """

    def measure(self, answer: AnswerRows, compared: Compared, scale: Scale, say: Say) -> None:  # noqa: B027 - a hook
        """Measures on the graph what the schema must say of it; nothing for most kinds."""

    @abstractmethod
    def choose_golden(self, compared: Compared) -> GoldenChoice:
        """Which of the compared inputs are golden, and how many of these are attributed."""

    @abstractmethod
    def card(self, scale: Scale) -> CardText:
        """The kind's part of the model card."""


def convert(
    model: ModelExport, folder: Path, *, compared_inputs: int, variants: Sequence[str] | None = None, say: Say
) -> BundleParts:
    """Converts, compares on that many held-out inputs, and writes all files but card and manifest into the folder.

    `variants` are precisions of model.onnx to make besides; None: those of the kind, if the graph is large.

    Raises UsageError, ConversionError or ParityError.
    """
    described, origin, graph_path = model.described, model.described.origin, folder / GRAPH_NAME
    held_out = model.choose(compared_inputs)
    scale = described.scale(model.held_out)
    measured = model.comparison.scale or scale
    values = [model.load(one) for one in held_out]
    modality = model.prepare(folder, values)
    say(f"converting {model.architecture} to ONNX")
    write_graph(model.graph_source(described.objective.output_name), graph_path)
    compared = _compared(model, modality, values, say)
    graph = Graph(graph_path)

    def answer(rows: Sequence[Row]) -> NDArray[np.float32]:
        return graph.run(modality.collate(rows))

    trained = np.array([one.outputs for one in held_out], dtype=np.float32)
    parity = _parity(answer, compared, trained, model.comparison, measured, batch_rows=model.batch_rows)
    check_parity(parity, origin)
    words = f"{measured.words} (allowed {measured.limit:g})"
    say(f"largest difference {parity.difference:.1e} {words}")
    say(f"from what {origin.original} answered: {parity.trained_difference:.1e} {words}")
    if model.comparison is not OUTPUTS:
        compared = replace(compared, reference=answer([one.row for one in compared.encoded]))
    model.measure(answer, compared, scale, say)
    choice = model.choose_golden(compared)
    parts = golden_inputs(compared, choice, graph=graph_path, modality=modality, unit=scale.unit)
    golden = parts.golden
    say(f"{len(golden.inputs)} golden {described.kind.reads.plural}, {len(golden.attributions)} of them attributed")
    manifest = described.manifest()
    getattr(manifest, described.kind.reads.field).CopyFrom(model.schema)
    manifest.golden_tolerance = GOLDEN_TOLERANCE * scale.unit
    if model.reduced_tolerance:
        manifest.golden_reduced_tolerance = model.reduced_tolerance * scale.unit
    manifest.MergeFrom(bundle_pb2.Bundle(golden_attributions=parts.recipe))
    write_golden(folder / GOLDEN_NAME, golden, manifest)
    if variants is None:
        variants = model.auto_variants if graph_path.stat().st_size >= LEAST_GRAPH_BYTES else ()
    subject = Subject.of(graph_path, modality, parts, described.kind.predicts, scale)
    attempts = [attempt for precision in variants for attempt in _variants(subject, precision, say)]
    manifest.variants.extend(listed(attempts, scale.unit))
    return BundleParts(manifest, parity, model.card(scale), attempts)


def _variants(subject: Subject, precision: str, say: Say) -> Iterator[Attempt]:
    say(f"making {variant_name(precision)} and holding it to the golden inputs")
    for attempt in add_variant(subject, precision):
        say(str(attempt))
        yield attempt


def _compared(model: ModelExport, modality: Modality, values: list[ModelInput], say: Say) -> Compared:
    encoded = model.encode(modality, values)
    edge_cases = model.edge_cases(values, encoded)
    more = f" and {len(edge_cases)} {model.words.edge_cases}" if model.words.edge_cases else ""
    origin, plural = model.described.origin, model.described.kind.reads.plural
    say(f"comparing with {origin.library} on {len(values)} {origin.inputs} {plural}{more}")
    both = [*values, *edge_cases]
    encoded += model.encode(modality, edge_cases)
    return Compared(both, encoded, model.reference(both, encoded), len(values))


def _parity(
    answer: AnswerRows,
    compared: Compared,
    trained: NDArray[np.float32],
    comparison: Comparison,
    scale: Scale,
    *,
    batch_rows: int,
) -> Parity:
    rows = [encoded.row for encoded in compared.encoded]
    return measure_parity(
        lambda indices: comparison.form(answer([rows[index] for index in indices.tolist()])),
        compared.reference,
        trained=trained,
        order=np.argsort([row.length for row in rows], kind="stable").tolist(),  # little padding; shuffled it is much
        batch_rows=batch_rows,
        scale=scale,
    )
