"""`explicate models`: what a server serves."""

from __future__ import annotations

import argparse
import csv
import sys

from explicate.commands import connection, json_lines, tables
from explicate.model_info import Column, ModelDescription, ModelStatus, RuntimeTrial

_COLUMNS = ("model", "version", "state", "labels", "kind", "runtime", "precision", "reason")

_SHOWN_CATEGORIES = 6  # of each column; --format json has all

_EPILOG = """examples:
  explicate models                         every version the server knows
  explicate models show reviews            labels or columns, methods, limits, metrics of the live version
  explicate models show reviews --card     its model card"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its own subcommands."""
    parser = subparsers.add_parser(
        "models",
        help="what the server serves",
        description="List the models of a server, or show one.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    connection.add_format_option(parser)
    connection.add_server_options(parser)
    parser.set_defaults(run=run_list)
    actions = parser.add_subparsers(metavar="ACTION", title="actions")
    _register_show(actions)


def _register_show(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    # SUPPRESS: the options of `models` may stand before or after the action.
    show = actions.add_parser("show", help="one model in full", argument_default=argparse.SUPPRESS)
    show.add_argument("name", metavar="NAME", help="the model")
    show.add_argument("--version", metavar="N", type=int, help="this version (default: the live one)", default=None)
    show.add_argument("--card", action="store_true", help="print the model card (Markdown) only", default=False)
    show.add_argument("--server", metavar="HOST:PORT", help="the server to ask")
    show.add_argument("--timeout", metavar="SECONDS", type=float, help="give up on a call after this long")
    show.add_argument("--format", choices=("text", "json"), help="how to print the answer")
    connection.add_access_options(show)
    show.set_defaults(run=run_show)


def run_list(arguments: argparse.Namespace) -> int:
    """Print every version the server knows."""
    with connection.connect(arguments) as client:
        statuses = client.list_models()
    if arguments.format == "json":
        for status in statuses:
            print(json_lines.dumps(status))
    elif arguments.format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([_COLUMNS, *map(_cells, statuses)])
    elif statuses:
        print(tables.table([name.upper() for name in _COLUMNS], map(_cells, statuses), right=(1,)))
    else:
        print(f"explicate: the server at {arguments.server} knows no models", file=sys.stderr)
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Print one version in full."""
    with connection.connect(arguments) as client:
        description = client.get_model(arguments.name, version=arguments.version)
    if arguments.card:
        print(description.model_card)
    elif arguments.format == "text":
        lines = _lines(description)
        width = max(len(name) for name, _ in lines)
        print("\n".join(f"{name:<{width}}  {tables.printable(value)}" for name, value in lines))
    else:
        print(json_lines.dumps(description))
    return 0


def _cells(status: ModelStatus) -> tuple[str, ...]:
    return (
        status.model,
        str(status.version),
        status.state,
        ", ".join(status.labels),
        status.kind,
        status.runtime,
        status.precision,
        status.reason,
    )


def _lines(description: ModelDescription) -> list[tuple[str, str]]:
    status, limits = description.status, description.limits
    outputs = "logits" if description.class_labels else "values"
    lines = [
        ("model", f"{status.model} version {status.version}"),
        ("state", f"{status.state} {status.reason}".strip()),
        ("version labels", ", ".join(status.labels)),
        ("kind", status.kind),
        *_predicts(description),
        *_reads(description),
        ("runtime", f"{status.runtime} {status.precision}".strip()),
        *(("tried" if i == 0 else "", _trial(trial, outputs)) for i, trial in enumerate(description.runtimes)),
        *([("base model", description.base_model)] if description.base_model else []),
        ("bundle digest", status.bundle_digest),
        ("methods", ", ".join(description.methods)),
        ("inputs per call", f"{limits.max_inputs:,}"),
        *([] if description.columns else [("bytes per text", f"{limits.max_text_bytes:,}")]),
        ("evaluations", f"{limits.max_evaluations:,} at most per explanation"),
        ("", f"{limits.max_evaluations_per_caller:,} at most in progress per caller"),
        ("seconds per call", f"{limits.max_call_s:g} at most"),
    ]
    return lines + [(f"test {name}", f"{value:.4g}") for name, value in sorted(description.metrics.items())]


def _predicts(description: ModelDescription) -> list[tuple[str, str]]:
    if description.class_labels:
        return [("classes", ", ".join(description.class_labels))]
    return [("predicts", description.target_name)]


def _reads(description: ModelDescription) -> list[tuple[str, str]]:
    if not description.columns:
        return [("reads", f"{description.max_tokens} tokens at most")]
    width = max(tables.display_width(column.name) for column in description.columns)
    lines = [_column(column, width) for column in description.columns]
    return [
        *(("columns" if i == 0 else "", line) for i, line in enumerate(lines)),
        ("background", f"{description.background_rows:,} rows stand for a column that is left out"),
    ]


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
