"""`explicate models show`: one version in full."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from explicate.cli import json_lines, tables
from explicate.cli.models.action import add_action, connect
from explicate.model_info import Column, ModelDescription, RuntimeTrial, ShadowReport

if TYPE_CHECKING:
    from explicate.cli.models.action import Actions

_SHOWN_CATEGORIES = 6  # of each column; --format json has all


def register(actions: Actions) -> None:
    """Add the action."""
    show = add_action(actions, "show", "one version in full", run=run_show)
    which = show.add_mutually_exclusive_group()
    which.add_argument("--version", metavar="N", type=int, help="this version (default: the live one)", default=None)
    which.add_argument("--label", metavar="LABEL", help="the version with this label", default=None)
    show.add_argument("--card", action="store_true", help="print the model card (Markdown) only", default=False)


def run_show(arguments: argparse.Namespace) -> int:
    """Print one version in full."""
    with connect(arguments) as client:
        description = client.get_model(arguments.name, version=arguments.version, label=arguments.label)
    if arguments.card:
        print(description.model_card)
    elif arguments.format == "text":
        lines = _lines(description)
        width = max(len(name) for name, _ in lines)
        print("\n".join(f"{name:<{width}}  {tables.printable(value)}" for name, value in lines))
    else:
        print(json_lines.dumps(description))
    return 0


def _lines(description: ModelDescription) -> list[tuple[str, str]]:
    status, limits = description.status, description.limits
    outputs = "logits" if description.class_labels else "values"
    lines = [
        ("model", f"{status.model} version {status.version}"),
        ("state", f"{status.state} {status.reason}".strip()),
        ("version labels", ", ".join(status.labels)),
        *_traffic(description),
        ("kind", status.kind),
        *_predicts(description),
        *_reads(description),
        ("runtime", f"{status.runtime} {status.precision}".strip()),
        *(("tried" if i == 0 else "", _trial(trial, outputs)) for i, trial in enumerate(description.runtimes)),
        *([("base model", description.base_model)] if description.base_model else []),
        ("bundle digest", status.bundle_digest),
        ("methods", ", ".join(description.methods)),
        *([("players", ", ".join(description.granularities))] if description.granularities else []),
        *([("absence", ", ".join(description.maskings))] if description.maskings else []),
        ("inputs per call", f"{limits.max_inputs:,}"),
        *_size_limit(description),
        ("evaluations", f"{limits.max_evaluations:,} at most per explanation"),
        ("", f"{limits.max_evaluations_per_caller:,} at most in progress per caller"),
        ("seconds per call", f"{limits.max_call_s:g} at most"),
    ]
    return lines + [(f"test {name}", f"{value:.4g}") for name, value in sorted(description.metrics.items())]


def _traffic(description: ModelDescription) -> list[tuple[str, str]]:
    """Where the model's labels point, and what the canary gets and gave."""
    before = [f" (before: {label.previous_version})" if label.previous_version else "" for label in description.labels]
    lines = [
        ("labels" if i == 0 else "", f"{label.label} → {label.version}{before[i]}")
        for i, label in enumerate(description.labels)
    ]
    shares = description.traffic
    if shares.canary_share or shares.shadow_share:
        lines.append(("canary", f"answers {shares.canary_share:.3g}, shadows {shares.shadow_share:.3g} of the others"))
    return lines + ([("shadow", line) for line in _shadow(description.shadow)] if description.shadow else [])


def _shadow(report: ShadowReport) -> list[str]:
    """What shadowing found, such as "version 3 against 2: 120 predictions, same outcome 0.983"."""
    figures = [f"{report.predictions:,} predictions"]
    if report.same_outcome is not None:
        figures.append(f"same outcome {report.same_outcome:.3f}")
    if report.mean_absolute_difference is not None:
        figures.append(f"mean difference {report.mean_absolute_difference:.3g}")
    if report.mean_spearman is not None:
        figures.append(f"{report.attributions:,} attributions, rank correlation {report.mean_spearman:.3f}")
    lines = [f"version {report.canary_version} against {report.live_version}: {', '.join(figures)}"]
    if report.dropped or report.failed:
        why = f": {report.last_failure}" if report.last_failure else ""
        lines.append(f"{report.dropped:,} dropped, {report.failed:,} failed{why}")
    return lines


def _predicts(description: ModelDescription) -> list[tuple[str, str]]:
    if description.class_labels:
        return [("classes", ", ".join(description.class_labels))]
    return [("predicts", description.target_name)]


def _reads(description: ModelDescription) -> list[tuple[str, str]]:
    if description.image_width:
        patches = f", in patches of {description.patch_size}" if description.patch_size else ""
        return [("reads", f"images, as {description.image_width} x {description.image_height} pixels{patches}")]
    if not description.columns:
        what = "pairs of texts, " if description.pairs else ""
        return [("reads", f"{what}{description.max_tokens} tokens at most")]
    width = max(tables.display_width(column.name) for column in description.columns)
    lines = [_column(column, width) for column in description.columns]
    return [
        *(("columns" if i == 0 else "", line) for i, line in enumerate(lines)),
        ("background", f"{description.background_rows:,} rows stand for a column that is left out"),
    ]


def _size_limit(description: ModelDescription) -> list[tuple[str, str]]:
    if description.columns:
        return []
    if description.image_width:
        return [("bytes per image", f"{description.limits.max_image_bytes:,}")]
    return [("bytes per text", f"{description.limits.max_text_bytes:,}")]


def _column(column: Column, width: int) -> str:
    """One column, such as "job  category: clerk, driver (2); may be missing"."""
    facts = [column.type]
    if column.categories and column.type != "boolean":
        shown = ", ".join(column.categories[:_SHOWN_CATEGORIES])
        more = len(column.categories) - _SHOWN_CATEGORIES
        facts = [f"{column.type}: {shown}{f' and {more} more' if more > 0 else ''}"]
    if column.group:
        facts.append(f"explained with the group {column.group}")
    if column.may_be_missing:
        facts.append("may be missing")
    return f"{column.name}{' ' * (width - tables.display_width(column.name))}  {'; '.join(facts)}"


def _trial(trial: RuntimeTrial, outputs: str) -> str:
    """One runtime that was tried, such as "openvino-cpu bf16: 0.61 ms a row, logits within 0.015"."""
    figures = []
    if trial.row_s is not None:
        figures.append(f"{trial.row_s * 1e3:.2f} ms a row")
    if trial.logit_difference is not None:
        figures.append(f"{outputs} within {trial.logit_difference:.1e}")
    if trial.attribution_difference is not None:
        figures.append(f"attributions within {trial.attribution_difference:.2%}")
    verdict = [] if trial.passed else [f"refused: {trial.reason}"]
    return f"{trial.runtime} {trial.precision}: {', '.join(verdict + figures) or 'passed'}"
