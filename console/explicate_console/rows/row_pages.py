"""A page of chosen rows: what goes along, what was predicted, and what adds most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any  # JSON

import pyarrow as pa
import pyarrow.parquet as pq

from explicate.scoring.output_columns import WIDE_PREFIX
from explicate_console.rows.row_columns import LONG
from explicate_console.rows.row_errors import Stop, invalid
from explicate_console.rows.row_folders import RowFiles, Snapshot, Unit, opened
from explicate_console.rows.row_query import Query, Selection

MOST_ROWS = 200
_STRONGEST = 3
_TEXT_IN_PAGE, _TEXT = 240, 100_000  # characters
_EXACT_IN_JSON = 2**53
OUTCOME = ("label", "labels", "value", "probability", "probabilities")
_MADE = (LONG, "baseline", "stop_reason", "evaluations", "bundle_digest", "runtime", "precision")


def kept_columns(snapshot: Snapshot) -> list[str]:
    """The columns of the input that went along."""
    made = (*OUTCOME, *_MADE, *(f"{WIDE_PREFIX}{name}" for name in snapshot.manifest.wide or ()))
    return [name for name in snapshot.answered.schema.names if name not in made]


def page(
    snapshot: Snapshot, query: Query, selection: Selection, ordinals: Sequence[int], stop: Stop
) -> list[dict[str, Any]]:
    """The rows with these numbers among the chosen ones, in this order."""
    files = query.files(snapshot)
    places = selection.at(ordinals)
    columns = [name for name in files.schema.names if name not in _MADE[4:] and name != "probabilities"]
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for number in sorted({unit for unit, _ in places}):
        stop.check()
        unit = selection.units[number]
        wanted = sorted({place for own, place in places if own == number})
        batch = files.read(unit, columns).take(pa.array(wanted, pa.int32()))
        numbers = {} if query.failed else row_numbers(snapshot, unit, wanted)
        for place, row in zip(wanted, batch.to_pylist(), strict=True):
            told = _failed(row) if query.failed else _answered(snapshot, row, numbers[place])
            found[number, place] = {"id": row_id(unit, place), **told}
    return [found[each] for each in places]


def row_id(unit: Unit, place: int) -> str:
    """The name of a row in its folder: its part and its place in that."""
    return f"{unit.part.number}-{unit.start + place}"


def find_row(files: RowFiles, name: str) -> tuple[Unit, int]:
    """The row of a name; raises RowsRefused."""
    part, _, place = name.partition("-")
    if part.isdecimal() and place.isdecimal() and len(name) < 40:
        for unit in files.units:
            if unit.part.number == int(part) and unit.start <= int(place) < unit.start + unit.rows:
                return unit, int(place) - unit.start
    raise invalid("row", "there is no row of this name: the folder may have been written anew")


def row_numbers(snapshot: Snapshot, unit: Unit, places: Sequence[int]) -> dict[int, int]:
    """The numbers that rows of a row group have among the rows of the inputs, from 0."""
    rows = snapshot.manifest.plan.rows_of(unit.part.number)
    failed = _failed_rows(snapshot, unit.part.number)
    if not failed:
        return {place: rows.start + unit.start + place for place in places}
    answered = [row for row in rows if row not in failed]
    return {place: answered[unit.start + place] if unit.start + place < len(answered) else -1 for place in places}


def _failed_rows(snapshot: Snapshot, part: int) -> set[int]:
    own = next((unit.part for unit in snapshot.failures.units if unit.part.number == part), None)
    if own is None:
        return set()
    try:
        with opened(own.path) as file:
            return set(pq.read_table(file, columns=["row"])["row"].to_pylist())
    except (OSError, pa.ArrowException):
        return set()


def json_value(value: object, most: int = _TEXT) -> object:
    """A value of a column as JSON has it: texts cut, no NaN, whole numbers that JavaScript does not hold as texts."""
    match value:
        case None | bool():
            return value
        case str():
            return value if len(value) <= most else f"{value[:most]}…"
        case int():
            return value if abs(value) <= _EXACT_IN_JSON else str(value)
        case float():
            return value if math.isfinite(value) else None if math.isnan(value) else str(value)
        case Decimal():
            return float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            return f"{len(value):,} bytes"
    return json_value(str(value), most)


def prediction(row: Mapping[str, Any]) -> dict[str, Any]:
    """What was predicted for a row, of what its columns say."""
    told = {name: json_value(row[name], _TEXT_IN_PAGE) for name in ("label", "probability", "value") if name in row}
    if "labels" in row:
        told["labels"] = row["labels"]
    return told


def _answered(snapshot: Snapshot, row: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {
        "row": number,
        "cells": {name: json_value(row[name], _TEXT_IN_PAGE) for name in kept_columns(snapshot)},
        "prediction": prediction(row),
        "stopReason": row.get("stop_reason"),
        "evaluations": row.get("evaluations"),
        "strongest": _strongest(row),
    }


def _failed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "row": row.get("row"),
        "cells": {name: json_value(value, _TEXT_IN_PAGE) for name, value in row.items() if name != "row"},
    }


def row_items(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each feature adds in a row, with its class where every class is explained."""
    if LONG in row:
        names = ("class", "feature", "value", "lower", "upper")
        return [{n: json_value(item[n], 2000) for n in names if n in item} for item in row[LONG] or ()]
    wide = [name for name in row if name.startswith(WIDE_PREFIX)]
    return [
        {"feature": n.removeprefix(WIDE_PREFIX), "value": json_value(row[n]), "lower": None, "upper": None}
        for n in wide
    ]


def _strongest(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    items = [each for each in row_items(row) if isinstance(each["value"], float)]
    own = [each for each in items if each.get("class", row.get("label")) == row.get("label")]
    ranked = sorted(own or items, key=lambda each: -abs(each["value"]))
    return [{**each, "feature": json_value(each["feature"], 80)} for each in ranked[:_STRONGEST]]
