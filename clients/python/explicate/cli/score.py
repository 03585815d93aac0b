"""`explicate score`: many rows from files, each with its prediction and its reasons, to Parquet."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explicate.cli import connection, explanation_options
from explicate.errors import InvalidArgument, UsageError
from explicate.options import ExplainOptions
from explicate.reading import notes

if TYPE_CHECKING:
    from explicate.scoring.batch_score import ScoreOptions, ScoreResult
    from explicate.scoring.estimate import Estimate
    from explicate.scoring.scorer import MostFailed, Tally

_TIMEOUT_S = 300.0  # as explicate.scoring.batch_score.CALL_TIMEOUT_S, which needs pyarrow
_TERMINATED = 128 + signal.SIGTERM
_INTERRUPTED = 128 + signal.SIGINT
_BAR = 24

_EPILOG = """examples:
  explicate score --model credit --input 'in/*.parquet' --output out
  explicate score --model credit --input in.csv --output out --explain kernel-shap --seed 0
  explicate score --model reviews --input reviews.jsonl --column text=review --keep id,date --output out --explain
  explicate score ... --explain --explain-if 'probability < 0.6 or label == "bad"'   only where it matters
  explicate score ... --explain --attributions wide      a column attr_NAME for each column of the table
  explicate score ... --dry-run                          what it will cost, from the first rows
  explicate score ... --shard 3/16                       one of sixteen processes, with a folder in common
  explicate score ... --retry-failed                     ask again about the rows of out/_failed

Run the same command again to go on after whatever ended it: parts that are done stay, and the output is the same bit
for bit as if nothing had happened. out/ has part-000000.parquet and so on, in the order of the inputs; _failed/ with
the rows that do not have an answer, and why; _manifest.json with all that the output depends on; and at the end
_SUCCESS. The version that is live at the start answers all rows, whatever is activated meanwhile.

Exit codes: 0 all rows are answered, 1 some failed or the work could not be done, 2 wrong usage, 3 server unreachable,
130 or 143 stopped by a signal."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "score",
        usage="explicate score --input FILES --output FOLDER [OPTION ...]",
        help="score many rows of files, to Parquet",
        description="Ask a served model about all rows of files, and write the answers to a folder of Parquet files,\n"
        "with what each word, column or segment adds to them if wanted.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_inputs(parser.add_argument_group("rows"))
    _add_output(parser.add_argument_group("output"))
    _add_pace(parser.add_argument_group("pace"))
    _add_failures(parser.add_argument_group("failures"))
    group = parser.add_argument_group("explanations")
    group.add_argument(
        "--explain",
        metavar="METHOD",
        nargs="?",
        const="auto",
        help="explain the rows, by kernel-shap or another method that `explicate models show` lists (default: auto, "
        "which is exact-shap for a short text or a few columns, else kernel-shap)",
    )
    group.add_argument(
        "--explain-if",
        metavar="EXPR",
        help="predict all rows, and explain those for which this holds, of label, probability or value, and the "
        "columns that are kept: 'probability < 0.6 or label == \"bad\"'",
    )
    explanation_options.add_explanation_options(parser, of_files=True)
    connection.add_model_options(parser)
    connection.add_server_options(parser, timeout_s=_TIMEOUT_S)
    parser.set_defaults(run=run, extra="batch")


def _add_inputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--input",
        metavar="FILES",
        dest="inputs",
        action="append",
        required=True,
        help="Parquet, CSV or JSONL: a file, a folder or a quoted glob; may be given several times",
    )
    group.add_argument(
        "--column",
        metavar="NAME=COLUMN",
        dest="columns",
        action="append",
        default=[],
        help="what the model reads as NAME is in this column, such as text=review",
    )
    group.add_argument(
        "--keep", metavar="A,B", help="columns that go along to the output, before the answers (default: all; '': none)"
    )
    group.add_argument("--shard", metavar="K/N", default="1/1", help="do the K-th of N shares of the parts, K from 1")


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--output", metavar="FOLDER", type=Path, required=True, help="a new folder, or one to go on with"
    )
    group.add_argument(
        "--part-rows", metavar="N", type=int, help="rows of each file (default: 10,000, or 500 if rows are explained)"
    )
    group.add_argument(
        "--attributions",
        choices=("long", "wide"),
        default="long",
        help="long: a column `explanation`, a list of feature, value, lower and upper; wide, for tables: a column "
        "attr_NAME for each feature (default: long)",
    )
    group.add_argument(
        "--top", metavar="N", type=int, default=0, help="write the N strongest features of each row (default: 0, all)"
    )
    group.add_argument(
        "--dry-run", action="store_true", help="ask about the first rows, say what all will cost, and write nothing"
    )


def _add_pace(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--in-flight",
        metavar="N",
        default="auto",
        help="calls under way at once; auto finds out what the server takes (default: auto)",
    )
    group.add_argument("--rate", metavar="ROWS", type=float, help="ask about so many rows a second at most")
    group.add_argument(
        "--patience",
        metavar="TIME",
        help="how long a server that is away or full is waited for: 90s, 10m or 2h (default: 5m)",
    )
    group.add_argument(
        "--interactive",
        dest="priority",
        action="store_const",
        const="interactive",
        default="bulk",
        help="do not let interactive requests go first",
    )


def _add_failures(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--max-failed",
        metavar="N",
        default="50%",
        help="stop once more rows failed than this: a number, or a share such as 1%% of the rows so far, of 1,000 at "
        "least (default: 50%%)",
    )
    group.add_argument("--retry-failed", action="store_true", help="ask again about the rows that failed")


def run(arguments: argparse.Namespace) -> int:
    """Score the rows; 1 if some failed."""
    from explicate.scoring.batch_score import run_alone, so_far

    options = _options(arguments)
    try:
        with _terminated_as_interrupted() as is_terminated:
            if arguments.dry_run:
                _print_estimate(run_alone(lambda: _estimated(options, arguments)))
                return 0
            progress = _ProgressLine()
            try:
                result = run_alone(lambda: _with_client(options, arguments, progress))
            finally:
                progress.close()
    except KeyboardInterrupt:
        print(f"explicate: stopped; {so_far(options.output)}", file=sys.stderr)
        return _TERMINATED if is_terminated else _INTERRUPTED
    except Exception as error:
        for note in getattr(error, "__notes__", ()):
            print(f"explicate: {note}", file=sys.stderr)
        if isinstance(error, InvalidArgument) and any(path.startswith("options.") for path, _ in error.violations):
            raise explanation_options.in_flags(error) from error
        raise
    if not notes.is_quiet():
        print(_told(result), file=sys.stderr)
    return 1 if result.failed else 0


async def _with_client(options: ScoreOptions, arguments: argparse.Namespace, progress: _ProgressLine) -> ScoreResult:
    from explicate.scoring.batch_score import score_with

    async with connection.connect_async(arguments) as client:
        return await score_with(options, client, progress)


async def _estimated(options: ScoreOptions, arguments: argparse.Namespace) -> Estimate:
    from explicate.scoring.estimate import estimated

    async with connection.connect_async(arguments) as client:
        return await estimated(options, client)


def _options(arguments: argparse.Namespace) -> ScoreOptions:
    from explicate.scoring.batch_score import ScoreOptions

    return ScoreOptions(
        model=_model(arguments),
        inputs=tuple(arguments.inputs),
        output=arguments.output,
        version=arguments.version,
        label=arguments.label,
        columns=dict(_pair(each) for each in arguments.columns),
        keep=None if arguments.keep is None else [name for name in arguments.keep.split(",") if name],
        how=_how(arguments),
        explain_if=arguments.explain_if,
        attributions=arguments.attributions,
        top=arguments.top,
        part_rows=arguments.part_rows,
        in_flight="auto" if arguments.in_flight == "auto" else _whole(arguments.in_flight, "--in-flight"),
        rate=arguments.rate,
        shard=_shard(arguments.shard),
        retry_failed=arguments.retry_failed,
        max_failed=_most_failed(arguments.max_failed),
        patience_s=None if arguments.patience is None else _seconds(arguments.patience),
        priority=arguments.priority,
        timeout_s=arguments.timeout,
    )


def _model(arguments: argparse.Namespace) -> str:
    """The model that was given, or the one of the run that goes on, or the only one that is served."""
    from explicate.scoring.output_folder import OutputFolder

    if arguments.model:
        return str(arguments.model)
    manifest = OutputFolder(arguments.output).manifest()
    if manifest is not None:
        return manifest.model.name
    with connection.connect(arguments) as client:
        return connection.chosen_model(client, arguments)


def _how(arguments: argparse.Namespace) -> ExplainOptions | None:
    """The options of the explanations, with the seed that a server would take; None without --explain."""
    arguments.method = arguments.explain
    given: dict[str, Any] = {  # Any: each option has a type of its own
        name: value for name, value in explanation_options.explanation_options(arguments).items() if value is not None
    }
    if arguments.explain is None:
        if given:
            flags = ", ".join(f"--{name.removesuffix('_s').replace('_', '-')}" for name in given)
            raise UsageError(f"{flags}: options of explanations need --explain")
        return None
    options: ExplainOptions = {"seed": 0, **given}  # type: ignore[typeddict-item]
    return options


def _pair(text: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    if not (name and equals and column):
        raise UsageError(f"--column {text}: give NAME=COLUMN, such as text=review")
    return name, column


def _whole(text: str, flag: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{flag} {text}: give a whole number") from None


def _shard(text: str) -> tuple[int, int]:
    number, slash, of = text.partition("/")
    if not slash:
        raise UsageError(f"--shard {text}: give K/N, such as 3/16")
    return _whole(number, "--shard"), _whole(of, "--shard")


def _most_failed(text: str) -> MostFailed:
    from explicate.scoring.scorer import MostFailed

    if not text.endswith("%"):
        return MostFailed(rows=_whole(text, "--max-failed"))
    try:
        return MostFailed(share=float(text[:-1]) / 100)
    except ValueError:
        raise UsageError(f"--max-failed {text}: give a number, or a share such as 1%") from None


_UNITS = {"s": 1, "m": 60, "h": 3600}


def _seconds(text: str) -> float:
    unit = _UNITS.get(text[-1:])
    try:
        return float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        raise UsageError(f"--patience {text}: give a time such as 90s, 10m or 2h") from None


@contextmanager
def _terminated_as_interrupted() -> Iterator[list[bool]]:
    """SIGTERM ends the block as Ctrl-C does; the list is not empty if it came."""
    came: list[bool] = []

    def interrupt(_number: int, _frame: object) -> None:
        came.append(True)
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)


class _ProgressLine:
    """How far a run is: a bar on a terminal, elsewhere a plain line every few seconds."""

    def __init__(self) -> None:
        self._on_terminal = sys.stderr.isatty()
        self.interval_s = 0.2 if self._on_terminal else 5.0
        self._is_open = False

    def show(self, tally: Tally, in_flight: int) -> None:
        if notes.is_quiet():
            return
        share = tally.done / tally.rows if tally.rows else 1.0
        parts = [f"{tally.done:,} of {tally.rows:,} rows", f"{tally.rows_per_s:,.0f} a second"]
        if tally.failed:
            parts.append(f"{tally.failed:,} failed")
        parts.append(f"{in_flight} in flight")
        if tally.left_s is not None and tally.done < tally.rows:
            parts.append(f"{_duration(tally.left_s)} left")
        line = ", ".join(parts)
        if self._on_terminal:
            filled = round(share * _BAR)
            print(
                f"\r\x1b[K{'█' * filled}{'░' * (_BAR - filled)} {share:4.0%}  {line}",
                end="",
                file=sys.stderr,
                flush=True,
            )
            self._is_open = True
        else:
            notes.say(f"{share:.0%}, {line}")

    def close(self) -> None:
        """Leave the bar on its line."""
        if self._is_open:
            print(file=sys.stderr)
            self._is_open = False


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _told(result: ScoreResult) -> str:
    rows = f"{result.rows:,} rows" if result.is_complete else f"the {result.rows:,} rows of this shard"
    failed = f", {result.failed:,} of them failed ({result.output / '_failed'} says why)" if result.failed else ""
    return f"explicate: {rows} are in {result.output}{failed}"


def _print_estimate(estimate: Estimate) -> None:
    e = estimate
    print(f"rows: {e.rows:,}; files: {e.files:,}; parts: {e.parts:,}; the columns fit the model")
    print(f"sample: the first {e.sample_rows:,} rows in {e.sample_s:.2f} s, {e.explained:,} of them explained")
    if e.failed:
        print(f"failed: {e.failed:,} of the sample; the first because {e.failure}")
    if e.explained:
        print(f"evaluations: {e.evaluations / e.explained:,.0f} a row, {e.evaluations_in_all:,.0f} in all")
    print(f"output: about {e.rows * e.row_bytes / 1e6:,.1f} MB")
    print(f"time: about {_duration(e.seconds)}, if all goes as the sample did")
