"""Reads the columns of data files: CSV, JSON, Parquet, spreadsheets and Hugging Face dataset directories.

Values come as Python values, None where missing; those of CSV are text. What they mean is for the callers to say.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # cell values

from explicate.errors import UsageError
from explicate_training.config.sections import LabelledData
from explicate_training.data.delimited import Written, read_delimited
from explicate_training.data.header import Tell, Wanted, listed, quietly
from explicate_training.data.json_files import read_json
from explicate_training.data.labels import Split
from explicate_training.data.workbooks import read_workbook

# Other names under which Hugging Face datasets carry the three splits.
SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class DataFile:
    """A file, or a folder, that the config names."""

    option: str  # the key in the config, such as "data.train"
    split: Split
    path: str
    written: Written


@dataclass(frozen=True)
class Columns:
    """Columns of one split of one file, all of one length."""

    split: Split
    origin: str  # the file
    values: Mapping[str, Sequence[Any]]


def data_files(options: LabelledData) -> list[DataFile]:
    """The files or folders that a config gives: train, then validation and test if there are any."""
    named: tuple[tuple[str, Split], ...] = ((options.source, "train"), ("validation", "validation"), ("test", "test"))
    written = Written(options.encoding, options.separator, options.quote, options.sheet)
    return [DataFile(f"data.{name}", split, path, written) for name, split in named if (path := getattr(options, name))]


def read_files(
    options: LabelledData, wanted: Wanted, tell: Tell = quietly, *, held_out: Wanted | None = None
) -> list[Columns]:
    """The wanted columns of all given files. A split's own file replaces that split of a dataset directory.

    `held_out` is what is wanted of files of validation and test rows, if that is something else. Raises UsageError when
    a file is missing or unreadable or lacks a required column.
    """
    files = data_files(options)
    given = {file.split for file in files}
    return [
        columns
        for file in files
        for columns in read_file(file, wanted if file.split == "train" else held_out or wanted, tell)
        if columns.split == file.split or columns.split not in given
    ]


def read_file(file: DataFile, wanted: Wanted, tell: Tell = quietly) -> list[Columns]:
    """The wanted columns of one file; of a dataset directory those of each split.

    `tell` hears in one line how the file is written, as the config says or as it was found.
    """
    path = Path(file.path)
    if not path.exists():
        raise UsageError(f"{file.option}: {path} does not exist")
    if path.is_dir():
        return _read_dataset_directory(path, file, wanted)
    *_, ending = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"] or [""]
    if (reader := _READERS.get(ending)) is None:
        raise UsageError(
            f"{file.option}: {path.name} is neither {', '.join(_READERS)} nor a Hugging Face dataset directory"
        )
    try:
        return [Columns(file.split, file.path, reader(path, wanted, file.written, tell))]
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def _read_parquet(path: Path, wanted: Wanted, _: Written, tell: Tell) -> dict[str, list[Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        header = parquet.read_schema(path).names
        places = wanted.places(header, str(path))
        # The index of the frame that was saved is a column like others here; without a name it is left out.
        table = parquet.read_table(path, columns=[header[place] for place in places.values()])
    except pyarrow.ArrowInvalid as error:
        raise UsageError(f"{path} is not a Parquet file: {error}") from None
    if unnamed := wanted.unnamed(header):
        tell(f"{path.name}: {', '.join(f'column {place + 1} has no name and is left out' for place in unnamed)}")
    values = frame_columns(table.to_pandas(ignore_metadata=True))
    return {name: values[header[place]] for name, place in places.items()}


def frame_columns(frame: Any) -> dict[str, list[Any]]:
    """The columns of a pandas data frame as Python values, None where missing."""
    missing = frame.isna()
    return {
        str(name): [
            None if gap else value for value, gap in zip(frame[name].tolist(), missing[name].tolist(), strict=True)
        ]
        for name in frame.columns
    }


def _read_csv(path: Path, wanted: Wanted, written: Written, tell: Tell) -> dict[str, list[Any]]:
    return read_delimited(path, wanted, written, tell)


def _read_json(path: Path, wanted: Wanted, written: Written, tell: Tell) -> dict[str, list[Any]]:
    return read_json(path, wanted, written.encoding, tell)


def _read_workbook(path: Path, wanted: Wanted, written: Written, tell: Tell) -> dict[str, list[Any]]:
    return read_workbook(path, wanted, written.sheet, tell)


_READERS: Mapping[str, Callable[[Path, Wanted, Written, Tell], dict[str, list[Any]]]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".txt": _read_csv,
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".json": _read_json,
    ".parquet": _read_parquet,
    ".xlsx": _read_workbook,
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
        raise UsageError(f"{file.option}: {path} has no split {file.split!r}, but {listed(list(found))}")
    chosen = parts if file.split == "train" else {file.split: parts[file.split]}
    return [_dataset_columns(path, part, split, wanted) for split, part in chosen.items()]


def _dataset_columns(path: Path, dataset: Any, split: Split, wanted: Wanted) -> Columns:
    values = {}
    header = dataset.column_names
    for name, place in wanted.places(header, str(path)).items():
        cells = list(dataset[header[place]])
        classes = getattr(dataset.features[header[place]], "names", None)
        if classes is not None:  # ClassLabel: -1 stands for "not labelled"
            cells = [None if index is None or index < 0 else classes[index] for index in cells]
        values[name] = cells
    return Columns(split, str(path), values)
