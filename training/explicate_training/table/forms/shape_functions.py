"""What each column adds, as curves over its values: all that a sum over columns has learnt can be drawn.

Of two classes it is what is added to the log-odds of the second, of a regression what is added to the value, else what
is added to each output's logit. Means over the training rows are taken off, so that 0 is the average row.
"""

from collections.abc import Mapping, Sequence
from typing import Any  # numbers or codes

import numpy as np
import torch
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.cells.date_notation import date_text
from explicate_bundle.columns import TableRows
from explicate_training.report.figures import ShapePanel
from explicate_training.table.encoding import ColumnSchema
from explicate_training.table.forms.additive_network import AdditiveNetwork
from explicate_training.table.forms.network_shape import players_of

_POINTS = 120
_SHOWN = (0.01, 0.99)  # quantiles of the training values between which a number's curve is drawn
_MOST_CATEGORIES = 12
_MOST_ROWS = 5_000  # of the training rows, evenly chosen

_Floats = NDArray[np.float64]


def shape_panels(
    network: AdditiveNetwork,
    schema: Sequence[ColumnSchema],
    train: TableRows,
    outputs: Sequence[str],
    claims: Mapping[str, bundle_pb2.Monotone],
    *,
    odds: bool,
) -> list[ShapePanel]:
    """A panel for each column that is a player of its own, those that move the answers most first.

    `outputs` are the labels, or the name of the target; `odds`: of two classes only the second is shown.
    """
    rows = train[np.linspace(0, len(train) - 1, min(len(train), _MOST_ROWS)).astype(int)]
    names = [outputs[1]] if odds else list(outputs)
    told = _contributions(network, rows, odds=odds)
    strengths, panels = [], []
    for player, (_, places) in enumerate(players_of(schema).items()):
        if len(places) > 1:
            continue
        (place,) = places
        column, before = schema[place], [one.is_numeric for one in schema[:place]]
        number = column.is_numeric
        at = before.count(number)
        values: NDArray[Any] = (rows.numbers if number else rows.codes)[:, at]
        asked, labels = _numbers(values) if number else _codes(values, column)
        grid = rows[np.zeros(len(asked), dtype=np.intp)]
        held: NDArray[Any] = grid.numbers if number else grid.codes
        held[:, at] = asked
        mean = told[:, player].mean(axis=0)
        curves = _contributions(network, grid, odds=odds)[:, player] - mean
        strengths.append(float(np.abs(told[:, player] - mean).mean()))
        panels.append(
            ShapePanel(
                name=column.name,
                note=_note(claims.get(column.name)),
                values=asked.astype(np.float64) if number else None,
                ticks=[date_text(asked[0]), date_text(asked[-1])] if column.type == "date" else labels,
                added={name: curves[:, output] for output, name in enumerate(names)},
                training=values[~np.isnan(values)] if number else _counts(values, asked),
            )
        )
    return [panels[place] for place in np.argsort(-np.array(strengths), kind="stable")]


@torch.no_grad()
def _contributions(network: AdditiveNetwork, rows: TableRows, *, odds: bool) -> _Floats:
    """float64 [rows, players, outputs]; for odds the second less the first, [rows, players, 1]."""
    told = network.with_contributions(torch.from_numpy(rows.numbers), torch.from_numpy(rows.codes))[1].double().numpy()
    return told[..., 1:] - told[..., :1] if odds else np.asarray(told)


def _numbers(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[str]]:
    known = values[~np.isnan(values)]
    if not len(known):
        return np.zeros(1, np.float32), []
    least, most = np.quantile(known, _SHOWN)
    return np.linspace(least, most, _POINTS).astype(np.float32), []


def _codes(values: NDArray[np.int64], column: ColumnSchema) -> tuple[NDArray[np.int64], list[str]]:
    """The most frequent codes in their order, and what they are called."""
    found, counts = np.unique(values, return_counts=True)
    kept = np.sort(found[np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES]])
    names = ["(unknown)", "(missing)", *column.categories]
    return kept, [names[code] for code in kept.tolist()]


def _counts(values: NDArray[np.int64], codes: NDArray[Any]) -> _Floats:
    return np.array([np.count_nonzero(values == code) for code in codes], dtype=np.float64)


def _note(claim: bundle_pb2.Monotone | None) -> str:
    if claim is None:
        return ""
    of = f" for {claim.label}" if claim.HasField("label") else ""
    return f"never {'rises' if claim.decreasing else 'falls'}{of}"
