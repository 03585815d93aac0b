"""MODEL_CARD.md: what the model is, what it learnt from, how good it is, where it ends, in Markdown."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # JSON values

from explicate.v1 import bundle_pb2
from explicate_export.card.frameworks import frameworks_section
from explicate_export.card.plain_words import lay_facts, plain_words
from explicate_export.card.standing import fairness_section, standard_section
from explicate_export.card.tested import limits, slices_section
from explicate_export.conversion import BundleParts, CardText
from explicate_export.described import DescribedModel
from explicate_export.markdown import as_list, code, escaped, number, table, words
from explicate_export.variants.verification import ATTRIBUTION_TOLERANCE, MOST_SIZE, OUTPUT_TOLERANCE
from explicate_standards.standard.check import Checked

# Of data.json, what a bundle does not carry on: rows of the data, which may be about people.
_KEPT_IN_THE_RUN = ("examples_dropped",)


def model_card(
    name: str,
    model: DescribedModel,
    manifest: bundle_pb2.Bundle,
    parts: BundleParts,
    checked: Checked | None = None,
) -> str:
    """The card of a bundle, before its version is known; `checked` is what came of its standard, if it has one."""
    card = parts.card
    summary = model.objective.summary(model.record, card.words)
    sections = (
        f"# {name}\n\n{summary} {card.origin} Exported to ONNX in {manifest.precision}.",
        plain_words(lay_facts(model, checked)),
        *card.sections,
        *standard_section(checked),
        *_verdict(model),
        _data(model),
        *_metrics(model),
        *slices_section(model, checked),
        *fairness_section(checked),
        _uses(model, card, checked),
        _explanations(card),
        *_easier(model),
        *_interpretability(model, manifest),
        _fidelity(model, manifest, parts),
        *_variants(parts),
        _reproduction(model, manifest),
    )
    return "\n\n".join((*sections, frameworks_section(sections))) + "\n"


def scalar_metrics(test_metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that are one finite number; those per class are in the model card."""
    return {
        name: float(value)
        for name, value in test_metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _data(model: DescribedModel) -> str:
    lines = ["## Data", ""]
    if model.origin.data:
        lines += [model.origin.data, ""]
    if model.record.data_sha256:
        lines += [f"SHA-256 of the cleaned data: {code(model.record.data_sha256)}.", ""]
    rest = {name: value for name, value in model.data_report.items() if name not in ("sha256", *_KEPT_IN_THE_RUN)}
    if isinstance(source := rest.get("source"), str):
        rest["source"] = Path(source).name
    return "\n".join([*lines, *as_list(rest)]).rstrip()


def metric_intervals(test_metrics: Mapping[str, Any]) -> dict[str, bundle_pb2.Interval]:
    """Where the metrics lie, of those that are one finite number."""
    return {
        name: bundle_pb2.Interval(lower=ends[0], upper=ends[1])
        for name in scalar_metrics(test_metrics)
        if (ends := interval_of(test_metrics, name))
    }


def interval_of(metrics: Mapping[str, Any], *path: str) -> tuple[float, float] | None:
    """The interval of a metric, or of a metric of a class: path "per_class", label, name."""
    found: Any = metrics.get("intervals")
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, list) and len(found) == 2 and all(isinstance(end, int | float) for end in found):
        return float(found[0]), float(found[1])
    return None


def _verdict(model: DescribedModel) -> list[str]:
    """The section on how the model compares with others, if something is to be said of that."""
    lines = ["## Verdict", ""]
    if not model.record.HasField("verdict"):
        return ["\n".join([*lines, model.origin.no_verdict])] if model.origin.no_verdict else []
    verdict = model.record.verdict
    rows: list[tuple[str, str, str]] = [("this model", _within(verdict.value, _interval(verdict, "interval")), "")]
    rows += [
        (
            code(rival.name),
            _within(rival.value, _interval(rival, "interval")),
            _within(rival.difference, _interval(rival, "difference_interval")),
        )
        for rival in verdict.rivals
    ]
    better = "below 0 it is worse" if not verdict.smaller_is_better else "smaller is better, below 0 it is worse"
    lines += [code(verdict.sentence), ""]
    lines += table(("model", f"test {verdict.title}", f"by how much this model is better ({better})"), rows)
    if model.record.logit_offsets:
        told = zip(model.labels, model.record.logit_offsets, strict=True)
        offsets = ", ".join(f"{code(label)} {offset:+.2f}" for label, offset in told)
        lines += [
            "",
            f"So that rare classes are answered, too, offsets were added to the logits: {offsets}. They are part of "
            "the graph, so probabilities are those of data in which rare classes are more frequent.",
        ]
    return ["\n".join(lines)]


def _interval(message: Any, field: str) -> tuple[float, float] | None:
    ends = getattr(message, field)
    return (ends.lower, ends.upper) if message.HasField(field) else None


def _within(value: float, ends: tuple[float, float] | None) -> str:
    return number(value) + (f" [{number(ends[0])}, {number(ends[1])}]" if ends else "")


def _metrics(model: DescribedModel) -> list[str]:
    """The section on how good the model is, if that was measured."""
    lines = [f"## Metrics on {model.origin.metrics_of}", ""]
    metrics = model.test_metrics
    if not metrics:
        return []
    told = [
        (words(name), _within(value, interval_of(metrics, name))) for name, value in scalar_metrics(metrics).items()
    ]
    lines += table(("metric", "value [95 % interval]"), told)
    per_class = metrics.get("per_class")
    if isinstance(per_class, Mapping) and per_class:
        columns = list(dict.fromkeys(name for values in per_class.values() for name in values))
        rows = [
            (escaped(label), *(_of_class(metrics, label, name, values.get(name)) for name in columns))
            for label, values in per_class.items()
        ]
        what = model.objective.per_output
        lines += ["", f"Per {what}:", "", *table((what, *map(words, columns)), rows)]
    return ["\n".join(lines)]


def _of_class(metrics: Mapping[str, Any], label: str, name: str, value: Any) -> str:
    ends = interval_of(metrics, "per_class", label, name)
    return _within(value, ends) if ends and isinstance(value, int | float) else number(value)


def _uses(model: DescribedModel, card: CardText, checked: Checked | None) -> str:
    told = (
        *model.objective.limits(model.record, card.words),
        *card.words.limits,
        *limits(model, card, checked),
        "Not for decisions about people without a person who looks at them.",
    )
    return "\n".join(["## Intended use and limits", "", *(f"- {limit}" for limit in told)])


def _explanations(card: CardText) -> str:
    return "\n".join(
        [
            "## Explanations",
            "",
            "Attributions say what the model's answer rests on. They do not say what is true of the input, nor what "
            "caused it, and they are estimates: read them with their intervals.",
            "",
            card.absence,
        ]
    )


def _easier(model: DescribedModel) -> list[str]:
    """The section on what training did to make the model easier to explain, if it did something."""
    if not model.record.HasField("interpretability"):
        return []
    did = model.record.interpretability
    settings = ", ".join(code(f"{name} = {value}") for name, value in sorted(did.settings.items()))
    lines = ["## Trained to be explained", "", f"{code('[interpretability]')} of the training: {settings}."]
    rows = [(f"{one.removed:.0%}", number(one.value)) for one in did.masked]
    if rows:
        lines += ["", *table(("parts removed", f"test {code(did.masked_metric)}"), rows)]
    return ["\n".join(lines)]


def _interpretability(model: DescribedModel, manifest: bundle_pb2.Bundle) -> list[str]:
    """The section on how well the model can be explained, if that was measured."""
    if not manifest.HasField("interpretability"):
        return []
    measured = manifest.interpretability
    rows = [
        (metric.title, _figures(metric), metric.sentence or f"Not measured: {metric.missing}.")
        for metric in measured.metrics
    ]
    about = (
        f"Measured on {measured.inputs:,} {model.origin.inputs} inputs through the exported graph "
        f"({measured.runtime}), with kernel-shap at a server's defaults. In brackets: {measured.confidence:.0%} "
        "intervals, by a bootstrap over the inputs."
    )
    lines = ["## How well it can be explained", "", about, "", *table(("metric", "figures", "what they say"), rows)]
    return ["\n".join(lines)]


def _figures(metric: bundle_pb2.InterpretabilityMetric) -> str:
    """The figures of a metric in one cell, each by its own name."""
    told = (
        (one.name.removeprefix(metric.id).lstrip("."), _within(one.value, (one.interval.lower, one.interval.upper)))
        for one in metric.figures
    )
    return "; ".join(f"{words(name)} {value}".strip() for name, value in told) or "–"


def _fidelity(model: DescribedModel, manifest: bundle_pb2.Bundle, parts: BundleParts) -> str:
    parity, inputs, origin = parts.parity, parts.card.inputs, model.origin
    return "\n".join(
        [
            "## Fidelity of the export",
            "",
            f"On {parity.inputs} {inputs}, in batches and alone, the ONNX graph and {origin.library} differ by at most "
            f"{parity.difference:.1e} {parity.scale.words} (allowed: {parity.scale.limit:g}). Alone, in batches and in "
            f"another order, the graph's own answers differ by at most {parity.batch_difference:.1e}.",
            "",
            f"What {origin.original} answered for the {parity.trained} {origin.inputs} {inputs} among them, encoded by "
            f"{origin.encoder}, the graph meets within {parity.trained_difference:.1e}.",
            "",
            f"A server answers the {inputs} in `golden.npz` before it serves. It refuses a runtime whose outputs are "
            f"off by more than {manifest.golden_tolerance:.3g}{_reduced_limit(manifest)}"
            f"{_attribution_limit(manifest)}.",
        ]
    )


def _reduced_limit(manifest: bundle_pb2.Bundle) -> str:
    reduced = manifest.golden_reduced_tolerance
    return f" ({reduced:.3g} at a lower precision)" if reduced else ""


def _attribution_limit(manifest: bundle_pb2.Bundle) -> str:
    if not manifest.HasField("golden_attributions"):
        return ""
    return f", or whose attributions are off by more than {manifest.golden_attributions.tolerance:.0%}"


def _variants(parts: BundleParts) -> list[str]:
    """What else was made of model.onnx, kept or not; no section if nothing was tried."""
    if not parts.variants:
        return []
    rows = [
        (attempt.precision, attempt.how, attempt.outcome, "; ".join(attempt.faults) or attempt.figures)
        for attempt in parts.variants
    ]
    lines = [
        "## Variants",
        "",
        "`model.onnx` in other precisions. One is kept if it answers and explains the golden inputs as `model.onnx` "
        f"does: within {OUTPUT_TOLERANCE:g} {parts.variants[0].words} and {ATTRIBUTION_TOLERANCE:.0%} of an input's "
        f"attributions, with all pairs in order that `model.onnx` tells apart, at {MOST_SIZE:g} of its size at most.",
        "",
        *table(("precision", "how", "", "measured"), rows),
    ]
    return ["\n".join(lines)]


def _reproduction(model: DescribedModel, manifest: bundle_pb2.Bundle) -> str:
    tools = sorted(manifest.provenance.tool_versions.items())
    return "\n".join(
        [
            "## How to reproduce",
            "",
            model.origin.reproduction,
            "",
            "```",
            *model.origin.commands,
            "```",
            "",
            "Tools: " + ", ".join(f"{name} {version}" for name, version in tools) + ".",
        ]
    )
