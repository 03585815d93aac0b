"""The subcommand `explicate labels`."""

import argparse
import sys
from pathlib import Path
from typing import Any  # runs of any kind

_DESCRIPTION = """Lists the labels of the training data that are likely wrong, for a person to look at.

A simple model (TF-IDF and a logistic regression for texts, gradient-boosted trees for tables, nearest neighbours for
pictures) is fitted to four fifths of the rows and asked about the rest, five times over. Where it is surer of another
class than it is, on average, of rows of that class, the label is doubted (confident learning, by cleanlab). Rows that
are the same, and rows of a group, are never told apart by the folds.

Nothing is changed. The list is a CSV file with empty columns for the reviewer:
  reviewed_label   the right label; the given one where it was right
  drop             yes: the row is of no use
  reviewer, note   who, and why
Rows with neither a label nor "yes" stay as they are. `explicate train --labels` takes the file back, as Excel or others
write it, and says in the run what was changed.
"""
_EPILOG = """\
Prints the first suspects on stdout, or one JSON object with --json, and what it does on stderr.

examples:
  explicate labels food-reviews --csv suspects.csv
  explicate labels my.toml --csv suspects.csv --with-test
  explicate labels runs/my                        into the run: suspects.csv, and a section of report.html
  explicate labels my.toml --labels reviewed.csv --csv more.csv    another round, without what was reviewed
  explicate train my.toml --labels reviewed.csv

With --with-test the test rows are looked at, too. A corrected test set is another test set: its figures do not compare
with those from before, and only what a model doubts is corrected, which flatters models like it.
"""
_SHOWN = 15
_INPUT_CHARACTERS, _REASONS_CHARACTERS = 60, 60


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand; imports nothing heavy."""
    parser = subparsers.add_parser(
        "labels",
        help="list the labels that are likely wrong, to be reviewed",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", metavar="CONFIG|RUN", help="a TOML file, a ready config, or a run directory")
    parser.add_argument(
        "--csv", metavar="FILE", type=Path, help="the list for the reviewer (of a run: its suspects.csv)"
    )
    parser.add_argument("--labels", metavar="FILE", help="apply a reviewed list first, and do not doubt its rows again")
    parser.add_argument("--folds", metavar="K", type=int, default=5, help="models that are fitted (%(default)s)")
    parser.add_argument(
        "--count", metavar="N", type=int, default=500, help="suspects in the list, at most (%(default)s)"
    )
    parser.add_argument("--with-test", action="store_true", help="look at test rows, too")
    parser.add_argument(
        "--by",
        choices=("simple", "network"),
        default="simple",
        help="what doubts: the simple model (seconds), or the model of the config, trained once a fold (%(default)s)",
    )
    parser.add_argument("--overwrite", action="store_true", help="write over a list that is there, reviewed or not")
    parser.add_argument("--json", action="store_true", help="one JSON object with all of the list")
    parser.set_defaults(run=run, extra="training")


def run(arguments: argparse.Namespace) -> int:
    """Looks, writes and prints; returns the exit code."""
    from explicate.errors import UsageError

    if not 2 <= arguments.folds <= 50:
        raise UsageError(f"--folds must be from 2 to 50, not {arguments.folds}")
    if arguments.count < 1:
        raise UsageError(f"--count must be at least 1, not {arguments.count}")
    if arguments.by == "network" and arguments.with_test:
        raise UsageError("--with-test goes with --by simple: the network is judged by the test rows")
    directory = Path(arguments.config)
    of_run = (directory / "config.toml").is_file()
    csv_path = arguments.csv or (directory / "suspects.csv" if of_run else None)
    if csv_path is not None and csv_path.exists() and not arguments.overwrite:
        raise UsageError(f"{csv_path} is there already and may hold a review: choose another --csv, or add --overwrite")
    _look(arguments, directory if of_run else None, csv_path)
    return 0


def _look(arguments: argparse.Namespace, directory: Path | None, csv_path: Path | None) -> None:
    import json
    from dataclasses import asdict

    from explicate_training.config.config_file import load_config, with_reviewed_labels
    from explicate_training.label_review.doubts import look_for_wrong_labels, review_rows
    from explicate_training.label_review.review_file import write_review
    from explicate_training.train import prepare_data

    config = load_config(arguments.config if directory is None else str(directory / "config.toml"))
    if arguments.labels is not None:
        config = with_reviewed_labels(config, arguments.labels)
    prepared = prepare_data(config, _say)
    parts = ["train"] if arguments.by == "network" else ["train", "validation"] + ["test"] * arguments.with_test
    model = _network(prepared, arguments.folds) if arguments.by == "network" else None
    doubted = look_for_wrong_labels(prepared, parts=parts, folds=arguments.folds, say=_say, model=model)
    rows = review_rows(prepared, doubted, most=arguments.count)
    if csv_path is not None:
        with csv_path.open("w", newline="", encoding="utf-8-sig") as file:  # the mark tells Excel that it is UTF-8
            write_review(file, rows)
        _say(f"wrote {csv_path}: fill in reviewed_label or drop, then explicate train … --labels {csv_path.name}")
    if directory is not None:
        from explicate_training.label_review.section import add_to_report

        add_to_report(directory / "report.html", doubted, rows, prepared.config.data.counted)
        _say(f"added to {directory / 'report.html'}")
    if arguments.json:
        print(json.dumps({**doubted.told(), "suspects": [asdict(row) for row in rows]}, indent=2))
        return
    _print(doubted, rows, prepared.config.data.counted)


def _network(prepared: Any, folds: int) -> Any:
    from explicate_training.label_review.doubts import check_labels_can_be_doubted
    from explicate_training.label_review.network import NetworkLabels

    check_labels_can_be_doubted(prepared.task)
    _say(f"--by network trains the model {folds} times, each about as long as explicate train")
    return NetworkLabels(prepared)


def _print(doubted: Any, rows: Any, counted: str) -> None:
    found = doubted.told()
    share = found["doubted"] / max(found["rows"], 1)
    print(f"{found['doubted']:,} of {found['rows']:,} {counted} ({share:.1%}) have a label that is likely wrong")
    for pair, count in list(found["pairs"].items())[:5]:
        print(f"  {count:>6,} {pair}")
    lines = [("FILE", "ROW", "GIVEN", "SUGGESTED", "PROBABILITY", "INPUT", "BECAUSE OF")]
    lines += [
        (
            row.file,
            str(row.row),
            row.given_label,
            row.suggested_label,
            row.probability,
            _cut(row.input, _INPUT_CHARACTERS),
            _cut(row.reasons, _REASONS_CHARACTERS),
        )
        for row in rows[:_SHOWN]
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    print()
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if len(rows) > _SHOWN:
        print(f"and {len(rows) - _SHOWN:,} more: --csv FILE has them")


def _cut(text: str, most: int) -> str:
    words = " ".join(text.split())
    return words if len(words) <= most else f"{words[: most - 2]} …"


def _say(line: str) -> None:
    print(f"labels: {line}", file=sys.stderr, flush=True)
