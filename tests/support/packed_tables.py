"""Rows of a tiny table as a packed table, and what is answered about them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import explanation_pb2, table_pb2
from explicate.v1 import inference_service_pb2 as messages
from support.harness import reference
from support.tiny_table_bundle import TinyTable


def packed(table: TinyTable, numbers: Any, codes: Any) -> table_pb2.Table:
    message = table_pb2.Table(rows=len(numbers))
    for place, name in enumerate(table.numbers):
        message.columns.add(name=name).numbers.values.extend(numbers[:, place])
    for place, column in enumerate(table.others):
        values = message.columns.add(name=column.name).categories
        values.names.extend([*column.categories, "never seen"])
        unknown = len(column.categories)
        # Code 1, missing, becomes −1.
        values.codes.extend([unknown if code == 0 else int(code) - 2 for code in codes[:, place]])
    return message


def table_request(
    model: str, table: table_pb2.Table, *, bulk: bool = False, **options: Any
) -> messages.ExplainTableRequest:
    """An ExplainTable with options by their fields' names."""
    target = options.pop("target", None)
    asked = explanation_pb2.ExplainOptions(target=target, **options)
    priority = messages.PRIORITY_BULK if bulk else messages.PRIORITY_UNSPECIFIED
    return messages.ExplainTableRequest(model=reference(model), table=table, options=asked, priority=priority)


_OF_ROWS = ("class_indices", "baseline_values", "instance_values")
_OF_PLAYERS = ("values", "standard_errors", "lower", "upper")


def rows_of(answer: messages.ExplainTableResponse) -> Iterator[dict[str, Any]]:
    """What is told of each row, by the names that Explanation has."""
    explanation = answer.explanation
    players = len(explanation.features)
    for row in range(len(explanation.evaluations)):
        of_players = slice(row * players, (row + 1) * players)
        yield {
            "attributions": [
                {name: getattr(each, name)[row] for name in _OF_ROWS}
                | {name: list(getattr(each, name)[of_players]) for name in _OF_PLAYERS}
                for each in explanation.attributions
            ],
            "quality": {
                field.name: figures[row] for field, figures in explanation.quality.ListFields() if field.number <= 6
            },
            "evaluations": explanation.evaluations[row],
            "rounds": explanation.rounds[row],
            "stop_reason": explanation.stop_reasons[row],
            "converged": explanation.converged[row],
        }


def assert_row_is(told: dict[str, Any], explanation: explanation_pb2.Explanation, *, close: float = 1e-9) -> None:
    """A row of a table has the explanation that it has alone."""
    for ours, theirs in zip(told["attributions"], explanation.attributions, strict=True):
        names = {
            "class_indices": "class_index",
            "baseline_values": "baseline_value",
            "instance_values": "instance_value",
        }
        for name, value in ours.items():
            np.testing.assert_allclose(value, getattr(theirs, names.get(name, name)), atol=close, rtol=0, err_msg=name)
    for name, figure in told["quality"].items():
        expected = getattr(explanation.quality, name) if explanation.quality.HasField(name) else np.nan
        np.testing.assert_allclose(figure, expected, atol=close, rtol=0, err_msg=name)
    assert {name: told[name] for name in ("evaluations", "rounds", "stop_reason", "converged")} == {
        name: getattr(explanation, name) for name in ("evaluations", "rounds", "stop_reason", "converged")
    }


def values_of(answer: messages.ExplainTableResponse) -> NDArray[np.float64]:
    """float64[explained, rows, players]."""
    rows = len(answer.explanation.evaluations)
    return np.array([each.values for each in answer.explanation.attributions]).reshape(
        -1, rows, len(answer.explanation.features)
    )


def cells_of(table: TinyTable, rows: tuple[Any, Any]) -> Sequence[dict[str, Any]]:
    """The same rows one by one."""
    return [table.cells(numbers, codes) for numbers, codes in zip(*rows, strict=True)]
