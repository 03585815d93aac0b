"""MODEL_CARD.md: what the model is, what it learnt from, how good it is, where it ends, in Markdown."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any  # JSON values

from explicate.v1 import bundle_pb2
from explicate_export.comparison import MAX_LOGIT_DIFFERENCE
from explicate_export.description import Measurements, scalar_metrics
from explicate_export.run_directory import TrainingRun


def model_card(model: str, run: TrainingRun, manifest: bundle_pb2.Bundle, measurements: Measurements) -> str:
    """The card of a bundle, before its version is known."""
    sections = (
        _head(model, run, manifest),
        _data(run),
        _metrics(run),
        _uses(run),
        _explanations(manifest, measurements),
        _fidelity(manifest, measurements),
        _reproduction(run, manifest),
    )
    return "\n\n".join(sections) + "\n"


def _head(model: str, run: TrainingRun, manifest: bundle_pb2.Bundle) -> str:
    return "\n".join(
        [
            f"# {model}",
            "",
            f"A text classifier with {len(run.labels)} classes: {', '.join(map(_code, run.labels))}. "
            f"Fine-tuned from {_code(run.base_model)}, exported to ONNX in {manifest.precision}. "
            f"It reads at most {run.max_tokens} tokens of a text: what comes after is not seen, and answers say so.",
        ]
    )


def _data(run: TrainingRun) -> str:
    lines = ["## Data", "", f"SHA-256 of the cleaned data: {_code(run.data_sha256)}.", ""]
    rest = {name: value for name, value in run.data_report.items() if name != "sha256"}
    return "\n".join([*lines, *_as_list(rest)])


def _metrics(run: TrainingRun) -> str:
    lines = ["## Metrics on the held-out test split", ""]
    scalars = scalar_metrics(run.test_metrics)
    lines += _table(("metric", "value"), [(name, f"{value:.4g}") for name, value in scalars.items()])
    per_class = run.test_metrics.get("per_class")
    if isinstance(per_class, Mapping) and per_class:
        columns = list(dict.fromkeys(name for values in per_class.values() for name in values))
        rows = [(label, *(_number(values.get(name)) for name in columns)) for label, values in per_class.items()]
        lines += ["", "Per class:", "", *_table(("class", *columns), rows)]
    return "\n".join(lines)


def _uses(run: TrainingRun) -> str:
    return "\n".join(
        [
            "## Intended use and limits",
            "",
            "- Meant for texts like those it was trained on: same language, topic and length. On others its metrics do "
            "not hold, and its probabilities mean little.",
            f"- It always answers one of its {len(run.labels)} classes, also for texts that belong to none.",
            "- It may have learnt unwanted regularities of its data. No check for bias was made.",
            "- Not for decisions about people without a person who looks at them.",
        ]
    )


def _explanations(manifest: bundle_pb2.Bundle, measurements: Measurements) -> str:
    difference = measurements.dropping_logit_difference
    if difference is None:
        measured = "not measured, the held-out texts were too short"
    else:
        measured = f"largest logit difference {difference:.1e}"
    removal = "leaving its tokens out" if manifest.text.token_dropping else "masking its tokens in place"
    return "\n".join(
        [
            "## Explanations",
            "",
            "Attributions say what the model's answer rests on. They do not say what is true of the text, nor what "
            "caused it, and they are estimates: read them with their intervals.",
            "",
            f"With attention masking, a word is removed by {removal} (leaving out against masking: {measured}).",
        ]
    )


def _fidelity(manifest: bundle_pb2.Bundle, measurements: Measurements) -> str:
    return "\n".join(
        [
            "## Fidelity of the export",
            "",
            f"On {measurements.texts} held-out texts, in batches and alone, the ONNX graph and torch differ by at most "
            f"{measurements.max_logit_difference:.1e} in a logit (allowed: {MAX_LOGIT_DIFFERENCE:g}).",
            "",
            "A server answers the texts in `golden.npz` before it serves. It refuses a runtime whose logits are off by "
            f"more than {manifest.golden_tolerance:g} ({manifest.golden_reduced_tolerance:g} at a lower precision)"
            f"{_attribution_limit(manifest)}.",
        ]
    )


def _attribution_limit(manifest: bundle_pb2.Bundle) -> str:
    if not manifest.HasField("golden_attributions"):
        return ""
    return f", or whose attributions are off by more than {manifest.golden_attributions.tolerance:.0%}"


def _reproduction(run: TrainingRun, manifest: bundle_pb2.Bundle) -> str:
    tools = sorted(manifest.provenance.tool_versions.items())
    return "\n".join(
        [
            "## How to reproduce",
            "",
            f"Train with the run's `config.toml` (seed {run.seed}) on the data above, then export the run:",
            "",
            "```",
            "explicate train config.toml",
            "explicate export RUN --repository DIR",
            "```",
            "",
            "Tools: " + ", ".join(f"{name} {version}" for name, version in tools) + ".",
        ]
    )


def _as_list(value: Mapping[str, Any], indent: str = "") -> Iterable[str]:
    for name, entry in value.items():
        if isinstance(entry, Mapping):
            yield f"{indent}- {_plain(name)}:"
            yield from _as_list(entry, indent + "  ")
        else:
            yield f"{indent}- {_plain(name)}: {_plain(entry)}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else "" if value is None else str(value)


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split())


def _code(text: str) -> str:
    return f"`{_plain(text).replace('`', chr(39))}`"
