"""Reads the columns of data files: CSV, JSONL, Parquet and Hugging Face dataset directories.

Values come as Python values, None where missing. What they mean is for the callers to say.
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # cell values

from explicate.errors import UsageError
from explicate_training.config.sections import LabelledData
from explicate_training.data.labels import Split

# Other names under which Hugging Face datasets carry the three splits.
SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
_UTF8 = "utf-8-sig"  # spreadsheets put a byte order mark first
_MAX_CELL_CHARACTERS = 2**24  # of a CSV cell; Python's own limit of 131,072 is less than a long document


@dataclass(frozen=True)
class DataFile:
    """A file, or a folder, that the config names."""

    option: str  # the key in the config, such as "data.train"
    split: Split
    path: str


@dataclass(frozen=True)
class Wanted:
    """The columns to read."""

    required: Mapping[str, str]  # by option, such as "data.label_column"
    others: bool = False  # whether to read all others, too

    def names(self, known: Sequence[str], source: Path) -> list[str]:
        """The columns to read of those that a source has; raises UsageError when a required one is missing."""
        for option, name in self.required.items():
            if name not in known:
                raise UsageError(f"{source} has no column {name!r}: set {option} to one of {_listed(known)}")
        return list(known) if self.others else list(self.required.values())


@dataclass(frozen=True)
class Columns:
    """Columns of one split of one file, all of one length."""

    split: Split
    origin: str  # the file
    values: Mapping[str, Sequence[Any]]


def data_files(options: LabelledData) -> list[DataFile]:
    """The files or folders that a config gives: train, then validation and test if there are any."""
    named: tuple[tuple[str, Split], ...] = ((options.source, "train"), ("validation", "validation"), ("test", "test"))
    return [DataFile(f"data.{name}", split, path) for name, split in named if (path := getattr(options, name))]


def read_files(options: LabelledData, wanted: Wanted) -> list[Columns]:
    """The wanted columns of all given files. A split's own file replaces that split of a dataset directory.

    Raises UsageError when a file is missing or unreadable or lacks a required column.
    """
    files = data_files(options)
    given = {file.split for file in files}
    return [
        columns
        for file in files
        for columns in read_file(file, wanted)
        if columns.split == file.split or columns.split not in given
    ]


def read_file(file: DataFile, wanted: Wanted) -> list[Columns]:
    """The wanted columns of one file; of a dataset directory those of each split."""
    path = Path(file.path)
    if not path.exists():
        raise UsageError(f"{file.option}: {path} does not exist")
    if path.is_dir():
        return _read_dataset_directory(path, file, wanted)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(
            f"{file.option}: {path.name} is neither {', '.join(_READERS)} nor a Hugging Face dataset directory"
        )
    try:
        return [Columns(file.split, file.path, reader(path, wanted))]
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def _read_csv(path: Path, wanted: Wanted) -> dict[str, list[Any]]:
    """Reads strictly: a row with a field too many means a text with a comma and no quotes, cut where nobody sees it."""
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    with path.open(encoding=_UTF8, newline="") as lines:
        reader = csv.reader(lines, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
        try:
            header = next(reader, [])
            names = wanted.names(header, path)
            if len(set(names)) < len(names) or "" in names:
                raise UsageError(f"{path}: the header must name each column, and each once: {_listed(header)}")
            places = {name: header.index(name) for name in names}
            values: dict[str, list[Any]] = {name: [] for name in names}
            for row in reader:
                if row and len(row) != len(header):
                    raise UsageError(
                        f"{path}, line {reader.line_num}: {len(row)} fields, but the header has {len(header)}: "
                        "put quotes around texts with separators in them"
                    )
                if row:  # only an empty cell is missing: a review may well read "None" or "NA"
                    for name, place in places.items():
                        values[name].append(row[place] or None)
        except csv.Error as error:
            raise UsageError(f"{path}, line {reader.line_num}: {error}: check its quotes") from None
    return values


def _read_jsonl(path: Path, wanted: Wanted) -> dict[str, list[Any]]:
    rows = []
    known: dict[str, None] = {}  # in the order of their first appearance
    with path.open(encoding=_UTF8) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise UsageError(f"{path}, line {number} is not JSON: {error.msg}") from None
            if not isinstance(row, dict):
                raise UsageError(f'{path}, line {number} is not a JSON object such as {{"text": ..., "label": ...}}')
            known.update(dict.fromkeys(row))
            rows.append(row)
    # Some line must have a required column; where another lacks it, it is missing.
    return {name: [row.get(name) for row in rows] for name in wanted.names(list(known), path)}


def _read_parquet(path: Path, wanted: Wanted) -> dict[str, list[Any]]:
    import pandas
    import pyarrow
    from pyarrow import parquet

    try:
        names = wanted.names(parquet.read_schema(path).names, path)
        frame = pandas.read_parquet(path, columns=names)
    except pyarrow.ArrowInvalid as error:
        raise UsageError(f"{path} is not a Parquet file: {error}") from None
    return frame_columns(frame[names])


def frame_columns(frame: Any) -> dict[str, list[Any]]:
    """The columns of a pandas data frame as Python values, None where missing."""
    missing = frame.isna()
    return {
        str(name): [
            None if gap else value for value, gap in zip(frame[name].tolist(), missing[name].tolist(), strict=True)
        ]
        for name in frame.columns
    }


_READERS: Mapping[str, Callable[[Path, Wanted], dict[str, list[Any]]]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


def _read_dataset_directory(path: Path, file: DataFile, wanted: Wanted) -> list[Columns]:
    import datasets

    try:
        found = datasets.load_from_disk(str(path))
    except FileNotFoundError:
        raise UsageError(
            f"{file.option}: {path} is not a Hugging Face dataset directory (made with Dataset.save_to_disk)"
        ) from None
    if not isinstance(found, datasets.DatasetDict):
        return [_dataset_columns(path, found, file.split, wanted)]
    parts = {SPLIT_NAMES[name]: part for name, part in found.items() if name in SPLIT_NAMES}
    if file.split not in parts:
        raise UsageError(f"{file.option}: {path} has no split {file.split!r}, but {_listed(list(found))}")
    chosen = parts if file.split == "train" else {file.split: parts[file.split]}
    return [_dataset_columns(path, part, split, wanted) for split, part in chosen.items()]


def _dataset_columns(path: Path, dataset: Any, split: Split, wanted: Wanted) -> Columns:
    values = {}
    for name in wanted.names(dataset.column_names, path):
        cells = list(dataset[name])
        classes = getattr(dataset.features[name], "names", None)
        if classes is not None:  # ClassLabel: -1 stands for "not labelled"
            cells = [None if index is None or index < 0 else classes[index] for index in cells]
        values[name] = cells
    return Columns(split, str(path), values)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
