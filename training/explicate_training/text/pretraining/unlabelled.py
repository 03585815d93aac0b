"""The texts without labels that `[pretraining]` learns from."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from explicate.errors import UsageError
from explicate_training.data.delimited import Written
from explicate_training.data.files import DataFile, read_file
from explicate_training.data.header import Tell, Wanted
from explicate_training.text.config import Config
from explicate_training.text.folding import fold, visible

_OPTION = "pretraining.texts"


def unlabelled_texts(config: Config, held_out: Iterable[Sequence[str]], tell: Tell) -> list[tuple[str, ...]]:
    """The usable texts of the file, each once, without those that are held out of the training; tells what it left out.

    Raises UsageError when the file cannot be read or nothing is left.
    """
    options = config.pretraining
    read = _read(options.texts, options.text_column, tell)
    usable = [text for text in read if isinstance(text, str) and visible(text).strip() and _is_unicode(text)]
    kept_apart = {fold(text) for row in held_out for text in row}
    found: dict[str, str] = {}
    also = 0
    for text in usable:
        folded = fold(text)
        also += folded in kept_apart
        if folded not in kept_apart:
            found.setdefault(folded, text)
    if not found:
        raise UsageError(f"{_OPTION}: {options.texts} has no usable texts that are not held out: add some")
    out = len(read) - len(found)
    tell(
        f"pretraining: {len(found):,} texts of {Path(options.texts).name}"
        f"{f'; {out:,} were blank, twice there or held out ({also:,})' if out else ''}"
    )
    return [(text,) for text in found.values()]


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _read(path: str, column: str, tell: Tell) -> list[object]:
    if not path.endswith(".txt"):
        file = DataFile(_OPTION, "train", path, Written("", "", "", ""))
        parts = read_file(file, Wanted({"pretraining.text_column": column}), tell)
        return [text for part in parts if part.split == "train" for text in part.values[column]]
    try:
        return list(Path(path).read_text(encoding="utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{_OPTION}: {path} cannot be read as UTF-8 text: {error}") from None
