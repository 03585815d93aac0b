"""The calls that explain a table: a piece of it in each, as many rows as the server takes, and their answers as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from explicate._wire import calls, decoding, option_fields
from explicate._wire.calls import Call
from explicate._wire.channel import MAX_MESSAGE_BYTES
from explicate._wire.encoding import TableColumns, plain_columns
from explicate._wire.option_fields import copied, name_of
from explicate.errors import Aborted, ErrorDetails, invalid_argument
from explicate.model_info import ModelDescription
from explicate.options import ALL, ExplainOptions
from explicate.table_results import TableAttribution, TableFeature, TableQuality, TableResult
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import inference_service_pb2 as inference_pb

TABLES_IN_FLIGHT = 4  # calls with a piece of a table each: one fills a server's batches alone
_ANSWER_BYTES = MAX_MESSAGE_BYTES * 3 // 4
_NUMBERS_A_ROW = 16  # figures of quality, evaluations, stop reason and the like

Columns = dict[str, list[Any]]
"""What a table holds, by column; Any: looked at when it is sent."""


class TableCalls:
    """The pieces of a table, ranges of its rows, each small enough for a call; several are asked of one version.

    Raises InvalidArgument for `rows_per_call` below 1, UsageError for columns that are not a table.
    """

    def __init__(
        self,
        model: ModelDescription,
        table: TableColumns,
        options: ExplainOptions,
        how: Mapping[str, Any],  # Any: what `calls.explain_table` takes besides
        *,
        rows_per_call: int | None,
    ) -> None:
        if rows_per_call is not None and rows_per_call < 1:
            raise invalid_argument("rows_per_call", f"must be 1 or more, not {rows_per_call}")
        self._model, self._columns, self._options = model, plain_columns(table), options
        rows = max(map(len, self._columns.values()), default=0)
        most = min(rows_per_call or rows, model.limits.max_explained_rows or rows, self._rows_of_an_answer()) or 1
        self.pieces = [range(start, min(start + most, rows)) for start in range(0, rows or 1, most)]
        pinned = {"version": model.status.version, "label": None} if len(self.pieces) > 1 else {}
        self._how = {**how, **pinned}

    def call_of(self, piece: range) -> Call[TableResult]:
        """The call about the rows of a piece."""
        columns = {name: values[piece.start : piece.stop] for name, values in self._columns.items()}
        several = self._model.status.kind.endswith("-multi-label")
        return calls.explain_table(
            self._model.status.model,
            columns,
            self._options,
            lambda response: table_result(response, columns, several_labels=several),
            **self._how,
        )

    def joined(self, answers: Sequence[TableResult]) -> TableResult:
        """The answers for all pieces as one; raises Aborted if two bundles gave them."""
        if len(digests := {part.model.bundle_digest for part in answers}) > 1:
            told = " and ".join(digest[:12] for digest in sorted(digests))
            message = f"version {answers[0].model.version} is another bundle on another server ({told}): ask again"
            raise Aborted(message, ErrorDetails(code="ABORTED"))
        return TableResult.joined(answers, self._columns)

    def _rows_of_an_answer(self) -> int:
        """Rows whose answer is below the limit of a message: four numbers a feature and output, and some a row."""
        classes = len(self._model.class_labels)
        outputs = classes if self._options.get("target") is ALL else 1
        return _ANSWER_BYTES // (8 * (4 * len(self._columns) * outputs + 2 * outputs + classes + _NUMBERS_A_ROW))


def table_result(
    response: inference_pb.ExplainTableResponse, columns: Columns, *, several_labels: bool = False
) -> TableResult:
    """The answer of ExplainTable about the table `columns`."""
    told = response.explanation
    width = len(told.features)
    return TableResult(
        columns=columns,
        predictions=decoding.packed_predictions(response.predictions, response.model, response.timing),
        features=tuple(copied(TableFeature, feature) for feature in told.features),
        attributions=tuple(_attribution(each, width) for each in told.attributions),
        quality=_quality(told.quality),
        class_labels=tuple(told.class_labels),
        stop_reasons=tuple(name_of(explanation_pb.StopReason, reason) for reason in told.stop_reasons),
        evaluations=tuple(told.evaluations),
        rounds=tuple(told.rounds),
        converged=tuple(told.converged),
        method_version=told.method_version,
        options=option_fields.from_message(told.options),
        model=decoding.model_version(response.model),
        timing=decoding.timing(response.timing),
        several_labels=several_labels,
    )


def _attribution(message: explanation_pb.PackedAttribution, width: int) -> TableAttribution:
    rows = {name: _rows(getattr(message, name), width) for name in ("values", "standard_errors", "lower", "upper")}
    return copied(TableAttribution, message, **rows)


def _rows(numbers: Iterable[float], width: int) -> tuple[tuple[float, ...], ...]:
    """Rows of `width` numbers each."""
    return tuple(zip(*[iter(numbers)] * width, strict=True)) if width else ()


def _quality(message: explanation_pb.PackedQuality) -> TableQuality:
    falls = {
        name: tuple(numbers)
        for fall in ("comprehensiveness", "sufficiency")
        for name, numbers in ((fall, getattr(message, fall).value), (f"{fall}_random", getattr(message, fall).random))
    }
    return copied(TableQuality, message, **falls)
