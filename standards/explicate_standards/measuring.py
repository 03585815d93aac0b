"""Measuring for somebody who waits: the estimate, then how far it is, a bar on a terminal, plain lines elsewhere."""

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.evaluation import Evaluation, done_already, evaluate, plan, told_time
from explicate_standards.held_out_rows import HeldOutRows
from explicate_standards.metric import Metric

Say = Callable[[str], None]
_LINE_EVERY_S = 10.0
_BAR_EVERY_S = 0.2
_BAR_COLUMNS = 20


def measure(
    model: EvaluatedModel,
    rows: HeldOutRows,
    metrics: Sequence[Metric],
    *,
    say: Say,
    stream: TextIO | None = None,
    folder: Path | None = None,
) -> Evaluation:
    """Measure a model; `say` gets lines, and a bar is drawn on `stream`, or stderr, where that is a terminal.

    Raises:
        UsageError: see `evaluate`.
    """
    what = model.kind.reads.plural
    if rows.unusable:
        say(f"{rows.unusable:,} {what} are passed over, for a server would refuse them")
    planned = plan(model, rows, metrics)
    done = done_already(model, rows, planned, folder=folder)
    say(planned.sentence(what, done))
    say("if it is interrupted, the same command goes on where it was")
    progress = Progress(what, done, say, stream or sys.stderr)
    try:
        return evaluate(model, rows, planned, told=progress.told, folder=folder)
    finally:
        progress.end()


class Progress:
    """How far it is, told now and then. `known` inputs were measured before and take no time."""

    def __init__(self, what: str, known: int, say: Say, stream: TextIO, clock: Callable[[], float] = time.monotonic):
        self._what = what
        self._known = known
        self._say = say
        self._stream = stream
        self._clock = clock
        self._started_s = self._last_s = clock()
        self._drawn = 0

    def told(self, done: int, of: int, rows: int) -> None:
        """So many inputs of so many are measured, and so many rows of the model went into it."""
        now_s = self._clock()
        bar = self._stream.isatty()
        if now_s - self._last_s < (_BAR_EVERY_S if bar else _LINE_EVERY_S) and done < of:
            return
        self._last_s = now_s
        fresh, spent_s = done - self._known, now_s - self._started_s
        rate = f", {rows / spent_s:,.0f} rows/s" if spent_s > 0 else ""
        left = f", about {told_time(spent_s / fresh * (of - done))} left" if fresh > 0 and done < of else ""
        line = f"{done:,} of {of:,} {self._what}, {rows:,} model rows{rate}{left}"
        if bar:
            self._draw(f"{'█' * (_BAR_COLUMNS * done // of):<{_BAR_COLUMNS}} {line}")
        else:
            self._say(line)

    def end(self) -> None:
        """Leave the line of the bar."""
        if self._drawn:
            self._stream.write("\n")
            self._stream.flush()

    def _draw(self, line: str) -> None:
        line = line[: shutil.get_terminal_size().columns - 1]  # a line that wraps could not be drawn over
        self._stream.write(f"\r{line:<{self._drawn}}")
        self._stream.flush()
        self._drawn = len(line)
