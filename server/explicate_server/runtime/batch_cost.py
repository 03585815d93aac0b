"""How long a batch takes on this machine, and how many rows make a batch that is short enough to wait for.

    seconds = slowdown · (fixed + token · rows · length + pair · rows · length²)

The last term is attention. The three numbers are measured when a model is loaded; ``slowdown`` follows what batches
really take, because other lanes and other programs share the machine. No measurement moves a batch's tokens by more
than the factors below from what the runtime itself suggests, so a wrong one costs some speed and nothing else.
"""

import math
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from scipy.optimize import nnls

from explicate_server.runtime.queue import Row

# What a Predict that just missed a batch may have to wait for. MiniLM-L6 on one core runs a token at its best speed
# from 250 tokens or 35 ms on; on faster chips batches end at the most tokens, before that.
TARGET_S = 0.04
# Above the most, memory: ONNX Runtime's arena keeps what its largest batch took. Below the least, overhead.
_LEAST_TOKENS_FRACTION = 1 / 8
_MOST_TOKENS_FACTOR = 4
# Time spent on rows is at least this much of what any batch costs: nine parts in ten go into rows, however busy the
# machine is. Smaller batches would only make it busier.
_LEAST_ROWS_TO_FIXED = 9.0
# One odd batch counts for no more than this factor, the slowdown stays within the other.
_MOST_SURPRISE = 2.0
_MOST_SLOWDOWN = 4.0
_SMOOTHING = 0.05
# After so many batches that fitted, batches of twice the tokens are tried. To fail costs about what one batch does.
_CALM_BATCHES = 1000
# Loading a model may take this long for it.
_CALIBRATION_S = 0.5
_PASSES = 5
_SHORTEST = 8
_T = TypeVar("_T")


class BatchCost:
    """Predicts seconds and bounds batches. Not thread-safe: the batcher holds its lock.

    Attributes:
        slowdown: what batches take now, as a multiple of what was measured at load.
        measured: whether anything was.
    """

    def __init__(
        self, *, fixed_s: float, token_s: float, pair_s: float, least_tokens: int, most_tokens: int, adapts: bool = True
    ) -> None:
        """Coefficients in seconds; a batch is between ``least_tokens`` and ``most_tokens`` padded, or one row."""
        self.slowdown = 1.0
        self.measured = True
        self._coefficients = (fixed_s, token_s, pair_s)
        self._least_tokens = least_tokens
        self._most_tokens = most_tokens
        self._adapts = adapts
        self._fitting_tokens: float = math.inf
        self._batches_in_memory = 0

    @classmethod
    def unmeasured(cls, batch_tokens: int) -> "BatchCost":
        """Batches of this many tokens, however long they take."""
        cost = cls(
            fixed_s=0.0,
            token_s=TARGET_S / batch_tokens,
            pair_s=0.0,
            least_tokens=batch_tokens,
            most_tokens=batch_tokens,
            adapts=False,
        )
        cost.measured = False
        return cost

    def seconds(self, rows: int, length: int) -> float:
        """What a batch of ``rows`` rows padded to ``length`` tokens should take."""
        fixed_s, token_s, pair_s = self._coefficients
        return self.slowdown * (fixed_s + rows * length * (token_s + pair_s * length))

    def most_rows(self, length: int) -> int:
        """Rows of ``length`` tokens that make one short batch; at least one."""
        length = max(1, length)
        fixed_s, token_s, pair_s = self._coefficients
        row_s = length * (token_s + pair_s * length)
        # A runtime whose every batch costs much gets longer ones, else that is all it would do.
        spent_on_rows_s = max(TARGET_S / self.slowdown - fixed_s, _LEAST_ROWS_TO_FIXED * fixed_s)
        rows = math.inf if row_s <= 0 else spent_on_rows_s / row_s
        least, most = self._least_tokens // length, min(self._most_tokens, self._fitting_tokens) // length
        return max(1, int(min(max(rows, least), most)))

    def part(self, rows: int, length: int) -> float:
        """What a batch of ``rows`` rows takes of the time of a full one; a single row takes what any batch costs."""
        length = max(1, length)
        most_rows = self.most_rows(length)
        full_s = self.seconds(most_rows, length)
        return self.seconds(rows, length) / full_s if full_s > 0 else rows / most_rows

    def shrink(self, tokens: int) -> None:
        """So many padded tokens did not fit in the device's memory: from now on batches have half of them at most."""
        self._fitting_tokens = max(1, min(self._fitting_tokens, tokens // 2))  # another lane may have said less
        self._batches_in_memory = 0

    def observe(self, rows: int, length: int, seconds: float) -> None:
        """Learn from a batch that ran."""
        self._batches_in_memory += 1
        if self._batches_in_memory >= _CALM_BATCHES:  # what filled the memory may have gone
            self._fitting_tokens *= 2
            self._batches_in_memory = 0
        expected_s = self.seconds(rows, length)
        if not self._adapts or expected_s <= 0 or seconds <= 0:
            return
        surprise = min(max(seconds / expected_s, 1 / _MOST_SURPRISE), _MOST_SURPRISE)
        self.slowdown = min(max(self.slowdown * surprise**_SMOOTHING, 1 / _MOST_SLOWDOWN), _MOST_SLOWDOWN)


def calibrate(
    run: Callable[[list[Row]], object],
    row_of: Callable[[int], Row],
    *,
    batch_tokens: int,
    max_length: int,
    most_factor: int = _MOST_TOKENS_FACTOR,
    clock: Callable[[], float] = time.perf_counter,
) -> BatchCost:
    """Measure a model that has answered before. It takes half a second at most, and one batch more.

    Args:
        run: runs a batch of rows.
        row_of: a row of a given number of tokens, see :func:`stretched`.
        batch_tokens: what the runtime suggests; half and all of it are measured, and it is used when nothing can be.
        max_length: tokens of the model's longest row.
        most_factor: how many times ``batch_tokens`` a batch may have at most.
        clock: seconds.
    """
    shortest_s: dict[tuple[int, int], float] = {}
    end_s = clock() + _CALIBRATION_S
    token_s = 0.0  # of the last batch: what the next, of more tokens, takes at most but for attention
    for rows, length in _shapes(batch_tokens, max_length) * _PASSES:
        begun_s = clock()
        if begun_s + token_s * rows * length > end_s:
            break
        run([row_of(length)] * rows)
        elapsed_s = clock() - begun_s
        token_s = elapsed_s / (rows * length)
        # Everything else that happens on the machine only adds time.
        shortest_s[rows, length] = min(elapsed_s, shortest_s.get((rows, length), math.inf))
    return _fitted(shortest_s, batch_tokens, most_factor)


def stretched(row: Row, length: int) -> Row:
    """A row of ``length`` tokens, made of the row's own, over and over."""
    return Row(length, np.take(row.values, np.arange(length) % row.length, axis=-1))


def _shapes(batch_tokens: int, max_length: int) -> list[tuple[int, int]]:
    """Rows and length of what is measured, from few tokens to many: tiny batches, then short, middle and long rows."""
    lengths = {min(length, max_length) for length in (16, 64, max_length)}
    shapes = {(max(1, tokens // length), length) for length in lengths for tokens in (batch_tokens // 2, batch_tokens)}
    tiny = {(1, min(_SHORTEST, max_length)), (max(1, batch_tokens // 128), min(16, max_length))}
    return sorted(tiny | shapes, key=lambda shape: (shape[0] * shape[1], shape))


def _fitted(shortest_s: dict[tuple[int, int], float], batch_tokens: int, most_factor: int) -> BatchCost:
    """Least squares of the relative error with coefficients that are not negative."""
    rows, length = np.array(list(shortest_s), dtype=np.float64).T
    seconds = np.array(list(shortest_s.values()))
    if not (np.isfinite(seconds).all() and (seconds > 0).all()):
        return BatchCost.unmeasured(batch_tokens)
    columns = [np.ones_like(rows), rows * length, rows * length**2]
    # As many coefficients as a slow model leaves measurements for: per token, then per batch, then attention.
    known = {1: [1], 2: [0, 1], 3: [0, 1]}.get(len(seconds), [0, 1, 2])
    design = np.stack([columns[index] for index in known], axis=1) / seconds[:, np.newaxis]
    scale = design.max(axis=0)
    solution, _ = nnls(design / scale, np.ones_like(seconds))
    fixed_s, token_s, pair_s = (
        float(solution[known.index(index)] / scale[known.index(index)]) if index in known else 0.0 for index in range(3)
    )
    return BatchCost(
        fixed_s=fixed_s,
        token_s=token_s,
        pair_s=pair_s,
        least_tokens=max(1, int(batch_tokens * _LEAST_TOKENS_FRACTION)),
        most_tokens=batch_tokens * most_factor,
    )
