"""The lines of a text file with the place of each in bytes, so that reading can begin again at any of them."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from explicate.errors import UsageError
from explicate.reading.text_files import MARKS, encoding_of, is_utf8, opened_bytes
from explicate.scoring.rows.row_files import cannot_read

_WITHOUT_MARK = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}


@dataclass(frozen=True)
class TextFile:
    """A text file, maybe compressed; `start` is where its text begins, after the mark of its `encoding`."""

    path: Path
    encoding: str
    start: int

    @staticmethod
    def of(path: Path) -> TextFile:
        """The file at a path; raises UsageError for one that is empty or is not text.

        As the file that a model was trained on it may be compressed, or be in Windows-1252.
        """
        with _faults_told(path), opened_bytes(path, unpack=True) as file:
            first = file.peek(4)[:4]
            if not first:
                raise UsageError(f"{path} is empty")
            try:
                encoding = encoding_of(first)
            except UsageError as error:
                raise cannot_read(path, error) from None
            mark = next((mark for mark in MARKS if first.startswith(mark)), b"")
            if encoding == "utf-8" and not is_utf8(file):
                encoding = "cp1252"
        if mark in (b"\xfe\xff", b"\0\0\xfe\xff"):
            encoding = encoding.replace("16", "16-be").replace("32", "32-be")
        return TextFile(path, _WITHOUT_MARK.get(encoding, encoding), len(mark))

    @contextmanager
    def lines(self, place: int | None = None) -> Iterator[PlacedLines]:
        """The lines from a place on, or all; raises UsageError for text that is not in the file's encoding."""
        place = self.start if place is None else place
        with _faults_told(self.path), opened_bytes(self.path, unpack=True) as file:
            file.seek(place)
            with io.TextIOWrapper(file, encoding=self.encoding, newline="") as text:
                yield PlacedLines(text, self.encoding, place)


@contextmanager
def _faults_told(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeError as error:
        encoding = getattr(error, "encoding", "utf-8").upper()
        raise UsageError(f"cannot read {path}: it is not {encoding}: save it as UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:  # the last two: a compressed file that is cut short or broken
        raise cannot_read(path, error) from error


class PlacedLines:
    """Lines of a text; `end` is the place after the last one that was given."""

    def __init__(self, text: io.TextIOWrapper, encoding: str, start: int) -> None:
        self._text = text
        self._encoding = encoding
        self._one_byte = encoding == "cp1252"
        self._ascii_is_one_byte = encoding == "utf-8"
        self.end = start

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._text)
        plain = self._one_byte or (self._ascii_is_one_byte and line.isascii())
        self.end += len(line) if plain else len(line.encode(self._encoding))
        return line
