"""What a server says about its models: frozen dataclasses of plain Python values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from explicate.described.compared_with import BaselineGroup
from explicate.described.decisions import DecisionRule
from explicate.described.plots import InterpretabilityPlot
from explicate.described.standards import RequiredStandard, StandardVerdict
from explicate.inputs import ONLY_SOME_KINDS, UNLESS_NONE, CellValue
from explicate.json_documents import JsonAnswer


@dataclass(frozen=True)
class ModelStatus(JsonAnswer):
    """One version of a model as the server knows it.

    version: 0 where the folder of the model cannot be read, so that no version of it is known.
    state: "available", "loading", "ready", "failed" or "unloading", and in a watch "removed"; `reason` says why if
        that needs saying, or what it waits for.
    kind: what it reads, "text", "tabular" or "image", and what it predicts, "classification" (one class),
        "multi-label" (any number of labels) or "regression", such as "text-multi-label"; empty when its manifest could
        not be read.
    runtime, precision: what serves it, such as "onnxruntime-cpu" and "fp32"; empty unless it is ready.
    leases: requests that it answers now. graph_bytes: size of its graph's file; in memory it takes at least about that.
    previous_of: labels that a rollback would move to it. devices: that serve it, such as "cpu" or "cuda:1".
    """

    model: str
    version: int
    state: str
    labels: tuple[str, ...]
    reason: str
    kind: str
    bundle_digest: str
    runtime: str
    precision: str
    leases: int = 0
    graph_bytes: int = 0
    previous_of: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelLabel:
    """A label, the version it points at, and the one it pointed at before; None for none."""

    label: str
    version: int
    previous_version: int | None


@dataclass(frozen=True)
class Traffic:
    """What the version labelled "canary" gets of the requests that name no version, each from 0 to 1.

    canary_share: those that it answers. shadow_share: the part of the others that it answers too, in the background, to
    be compared.
    """

    canary_share: float
    shadow_share: float


@dataclass(frozen=True)
class ShadowReport:
    """How the canary version's answers agree with those that the live one gave to the same inputs.

    same_outcome: fraction with the same class or set of labels; None for a regression. mean_absolute_difference: of the
    values, or of the probabilities of all outputs. mean_spearman: of the attributions of the same features.
    predictions, attributions: how many were compared; dropped, failed: requests that were not.
    """

    live_version: int
    canary_version: int
    predictions: int
    same_outcome: float | None
    mean_absolute_difference: float | None
    attributions: int
    mean_spearman: float | None
    dropped: int
    failed: int
    last_failure: str


@dataclass(frozen=True)
class Switched:
    """A label that points at the version of `status` now, and pointed at `previous_version` before; None for none."""

    status: ModelStatus
    previous_version: int | None


@dataclass(frozen=True)
class ModelChanges:
    """Versions that changed, as they are now; all of them where `snapshot` is set."""

    statuses: tuple[ModelStatus, ...]
    snapshot: bool


@dataclass(frozen=True)
class RuntimeTrial:
    """How a runtime did with the bundle's golden inputs on the server's machine; None for what was not measured.

    reason: why it did not pass. logit_difference: the largest, absolute. attribution_difference: the largest,
    relative. row_s: seconds of model time for one row, median. score_difference: the largest of a probability or value,
    absolute; of a variant of model.onnx only.
    """

    runtime: str
    precision: str
    passed: bool
    reason: str
    logit_difference: float | None
    attribution_difference: float | None
    row_s: float | None
    score_difference: float | None = field(default=None, metadata=ONLY_SOME_KINDS)


@dataclass(frozen=True)
class ModelVariant:
    """The model in another precision, in the same bundle; `status.precision` says which one serves.

    output_tolerance, attribution_tolerance: what it may be off by on the golden inputs, in a probability or value and
    as a fraction of an input's attributions. output_difference, attribution_difference: what export measured of that.
    ordered_pairs: pairs of players that fp32 tells apart, and that have the same order in it.
    """

    precision: str
    size_bytes: int
    output_tolerance: float
    output_difference: float
    attribution_tolerance: float
    attribution_difference: float
    ordered_pairs: int


@dataclass(frozen=True)
class ModelDevice:
    """What one device does for a version.

    device: such as "cuda:1". reason: why it does not serve it; empty if it does. nodes: of the graph as it runs there,
    cpu_nodes: those of them that the CPU runs for it; None where that is not known. lanes: batches at once.
    out_of_memory: batches that did not fit in its memory and were run in halves. memory_used_bytes, memory_free_bytes:
    of its memory now, for all processes; None where its driver does not tell.
    """

    device: str
    serves: bool
    reason: str
    nodes: int | None
    cpu_nodes: int | None
    lanes: int
    out_of_memory: int
    memory_used_bytes: int | None = None
    memory_free_bytes: int | None = None


@dataclass(frozen=True)
class Column:
    """A column of the table that a model reads.

    type: "number", "date", "category", "boolean" or "ordinal". categories: their names, in their order for an ordinal
    column; empty for a number or a date. group: columns of one group are explained together; empty for a column on its
    own. may_be_missing: whether values were missing in the training data. written: an example of how texts of a number
    or a date are read, such as "1.234,5"; empty for numbers as programs write them. missing_words: texts that mean a
    missing value. typical: a value to begin with, the median or the most frequent category of the background; None
    where that is a missing value, and as long as the version is not ready.
    """

    name: str
    type: str
    categories: tuple[str, ...]
    group: str
    may_be_missing: bool
    written: str = field(default="", metadata=ONLY_SOME_KINDS)
    missing_words: tuple[str, ...] = field(default=(), metadata=ONLY_SOME_KINDS)
    typical: CellValue = field(default=None, metadata=UNLESS_NONE)


@dataclass(frozen=True)
class ServingLimits:
    """What a server accepts; `max_evaluations_per_caller` counts those of explanations in progress.

    max_image_bytes, max_image_pixels: of one image file; 0 from a server that does not take images.
    max_explained_rows: of one table; 0 from a server that does not explain tables.
    """

    max_inputs: int
    max_text_bytes: int
    max_evaluations: int
    max_call_s: float
    max_evaluations_per_caller: int
    max_image_bytes: int = 0
    max_image_pixels: int = 0
    max_explained_rows: int = 0


@dataclass(frozen=True)
class Rival:
    """A model that another was compared with, on the same test rows.

    value: of the verdict's metric. difference: by how much the model is better, below 0 if it is worse. interval,
    difference_interval: where they lie; None if that is not known.
    """

    name: str
    value: float
    interval: tuple[float, float] | None
    difference: float
    difference_interval: tuple[float, float] | None


@dataclass(frozen=True)
class Verdict:
    """How a model compares, on its test split, with one that always answers the same and with a simple one.

    metric, title: what it was measured by, such as "auroc" and "AUROC". learnt: whether it is better than always the
    same answer. rows: of the test split. confidence: of the intervals. sentence: all of it in words.
    """

    metric: str
    title: str
    smaller_is_better: bool
    value: float
    interval: tuple[float, float] | None
    rivals: tuple[Rival, ...]
    learnt: bool
    rows: int
    confidence: float
    sentence: str


@dataclass(frozen=True)
class InterpretabilityFigure:
    """A statistic of a metric over held-out inputs, such as "additive_r2.median".

    interval: where it lies. inputs: how many it rests on.
    """

    name: str
    value: float
    interval: tuple[float, float]
    inputs: int


@dataclass(frozen=True)
class InterpretabilityMetric:
    """One metric: its figures, the main one first, and in a sentence what they say.

    missing: why it could not be measured, and then there are no figures; empty where it was. plots: what it looks like
    over the inputs; none where there is nothing to see, and in bundles of before there were any.
    """

    id: str
    title: str
    sentence: str
    figures: tuple[InterpretabilityFigure, ...]
    missing: str
    plots: tuple[InterpretabilityPlot, ...] = ()


@dataclass(frozen=True)
class Interpretability:
    """How well a model can be explained, as its export measured it on so many held-out inputs.

    rows_sha256: of the file that they were drawn from. confidence: of the intervals. evaluator_version: of the metrics;
    figures of two versions are not comparable. runtime: what ran the model, and its precision.
    """

    metrics: tuple[InterpretabilityMetric, ...]
    inputs: int
    rows_sha256: str
    seed: int
    confidence: float
    evaluator_version: str
    runtime: str


@dataclass(frozen=True)
class ModelDescription(JsonAnswer):
    """One version in full: what it predicts, how it did on its test split, and what may be asked of it.

    precision: of model.onnx; `status.precision` is what is served. metrics: on the held-out test split, by name.
    metric_intervals: where they lie, with the verdict's confidence. verdict: what the model is worth beside others;
    None if its training did not say. logit_offsets: what training added to the logits for rare classes, in the graph.
    granularities, maskings: what the players may be, and how their absence is expressed, the default first.
    variants: the model in other precisions. model_card: Markdown.
    runtimes: those that were tried on the server's machine, the one that serves first.
    max_tokens: of a text. columns: of a table. background_rows: how many rows replace absent columns in an explanation.
    target_name: what a regression predicts. pairs: whether it reads pairs of texts. image_width, image_height: pixels
    that it reads of an image. patch_size: edge of the patches that it reads them in, if it does. What does not apply to
    the kind is empty or 0. baselines: groups of rows that explanations may be set against.
    devices: that it was to be loaded on, those that serve it first. device_reason: why it is not on another kind.
    labels, traffic: where the model's labels point, and what its canary gets. shadow: what was found so far.
    interpretability: how well it can be explained; None if its export did not measure that.
    standard: what a benchmark standard said of it; None if it was held to none. required_standard: what the one says
    that the server requires; None if it requires none, or has not judged it.
    standard: what a benchmark standard said of it; None if it was held to none.
    decision: how its probabilities become an answer; None: the most probable class, or labels from one half on.
    temperature: what its training divided the logits by; None: nothing.
    """

    status: ModelStatus
    class_labels: tuple[str, ...]
    max_tokens: int
    precision: str
    metrics: dict[str, float]
    methods: tuple[str, ...]
    granularities: tuple[str, ...]
    maskings: tuple[str, ...]
    limits: ServingLimits
    base_model: str
    model_card: str
    runtimes: tuple[RuntimeTrial, ...]
    columns: tuple[Column, ...] = ()
    background_rows: int = 0
    target_name: str = ""
    pairs: bool = False
    image_width: int = 0
    image_height: int = 0
    patch_size: int = 0
    labels: tuple[ModelLabel, ...] = ()
    traffic: Traffic = Traffic(0.0, 0.0)
    shadow: ShadowReport | None = None
    verdict: Verdict | None = None
    metric_intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    logit_offsets: tuple[float, ...] = ()
    devices: tuple[ModelDevice, ...] = ()
    device_reason: str = ""
    variants: tuple[ModelVariant, ...] = field(default=(), metadata=ONLY_SOME_KINDS)
    interpretability: Interpretability | None = field(default=None, metadata=UNLESS_NONE)
    standard: StandardVerdict | None = field(default=None, metadata=UNLESS_NONE)
    required_standard: RequiredStandard | None = field(default=None, metadata=UNLESS_NONE)
    decision: DecisionRule | None = field(default=None, metadata=UNLESS_NONE)
    temperature: float | None = field(default=None, metadata=UNLESS_NONE)
    baselines: tuple[BaselineGroup, ...] = field(default=(), metadata=ONLY_SOME_KINDS)
