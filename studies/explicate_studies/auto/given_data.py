"""What `explicate auto` is given, as a config that training knows: of which kind the data are, and what is predicted.

The kind follows from what is there: a folder of pictures or a column with paths of pictures; a column of free text;
else a table. How files, labels and columns are read is training's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # cells; sections of any kind of config

from explicate.errors import UsageError
from explicate.reading.nearest import did_you_mean
from explicate_training.config.config_file import KINDS, AnyConfig, load_config, ready_configs
from explicate_training.data.delimited import Written
from explicate_training.data.files import DataFile, read_file
from explicate_training.data.header import Wanted, listed
from explicate_training.data.labels import parse_number
from explicate_training.image.config import AugmentationConfig, ImageConfig, ImageModelConfig, ImageTrainingConfig
from explicate_training.table.column_types.identifiers import OWN_VALUES, of_texts
from explicate_training.tasks.registry import registered, task_of_cells

PICTURES = frozenset([".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff"])
_LOOKED_AT = 2_000  # cells of a column
_WORDS_OF_TEXT = 4.0  # of a cell on average, from which a column of different values is text
_CHARACTERS_OF_TEXT = 30.0  # the same for scripts without spaces
_SMALL_EDGE = 40  # pixels of most pictures, up to which a new model reads 32
_DATASET = ("dataset_dict.json", "dataset_info.json")  # of a Hugging Face dataset directory

Cells = Mapping[str, Sequence[Any]]
Say = Any


@dataclass(frozen=True)
class Asked:
    """What the command line says of the data.

    Attributes:
        data: a file, a folder, a ready set by its name, or a config.
        label: the column to predict; several 0/1 columns with commas.
        text: the column with the text, where it is not to be found.
        kind, task: instead of what is found.
        ignored: columns of a table that are not learnt from.
        seed: of splits and models.
    """

    data: str
    label: str | None = None
    text: str | None = None
    kind: str | None = None
    task: str | None = None
    ignored: tuple[str, ...] = ()
    seed: int | None = None


def config_of(asked: Asked, say: Say) -> AnyConfig:
    """The config of a first model for the data.

    Raises UsageError in one sentence if they are not there, lack the label, or cannot be what they are said to be.
    """
    if asked.kind is not None and asked.kind not in KINDS:
        raise UsageError(f"--kind must be one of {', '.join(KINDS)}, not {asked.kind!r}")
    path = Path(asked.data).expanduser()
    if path.suffix.lower() == ".toml" or (not path.exists() and asked.data in ready_configs()):
        config = _of_config(asked)
    elif not path.exists():
        ready = ready_configs()
        raise UsageError(
            f"{asked.data} does not exist{did_you_mean(asked.data, ready)}: give a file, a folder, a config, or a "
            f"ready set ({', '.join(sorted(ready))})"
        )
    elif path.is_dir() and not any((path / name).exists() for name in _DATASET):
        config = _of_pictures(path.resolve(), asked)
    else:
        config = _of_columns(path.resolve(), asked, say)
    config = _without_ignored(config, asked.ignored)
    if asked.seed is not None:
        training: Any = replace(config.training, seed=asked.seed)
        config = replace(config, training=training)
    config.check()
    return config


def _of_config(asked: Asked) -> AnyConfig:
    config = load_config(asked.data)
    if asked.text or (asked.kind and asked.kind != config.kind):
        raise UsageError(
            f"{asked.data} is a config of a {config.kind} model, which says what it reads: leave out "
            f"{'--text' if asked.text else '--kind'}"
        )
    return _with_labels(config, asked) if asked.label or asked.task else config


def _with_labels(config: AnyConfig, asked: Asked) -> AnyConfig:
    data: Any = config.data
    given: dict[str, Any] = {"task": asked.task} if asked.task else {}
    if asked.label:
        several = "," in asked.label
        given |= {"label_columns": asked.label} if several else {"label_column": asked.label, "label_columns": ""}
        given |= {"task": "multi-label"} if several else {}
    return replace(config, data=replace(data, **given))


def _of_pictures(path: Path, asked: Asked) -> AnyConfig:
    if asked.kind not in (None, "image"):
        raise UsageError(f"{path} is a folder, so its files are pictures: leave out --kind, or give a file")
    if asked.label:
        raise UsageError(f"{path} is a folder of pictures, whose folders are the classes: leave out --label")
    found = [file for file in path.rglob("*") if file.suffix.lower() in PICTURES][:50]
    if not found:
        raise UsageError(
            f"{path} has no pictures: give a folder with a folder of pictures for each class, or a file with columns"
        )
    return _new_pictures(path, found)


def _new_pictures(path: Path, some: Sequence[Path]) -> ImageConfig:
    """A small new model for pictures; left and right may matter, so nothing is mirrored."""
    from explicate_training.image.config import ImageDataConfig

    return ImageConfig(
        data=ImageDataConfig(images=str(path)),
        model=ImageModelConfig(architecture="resnet", image_size=32 if _edge(some) <= _SMALL_EDGE else 64),
        augmentation=AugmentationConfig(flip=0.0),
        training=ImageTrainingConfig(epochs=20, learning_rate=2e-3, schedule="cosine", precision="fp32"),
    )


def _edge(files: Sequence[Path]) -> float:
    """The median of the longer edges, in pixels."""
    from PIL import Image, UnidentifiedImageError

    edges = []
    for file in files:
        try:
            with Image.open(file) as picture:
                edges.append(max(picture.size))
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
            continue  # cleaning tells of it
    return sorted(edges)[len(edges) // 2] if edges else 0


def _of_columns(path: Path, asked: Asked, say: Say) -> AnyConfig:
    if not asked.label:
        raise UsageError(
            f"--label is missing: which column of {path.name} is to be predicted? It has {listed(_names(path))}"
        )
    labels = [name.strip() for name in asked.label.split(",")] if "," in asked.label else [asked.label]
    cells = _read(path, labels)
    if asked.text and asked.text not in cells:
        raise UsageError(
            f"{path.name} has no column {asked.text!r}{did_you_mean(asked.text, cells)}; it has {listed(list(cells))} "
            "(--text)"
        )
    if asked.text in labels:
        raise UsageError(f"--text and --label are both {asked.text!r}: they must differ")
    inputs = {name: column for name, column in cells.items() if name not in labels}
    pictures = [name for name, column in inputs.items() if _are_pictures(column, path.parent)]
    texts = [asked.text] if asked.text else _texts(inputs)
    kind = asked.kind or ("text" if asked.text else "image" if pictures else "text" if texts else "table")
    if kind == "image":
        if not pictures:
            raise UsageError(f"{path} has no column with paths of pictures: give them from the file's folder")
        config: AnyConfig = _with_column(
            _new_pictures(path, [path.parent / str(cell) for cell in inputs[pictures[0]][:50] if cell]),
            "image_column",
            pictures[0],
        )
    elif kind == "text":
        if not texts:
            raise UsageError(f"{path} has no column of texts: name it with --text COLUMN, or leave out --kind text")
        config = _with_column(KINDS["text"](data=_source("text", path)), "text_column", texts[0])
        _tell_unread([name for name in inputs if name != texts[0]], texts[0], say)
    else:
        config = KINDS["table"](data=_source("table", path))
    return _with_labels(config, replace(asked, task=_task(kind, asked, cells[labels[0]], say)))


def _source(kind: str, path: Path) -> Any:
    data: Any = type(KINDS[kind]().data)
    return data(**{data.source: str(path)})


def _with_column(config: AnyConfig, option: str, name: str) -> AnyConfig:
    data: Any = config.data
    return replace(config, data=replace(data, **{option: name}))


def _tell_unread(others: Sequence[str], text: str, say: Say) -> None:
    if others:
        say(
            f"the texts are in {text!r}; {listed(others)} are not read (--kind table learns from all columns but texts)"
        )


def _task(kind: str, asked: Asked, cells: Sequence[Any], say: Say) -> str | None:
    """What is predicted, where training does not find it itself: a table's config says "auto"."""
    if asked.task or "," in (asked.label or ""):
        return asked.task
    known = [cell for cell in cells if cell is not None and str(cell).strip()]
    if any(isinstance(cell, list | tuple) for cell in known):
        return "multi-label"
    if kind == "table":
        return None
    return task_of_cells(known, [parse_number(cell) for cell in known], str(asked.label), say).name


def _read(path: Path, labels: Sequence[str]) -> Cells:
    """All columns of the training rows; raises UsageError, with the nearest name where there is no such label."""
    required = {("--label" if len(labels) == 1 else f"--label ({name})"): name for name in labels}
    file = DataFile("DATA", "train", str(path), Written("", "", "", ""))
    try:
        parts = read_file(file, Wanted(required, others=True))
    except UsageError:
        names = _names(path)
        missing = [name for name in labels if name not in names]
        if names and missing:
            raise UsageError(
                f"{path.name} has no column {missing[0]!r}{did_you_mean(missing[0], names)}; it has {listed(names)}"
            ) from None
        raise
    return next(part.values for part in parts if part.split == "train")


def _names(path: Path) -> list[str]:
    """The columns of a file; none if it cannot be read."""
    file = DataFile("DATA", "train", str(path), Written("", "", "", ""))
    try:
        return [name for part in read_file(file, Wanted({}, others=True))[:1] for name in part.values]
    except UsageError:
        return []


def _texts(inputs: Cells) -> list[str]:
    """Columns of free text, the one with most words first."""
    sizes = {name: _words(column) for name, column in inputs.items()}
    return sorted((name for name, size in sizes.items() if size > 0), key=lambda name: -sizes[name])


def _words(cells: Sequence[Any]) -> float:
    """Words of a cell of a column of text on average; 0 of another column."""
    known = [cell for cell in cells[:_LOOKED_AT] if cell is not None]
    if not known or not all(isinstance(cell, str) for cell in known) or of_texts(known) != OWN_VALUES:
        return 0.0
    words = sum(len(cell.split()) for cell in known) / len(known)
    characters = sum(map(len, known)) / len(known)
    return max(words, 1.0) if words >= _WORDS_OF_TEXT or characters >= _CHARACTERS_OF_TEXT else 0.0


def _are_pictures(cells: Sequence[Any], folder: Path) -> bool:
    known = [cell for cell in cells[:_LOOKED_AT] if cell is not None]
    if not known or not all(isinstance(cell, str) and Path(cell).suffix.lower() in PICTURES for cell in known):
        return False
    return (folder / str(known[0])).is_file()


def _without_ignored(config: AnyConfig, ignored: Sequence[str]) -> AnyConfig:
    if not ignored:
        return config
    data: Any = config.data
    if not hasattr(data, "columns"):
        raise UsageError(f"--ignore is for tables, and {data.origin} is read as {data.counted}: leave it out")
    columns = {**data.columns, **dict.fromkeys(ignored, "ignore")}
    return replace(config, data=replace(data, columns=columns))


def tasks() -> tuple[str, ...]:
    """What `--task` may be."""
    return registered("names")
