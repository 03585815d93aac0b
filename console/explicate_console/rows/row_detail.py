"""One row in full: its input, its prediction, and each explained output with what every feature adds."""

from __future__ import annotations

from typing import Any  # JSON

import pyarrow as pa

from explicate_console.rows.row_folders import Snapshot
from explicate_console.rows.row_pages import (
    find_row,
    json_value,
    kept_columns,
    prediction,
    row_id,
    row_items,
    row_numbers,
)


def detail(snapshot: Snapshot, name: str) -> dict[str, Any]:
    """The row of a name; raises RowsRefused if there is none."""
    unit, place = find_row(snapshot.answered, name)
    row = snapshot.answered.read(unit, snapshot.answered.schema.names).take(pa.array([place])).to_pylist()[0]
    model, values = snapshot.manifest.model, snapshot.value_columns
    predicted = prediction(row)
    scores = row.get("probabilities") or []
    return {
        "id": row_id(unit, place),
        "row": row_numbers(snapshot, unit, [place])[place],
        "kind": model.kind.partition("-")[0],
        "cells": {column: json_value(row[column]) for column in kept_columns(snapshot)},
        "input": {name: json_value(row[column]) for name, column in values.items() if column in kept_columns(snapshot)},
        "prediction": {
            **predicted,
            "scores": [
                {"label": label, "index": index, "probability": json_value(scores[index])}
                for index, label in enumerate(model.class_labels)
                if index < len(scores)
            ],
        },
        "outputs": _outputs(snapshot, row, predicted),
        "stopReason": row.get("stop_reason"),
        "evaluations": row.get("evaluations"),
        "model": {
            "model": model.name,
            "version": model.version,
            "digest": row.get("bundle_digest") or model.bundle_digest,
            "runtime": row.get("runtime") or "",
            "precision": row.get("precision") or "",
        },
        "options": dict(snapshot.manifest.options.get("explain") or {}),
    }


def explained_class(snapshot: Snapshot, label: str) -> str:
    """The class whose output an explanation is of, where one output is explained: the asked or the predicted one."""
    options = snapshot.manifest.options.get("explain") or {}
    target = options.get("target")
    labels = snapshot.manifest.model.class_labels
    if isinstance(target, str) and target in labels:
        return target
    index = options.get("target_index", target)
    if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(labels):
        return labels[index]
    return label


def _outputs(snapshot: Snapshot, row: dict[str, Any], predicted: dict[str, Any]) -> list[dict[str, Any]]:
    items = row_items(row)
    if row.get("stop_reason") is None or not items:
        return []
    baselines = row.get("baseline")
    own = explained_class(snapshot, str(predicted.get("label") or ""))
    classes = list(dict.fromkeys(each.get("class", own) for each in items))
    outputs = []
    for place, label in enumerate(classes):
        baseline = (baselines[place : place + 1] or [None])[0] if isinstance(baselines, list) else baselines
        members = [each for each in items if each.get("class", own) == label]
        outputs.append({"label": label, "baseline": json_value(baseline), "items": members})
    if predicted.get("label") in classes:  # the predicted one first
        outputs.sort(key=lambda each: each["label"] != predicted["label"])
    return outputs
