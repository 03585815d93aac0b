"""`explicate models list`, `show` and `watch`: what a server serves, one version in full, and every change."""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from explicate import json_documents
from explicate.cli import connection
from explicate.cli.inputs import kind_of
from explicate.cli.models.changing import add_action, add_shared_options, connect
from explicate.errors import DeadlineExceeded
from explicate.reading import notes
from explicate.views import tables

if TYPE_CHECKING:
    from explicate.cli.models.changing import Actions
    from explicate.described.standards import RequiredStandard
    from explicate.model_info import (
        Interpretability,
        ModelDescription,
        ModelDevice,
        ModelStatus,
        ModelVariant,
        RuntimeTrial,
        ShadowReport,
    )

_LISTED = ("model", "version", "state", "labels", "kind", "runtime", "devices", "precision", "reason")


def register(actions: Actions) -> None:
    """Add `list`, which is also what `models` does without an action, and `show`."""
    listed = actions.add_parser("list", help="every version the server knows", argument_default=argparse.SUPPRESS)
    add_shared_options(listed, connection.FORMATS)
    listed.set_defaults(run=run_list)
    show = add_action(actions, "show", "one version in full", run=run_show)
    which = show.add_mutually_exclusive_group()
    which.add_argument("--version", metavar="N", type=int, help="this version (default: the live one)", default=None)
    which.add_argument("--label", metavar="LABEL", help="the version with this label", default=None)
    show.add_argument("--card", action="store_true", help="print the model card (Markdown) only", default=False)


def register_watch(actions: Actions) -> None:
    """Add the action that does not end."""
    watch = actions.add_parser(
        "watch",
        help="every state, then every change, until interrupted",
        description="Print the state of every version, then every change; Ctrl-C or --timeout ends it.",
        argument_default=argparse.SUPPRESS,
    )
    watch.add_argument("name", metavar="NAME", nargs="?", default=None, help="only this model")
    add_shared_options(watch)
    watch.set_defaults(run=run_watch)


def run_list(arguments: argparse.Namespace) -> int:
    """Print every version the server knows."""
    with connect(arguments) as client:
        statuses = client.list_models()
    if arguments.format == "json":
        for status in statuses:
            print(json_documents.dumps(status))
    elif arguments.format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([_LISTED, *map(_cells, statuses)])
    elif statuses:
        names = (*_LISTED, "bundle_digest") if arguments.wide else _LISTED
        header = [name.upper().replace("_", " ") for name in names]
        print(tables.table(header, [_cells(status, names) for status in statuses], right=(1,)))
    else:
        notes.say(f"the server at {client.target} knows no models")
    return 0


def _cells(status: ModelStatus, names: Sequence[str] = _LISTED) -> list[str]:
    lists = {"labels": ", ".join(status.labels), "devices": ", ".join(status.devices)}
    cells = {**vars(status), **lists, "version": status.version or ""}
    return [str(cells[name]) for name in names]


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
        print(json_documents.dumps(description))
    return 0


def _lines(description: ModelDescription) -> list[tuple[str, str]]:
    status, limits = description.status, description.limits
    reads = kind_of(description)
    outputs = "logits" if description.class_labels else "values"
    lines = [
        ("model", _named(status)),
        ("state", f"{status.state} {status.reason}".strip()),
        ("version labels", ", ".join(status.labels)),
        *_traffic(description),
        ("kind", status.kind),
        *_predicts(description),
        *(reads.told(description) if reads else []),
        ("runtime", f"{status.runtime} {status.precision}".strip()),
        *(("tried" if i == 0 else "", _trial(trial, outputs)) for i, trial in enumerate(description.runtimes)),
        *_devices(description),
        *(("variants" if i == 0 else "", _variant(each)) for i, each in enumerate(description.variants)),
        *([("base model", description.base_model)] if description.base_model else []),
        ("bundle digest", status.bundle_digest),
        ("methods", ", ".join(description.methods)),
        *([("players", ", ".join(description.granularities))] if description.granularities else []),
        *([("absence", ", ".join(description.maskings))] if description.maskings else []),
        ("inputs per call", f"{limits.max_inputs:,}"),
        *(reads.limits(limits) if reads else []),
        ("evaluations", f"{limits.max_evaluations:,} at most per explanation"),
        ("", f"{limits.max_evaluations_per_caller:,} at most in progress per caller"),
        ("seconds per call", f"{limits.max_call_s:g} at most"),
    ]
    if description.verdict is not None:
        lines.append(("verdict", description.verdict.sentence))
    if (held := description.standard) is not None:
        told = f"{held.verdict}, {held.met} of {held.judged} requirements on {held.rows:,} rows"
        lines.append(("standard", f"{held.name} {held.version}: {told}"))
        lines += [("waived", f"{one.requirement} until {one.until} by {one.who}: {one.why}") for one in held.waivers]
    if description.required_standard is not None:
        lines += _required(description.required_standard)
    lines += _decision(description)
    lines += [
        (f"test {name}", f"{value:.4g}{_within(description.metric_intervals.get(name))}")
        for name, value in sorted(description.metrics.items())
    ]
    return lines + (_interpretability(description.interpretability) if description.interpretability else [])


def _required(required: RequiredStandard) -> list[tuple[str, str]]:
    """By what it serves where the server requires a standard."""
    lines = [("required standard", f"{required.name} {required.version}: {required.verdict}")]
    if (given := required.override) is not None:
        lines.append(("override", f"by {given.who} at {given.time}: {given.why}"))
    for one in required.unmet:
        told = f"{one.requirement}: {one.reason}" if one.requirement else one.reason
        lines.append(("not met" if one.waiver is None else "waived here", told))
    if (scored := required.recheck) is not None:
        within = f"within {scored.largest_difference:.1e} of the answers on record ({scored.allowed:.1e} is allowed)"
        right = "" if scored.right is None else f", {scored.right:,} right"
        lines.append(("rechecked", f"{scored.rows:,} test rows {within}{right}"))
    return lines


def _decision(description: ModelDescription) -> list[tuple[str, str]]:
    """How probabilities become an answer, and what logits were divided by, where there is something to tell."""
    rule, lines = description.decision, list[tuple[str, str]]()
    for one in rule.thresholds if rule else ():
        lines.append(("answered", f"{one.label} from a probability of {one.threshold:.3g} on: {one.goal}"))
    if rule and rule.costs:
        lines.append(("answered", "the class with the least expected cost"))
    if description.temperature is not None:
        lines.append(("temperature", f"{description.temperature:.3g}, in the graph"))
    return lines


def _interpretability(measured: Interpretability) -> list[tuple[str, str]]:
    """The main figure of each metric, with what it says, or why it was not measured."""
    about = f"measured on {measured.inputs:,} held-out inputs, {measured.confidence:.0%} intervals"
    lines = [("interpretability", about)]
    for metric in measured.metrics:
        if metric.figures:
            first = metric.figures[0]
            lines.append((first.name, f"{first.value:.4g}{_within(first.interval)}"))
        else:
            lines.append((metric.id, f"not measured: {metric.missing}"))
    return lines


def _within(ends: tuple[float, float] | None) -> str:
    return f" [{ends[0]:.4g}, {ends[1]:.4g}]" if ends else ""


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


def _devices(description: ModelDescription) -> list[tuple[str, str]]:
    """The devices, and why it is not on another kind."""
    lines = [_device(device) for device in description.devices]
    return [
        *(("devices" if i == 0 else "", line) for i, line in enumerate(lines)),
        *([("", description.device_reason)] if description.device_reason else []),
    ]


def _device(device: ModelDevice) -> str:
    """One of them, such as "cuda:1: 4 of 203 nodes on the CPU, 2 lanes"."""
    if not device.serves:
        return f"{device.device} does not serve it: {device.reason}"
    figures = [f"{device.lanes} {'lane' if device.lanes == 1 else 'lanes'}"]
    if device.nodes is not None:
        figures.insert(0, f"{device.cpu_nodes} of {device.nodes} nodes on the CPU")
    if device.memory_used_bytes is not None and device.memory_free_bytes is not None:
        used, free = (f"{part / 2**20:,.0f} MiB" for part in (device.memory_used_bytes, device.memory_free_bytes))
        figures.append(f"{used} in use, {free} free")
    if device.out_of_memory:
        figures.append(f"{device.out_of_memory:,} batches halved for lack of memory")
    return f"{device.device}: {', '.join(figures)}"


def _predicts(description: ModelDescription) -> list[tuple[str, str]]:
    if description.class_labels:
        return [("classes", ", ".join(description.class_labels))]
    return [("predicts", description.target_name)]


def _trial(trial: RuntimeTrial, outputs: str) -> str:
    """One runtime that was tried, such as "openvino-cpu bf16: 0.61 ms a row, logits within 0.015"."""
    figures = []
    if trial.row_s is not None:
        figures.append(f"{trial.row_s * 1e3:.2f} ms a row")
    if trial.logit_difference is not None:
        figures.append(f"{outputs} within {trial.logit_difference:.1e}")
    if trial.score_difference is not None:
        figures.append(f"{'probabilities' if outputs == 'logits' else outputs} within {trial.score_difference:.1e}")
    if trial.attribution_difference is not None:
        figures.append(f"attributions within {trial.attribution_difference:.2%}")
    verdict = [] if trial.passed else [f"refused: {trial.reason}"]
    return f"{trial.runtime} {trial.precision}: {', '.join(verdict + figures) or 'passed'}"


def _variant(variant: ModelVariant) -> str:
    """What the bundle has besides, such as "int8 22.9 MB: outputs within 1.0e-03, attributions within 0.60%"."""
    return (
        f"{variant.precision} {variant.size_bytes / 1e6:.1f} MB: outputs within {variant.output_difference:.1e}, "
        f"attributions within {variant.attribution_difference:.2%} at export"
    )


def run_watch(arguments: argparse.Namespace) -> int:
    """Print changes as they come."""
    heard = False
    with connect(arguments, timeout_s=math.inf) as client:
        try:
            for changes in client.watch_models(arguments.name):
                heard = True
                for status in changes.statuses:
                    print(_changed(status) if arguments.format == "text" else json_documents.dumps(status), flush=True)
        except DeadlineExceeded:
            if not heard:
                raise
    return 0


def _changed(status: ModelStatus) -> str:
    labels = f" [{', '.join(status.labels)}]" if status.labels else ""
    reason = f": {status.reason}" if status.reason else ""
    return tables.printable(f"{time.strftime('%H:%M:%S')}  {_named(status)} {status.state}{labels}{reason}")


def _named(status: ModelStatus) -> str:
    """Model and version; the version is 0 where the model's folder cannot be read."""
    return f"{status.model} version {status.version}" if status.version else status.model
