"""What would change an answer, between the wire and the domain: what is asked for, and what was found."""

from collections.abc import Sequence
from typing import Any  # fields have values of several types

from explicate.v1 import changes_pb2 as messages
from explicate.v1 import explanation_pb2 as explanation_messages
from explicate.v1 import table_pb2 as table_messages
from explicate_bundle.model_inputs import CellValue, ModelInput, TabularInput
from explicate_server.errors import InvalidRequest, Violation
from explicate_server.explain.changes.flip_search import SearchEnd
from explicate_server.inference.asking.change_wish import PATH, ChangeWish
from explicate_server.inference.changed.decided import ChangedAnswer, ChangeFound
from explicate_server.modalities.rows.cell_changes import Alternatives, CellMove, Kept, Listed, ValueRange
from explicate_server.rpc.asked.baseline_messages import cell_message

_ENDS = {
    SearchEnd.COMPLETE: messages.CHANGE_END_COMPLETE,
    SearchEnd.BUDGET: messages.CHANGE_END_BUDGET,
    SearchEnd.DEADLINE: messages.CHANGE_END_DEADLINE,
}


def change_wish(message: explanation_messages.ExplainOptions) -> ChangeWish | None:
    """The change that is asked for; None where none is.

    Raises:
        InvalidRequest: a column comes twice, or has nothing to become.
    """
    if not message.HasField("change"):
        return None
    asked = message.change
    to = asked.WhichOneof("to")
    columns: dict[str, Alternatives] = {}
    for one in asked.columns:
        if one.column in columns:
            raise InvalidRequest([Violation(f"{PATH}.columns[{one.column}]", "comes twice")])
        columns[one.column] = _alternatives(one)
    return ChangeWish(
        to_class=getattr(asked, to) if to in ("class_index", "class_label") else None,
        to_value=asked.value if to == "value" else None,
        absence=asked.absence,
        columns=columns,
        keep_others=asked.keep_others,
        max_evaluations=asked.max_evaluations if asked.HasField("max_evaluations") else None,
    )


def _alternatives(message: messages.ColumnAlternatives) -> Alternatives:
    path = f"{PATH}.columns[{message.column}]"
    match message.WhichOneof("alternatives"):
        case "kept":
            return Kept()
        case "range":
            low, high = (_value(getattr(message.range, end), f"{path}.range.{end}") for end in ("low", "high"))
            return ValueRange(low, high, message.range.step if message.range.HasField("step") else None)
        case "values":
            cells = enumerate(message.values.values)
            return Listed([_value(cell, f"{path}.values[{place}]") for place, cell in cells])
        case _:
            raise InvalidRequest([Violation(path, "has nothing to become; set kept, range or values")])


def _value(cell: table_messages.Cell, path: str) -> CellValue:
    kind = cell.WhichOneof("kind")
    if kind is None:
        raise InvalidRequest([Violation(path, "has no value; set number, category or missing")])
    return None if kind == "missing" else getattr(cell, kind)


def change_options(wish: ChangeWish | None) -> messages.ChangeOptions | None:
    """A wish as resolved."""
    if wish is None:
        return None
    to: dict[str, Any] = {"value": wish.to_value}
    if wish.to_class is not None:
        to = {"class_label" if isinstance(wish.to_class, str) else "class_index": wish.to_class}
    return messages.ChangeOptions(
        **to,
        absence=wish.absence,
        columns=[_alternatives_message(name, one) for name, one in wish.columns.items()],
        keep_others=wish.keep_others,
        max_evaluations=wish.max_evaluations,
    )


def _alternatives_message(name: str, alternatives: Alternatives) -> messages.ColumnAlternatives:
    message = messages.ColumnAlternatives(column=name)
    match alternatives:
        case Kept():
            message.kept.SetInParent()
        case ValueRange(low, high, step):
            message.range.CopyFrom(messages.NumberRange(low=cell_message(low), high=cell_message(high), step=step))
        case Listed(values):
            message.values.values.extend(map(cell_message, values))
    return message


def change_message(found: ChangeFound | None, value: ModelInput, labels: Sequence[str]) -> messages.Change | None:
    """What was found of a change of an input; ``labels`` are those of the model's outputs."""
    if found is None:
        return None
    flip, cells = found.flip, value.cells if isinstance(value, TabularInput) else {}
    return messages.Change(
        found=found.after is not None,
        absent=found.absent,
        columns=[_column_change(move, cells[move.column.name]) for move in found.cells],
        distance=sum(move.distance for move in found.cells),
        before=_answer(found.before, labels),
        after=None if found.after is None else _answer(found.after, labels),
        evaluations=found.evaluations,
        reused_evaluations=found.reused,
        sizes_tried=flip.sizes_tried,
        none_smaller=flip.none_smaller,
        none_nearer=flip.none_nearer,
        end=_ENDS[flip.end],
    )


def _column_change(move: CellMove, value: CellValue) -> messages.ColumnChange:
    before = {"from": cell_message(value)}  # a word of Python's own
    return messages.ColumnChange(column=move.column.name, to=cell_message(move.value), distance=move.distance, **before)


def _answer(answer: ChangedAnswer, labels: Sequence[str]) -> messages.ChangedAnswer:
    return messages.ChangedAnswer(
        class_index=answer.index, class_label=labels[answer.index], score=answer.score, given=answer.given
    )
