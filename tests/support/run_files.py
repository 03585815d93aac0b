"""run.json and held_out.jsonl of run directories that tests make or change."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any  # JSON values

from google.protobuf import json_format

from explicate.v1.training_run_pb2 import TrainingRun


def write_record(directory: Path, record: TrainingRun, *, metrics: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """run.json, metrics.json, data.json and config.toml, as `explicate train` leaves them."""
    text = json_format.MessageToJson(record, preserving_proto_field_name=True, ensure_ascii=False)
    (directory / "run.json").write_text(text, encoding="utf-8")
    for name, value in (("metrics", metrics), ("data", data)):
        (directory / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    (directory / "config.toml").write_text("seed = 7\n", encoding="utf-8")


def read_lines(directory: Path) -> list[dict[str, Any]]:
    """The lines of held_out.jsonl."""
    return [json.loads(line) for line in (directory / "held_out.jsonl").read_text(encoding="utf-8").split("\n") if line]


def write_lines(directory: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """held_out.jsonl."""
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (directory / "held_out.jsonl").write_text(text, encoding="utf-8")


def change(path: Path, **values: Any) -> None:
    """Other values in a file with a JSON object; None takes one out."""
    changed = {**json.loads(path.read_text(encoding="utf-8")), **values}
    kept = {name: value for name, value in changed.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


def change_lines(directory: Path, edit: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    """Every line of held_out.jsonl as `edit` gives it back."""
    write_lines(directory, list(map(edit, read_lines(directory))))
