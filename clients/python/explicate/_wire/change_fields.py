"""What would change an answer, from what callers ask for to protobuf, and what was found of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from explicate._wire.encoding import cell_message, set_field, unicode_text
from explicate.described.found_change import Change, ChangedAnswer, ColumnChange
from explicate.errors import invalid_argument
from explicate.inputs import CellValue
from explicate.options import ChangeSearch, ValueRange
from explicate.v1 import changes_pb2 as changes_pb
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import table_pb2 as table_pb

PATH = "options.change"


def set_change(message: explanation_pb.ExplainOptions, asked: ChangeSearch | bool) -> None:
    """What the caller asks for of a change; False asks for none. Raises InvalidArgument for what cannot be sent."""
    if asked is False:
        return
    if not isinstance(asked, bool | ChangeSearch):
        raise invalid_argument(PATH, f"must be True or an explicate.ChangeSearch, not {asked!r}")
    message.change.SetInParent()
    if isinstance(asked, ChangeSearch):
        _set_search(message.change, asked)


def _set_search(message: changes_pb.ChangeOptions, asked: ChangeSearch) -> None:
    if asked.to is not None and asked.to_value is not None:
        raise invalid_argument(PATH, "has both to, a class, and to_value, of a regression: give one")
    if isinstance(asked.to, str):
        set_field(message, "class_label", asked.to, f"{PATH}.class_label")
    elif asked.to is not None:
        set_field(message, "class_index", asked.to, f"{PATH}.class_index")
    for name in ("absence", "keep_others", "max_evaluations"):
        if (value := getattr(asked, name)) is not None:
            set_field(message, name, value, f"{PATH}.{name}")
    if asked.to_value is not None:
        set_field(message, "value", asked.to_value, f"{PATH}.value")
    if isinstance(asked.keep, str):
        raise invalid_argument(f"{PATH}.columns", f"keep must be a list of columns, not {asked.keep!r}")
    for column in asked.keep:
        message.columns.add(column=unicode_text(column, f"{PATH}.columns")).kept.SetInParent()
    for column, values in asked.vary.items():
        one = message.columns.add(column=unicode_text(column, f"{PATH}.columns"))
        _set_values(one, column, values)


def _set_values(message: changes_pb.ColumnAlternatives, column: str, values: ValueRange | Iterable[object]) -> None:
    path = f"{PATH}.columns[{column}]"
    if isinstance(values, ValueRange):
        message.range.low.CopyFrom(cell_message(values.low, column, f"{path}.range.low"))
        message.range.high.CopyFrom(cell_message(values.high, column, f"{path}.range.high"))
        if values.step is not None:
            set_field(message.range, "step", values.step, f"{path}.range.step")
        return
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise invalid_argument(path, f"must be an explicate.ValueRange or a list of values, not {values!r}")
    message.values.SetInParent()
    for place, value in enumerate(values):
        missing = isinstance(value, float) and math.isnan(value)
        message.values.values.append(cell_message(None if missing else value, column, f"{path}.values[{place}]"))


def asked_change(message: explanation_pb.ExplainOptions) -> ChangeSearch | None:
    """What an answer says was asked for, as resolved; None where nothing was."""
    if not message.HasField("change"):
        return None
    asked, to = message.change, message.change.WhichOneof("to")
    return ChangeSearch(
        to=getattr(asked, to) if to in ("class_index", "class_label") else None,
        to_value=asked.value if to == "value" else None,
        keep=tuple(one.column for one in asked.columns if one.HasField("kept")),
        vary={one.column: _values(one) for one in asked.columns if not one.HasField("kept")},
        keep_others=asked.keep_others,
        absence=asked.absence,
        max_evaluations=asked.max_evaluations if asked.HasField("max_evaluations") else None,
    )


def _values(message: changes_pb.ColumnAlternatives) -> ValueRange | tuple[CellValue, ...]:
    if message.HasField("range"):
        step = message.range.step if message.range.HasField("step") else None
        low, high = cell_value(message.range.low), cell_value(message.range.high)
        return ValueRange(0.0 if low is None else low, 0.0 if high is None else high, step)
    return tuple(map(cell_value, message.values.values))


def found_change(message: explanation_pb.Explanation) -> Change | None:
    """What was found of a change; None where none was asked for, or before the last answer."""
    if not message.HasField("change"):
        return None
    found = message.change
    return Change(
        found=found.found,
        before=_answer(found.before),
        after=_answer(found.after) if found.HasField("after") else None,
        evaluations=found.evaluations,
        reused_evaluations=found.reused_evaluations,
        sizes_tried=found.sizes_tried,
        none_smaller=found.none_smaller,
        none_nearer=found.none_nearer,
        end=_ENDS.get(found.end, str(found.end)),
        distance=found.distance,
        absent=tuple(found.absent),
        columns=tuple(
            ColumnChange(one.column, cell_value(getattr(one, "from")), cell_value(one.to), one.distance)
            for one in found.columns
        ),
    )


_ENDS: Mapping[int, str] = {
    changes_pb.CHANGE_END_COMPLETE: "complete",
    changes_pb.CHANGE_END_BUDGET: "budget",
    changes_pb.CHANGE_END_DEADLINE: "deadline",
}


def _answer(message: changes_pb.ChangedAnswer) -> ChangedAnswer:
    return ChangedAnswer(message.class_index, message.class_label, message.score, message.given)


def cell_value(cell: table_pb.Cell) -> CellValue:
    """What a cell holds; None where the value is missing."""
    match cell.WhichOneof("kind"):
        case "number":
            return cell.number
        case "category":
            return cell.category
        case _:
            return None
