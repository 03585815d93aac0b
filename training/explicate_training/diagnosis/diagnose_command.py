"""The subcommand `explicate diagnose`."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any  # JSON values

_DESCRIPTION = """Tells where the model of a run errs, and why.

Slices: a shallow tree looks for the rows with the most errors among the validation rows (by the columns of a table;
by length, negation and single words of texts; by brightness, contrast and the like of pictures). What it finds is
written as a rule and measured anew on the test rows, which had no say: only what is worse than the rest there, too, is
confirmed. A rule can be put into [slices] of a standard as it is, and into --explain-if where it names columns alone.

Confusions: of the classes that are taken for each other most, what the strongest parts say for the true class rather
than the other, in the rows that are answered rightly and in those that are not, side by side.
"""
_EPILOG = """\
Prints tables on stdout, one JSON object with --json, or with --toml a [slices] section with the confirmed rules.

examples:
  explicate diagnose runs/reviews
  explicate diagnose runs/reviews --toml >> standard.toml
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand; imports nothing heavy."""
    parser = subparsers.add_parser(
        "diagnose",
        help="tell where a run's model errs, and why",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run_directory", metavar="RUN", type=Path, help="folder that `explicate train` wrote")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object with all of it")
    form.add_argument("--toml", action="store_true", help="the confirmed slices as a section of a standard")
    parser.set_defaults(run=run, extra="training")


def run(arguments: argparse.Namespace) -> int:
    """Reads and prints; returns the exit code."""
    import json

    found = _read(arguments.run_directory)
    if arguments.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    elif arguments.toml:
        sys.stdout.write(_as_toml(found))
    else:
        print("\n".join(_lines(found)))
    return 0


def _read(directory: Path) -> dict[str, Any]:
    import json

    from explicate.errors import UsageError
    from explicate_training.diagnosis.diagnosis import DIAGNOSIS_NAME

    path = directory / DIAGNOSIS_NAME
    if not path.is_file():
        older = (directory / "metrics.json").is_file()
        raise UsageError(
            f"{directory} has no {DIAGNOSIS_NAME}: "
            + ("an earlier version trained it; train it again" if older else "give the folder of a finished run")
        )
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _as_toml(found: Mapping[str, Any]) -> str:
    import tomlkit

    table = tomlkit.table()
    for number, one in enumerate([one for one in found["slices"] if one["confirmed"]], start=1):
        table.add(f"worse-{number}", one["rule"])
    document = tomlkit.document()
    document.add("slices", table)
    return tomlkit.dumps(document)


def _lines(found: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{found['measured']}: {found['validation_value']:.4g} on {found['validation_rows']:,} validation "
        f"{found['counted']}, {found['test_value']:.4g} on {found['test_rows']:,} test {found['counted']}",
        "",
    ]
    told = [
        (
            one["rule"],
            f"{one['validation_rows']:,}",
            f"{one['validation_value']:.4g}",
            f"{one['test_rows']:,}",
            "–" if one["value"] is None else f"{one['value']:.4g} [{one['lower']:.4g}, {one['upper']:.4g}]",
            "–" if one["rest"] is None else f"{one['rest']:.4g}",
            "confirmed" if one["confirmed"] else one["why_not"],
        )
        for one in found["slices"]
    ]
    head = ("SLICE", "VALIDATION ROWS", "THERE", "TEST ROWS", "THERE", "THE REST", "")
    lines += _table([head, *told]) if told else ["no slice is worse than the rest"]
    for one in found["confusions"]:
        lines += [
            "",
            f"{one['true']} taken for {one['answered']}: {one['wrong_rows']:,} of "
            f"{one['right_rows'] + one['wrong_rows']:,} test {found['counted']} that are {one['true']} and answered as "
            f"one of the two; what speaks for {one['true']} (+) or {one['answered']} (-), on average",
            *_table(
                [
                    ("PART", f"RIGHT ({one['right_explained']})", f"WRONG ({one['wrong_explained']})"),
                    *(
                        (part["part"], f"{part['where_right']:+.3f}", f"{part['where_wrong']:+.3f}")
                        for part in one["parts"]
                    ),
                ]
            ),
        ]
    return lines


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
