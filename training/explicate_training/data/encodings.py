"""The bytes of a text file, unpacked if it is a .gz, and the encoding that makes them text.

A byte order mark says the encoding, and what is valid UTF-8 is UTF-8. Of what is left charset-normalizer judges the
lines that are not ASCII, among the encodings that people still have files in: asked of all 90 that it knows, on a few
lines, it took Windows-1252 for Windows-1250, Mac OS Latin 2 or Windows-1257, and KOI8-R for Shift JIS.
"""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from explicate.errors import UsageError
from explicate.reading.text_files import MARKS

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_GZIP = b"\x1f\x8b"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or a spreadsheet: name a spreadsheet .xlsx, and unpack an archive",
    b"\xd0\xcf\x11\xe0": "an old Excel file: save it as .xlsx or as CSV",
    b"PAR1": "a Parquet file: name it .parquet",
    b"BZh": "compressed with bzip2: unpack it, or pack it as .gz",
    b"\xfd7zXZ": "compressed with xz: unpack it, or pack it as .gz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it, or pack it as .gz",
    b"%PDF": "a PDF file: give the table itself, as CSV",
}
"""What is no text, by its first bytes."""
_MOST_TIMES, _ALWAYS_BYTES = 100, 64 * 2**20  # bytes of a .gz against those it unpacks to; text packs 3 to 20 times

_WESTERN = "cp1252"  # what is taken of equally good ones, as browsers do; it holds all that Latin-1 prints
_LEGACY = {
    _WESTERN: "Windows-1252", "cp1250": "Windows-1250", "cp1251": "Windows-1251", "koi8_r": "KOI8-R",
    "cp1253": "Windows-1253", "cp1254": "Windows-1254", "cp932": "Shift JIS", "euc_jp": "EUC-JP",
    "gb18030": "GB 18030", "big5": "Big5", "cp949": "EUC-KR", "mac_roman": "Mac OS Roman",
}  # fmt: skip
# A score is coherence - 2 * chaos. On 23 samples the best one was often wrong where another was within .1 of it.
_CHAOS_WEIGHT, _SURE = 2.0, 0.1
_MOST_CHAOS = 0.2  # charset-normalizer's own limit
_CHUNK_BYTES, _SAMPLE_BYTES, _JUDGED_BYTES = 2**20, 2**18, 2**16
_ZERO_SHARE = 0.2  # of the bytes at even or odd places, from which they are halves of UTF-16
_EXAMPLE_CHARACTERS = 20


@dataclass(frozen=True)
class Encoding:
    """How bytes become text."""

    name: str  # Python's
    told: str  # for people, with how it was found where that was a guess


def open_bytes(path: Path) -> io.BufferedReader:
    """The bytes of a file, unpacked if they are gzip's; raises UsageError when it is no text or unpacks to too much."""
    file = path.open("rb")
    first = file.peek(8)[:8]
    if first.startswith(_GZIP):
        return io.BufferedReader(_Unpacked(file, path))
    for mark, what in _FOREIGN.items():
        if first.startswith(mark):
            file.close()
            raise UsageError(f"{path} is {what}")
    return file


class _Unpacked(io.RawIOBase):
    """What a gzip file unpacks to, as long as it is in proportion."""

    def __init__(self, file: io.BufferedReader, path: Path) -> None:
        self._file, self._unpacked, self._path = file, gzip.GzipFile(fileobj=file), path
        self._left = max(_ALWAYS_BYTES, _MOST_TIMES * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        try:
            count = self._unpacked.readinto(buffer)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UsageError(f"{self._path} is damaged: gzip says {error}: copy or pack it again") from None
        self._left -= count
        if self._left < 0:
            raise UsageError(
                f"{self._path} unpacks to more than {_MOST_TIMES} times its size, as text never does: unpack it first"
            )
        return count

    def close(self) -> None:
        self._unpacked.close()
        self._file.close()
        super().close()


def open_text(path: Path, encoding: Encoding) -> TextIO:
    """The text of a file, line ends as they are."""
    return io.TextIOWrapper(open_bytes(path), encoding=encoding.name, newline="")


def find_encoding(path: Path, given: str) -> Encoding:
    """The encoding of a file: the `given` one, or the one that its bytes speak for.

    Reads the file in chunks up to the first byte that is not ASCII, and judges what follows it, 256 KiB at most.
    Raises UsageError when the bytes do not speak clearly.
    """
    if given:
        name = codecs.lookup(given).name
        return Encoding("utf-8-sig" if name == "utf-8" else name, f"{given}, as the config says")
    with open_bytes(path) as file:
        first = file.read(_SAMPLE_BYTES)
        for mark, name in MARKS.items():
            if first.startswith(mark):
                return Encoding(name, f"{name.removesuffix('-sig').upper()} with a byte order mark")
        if zeros := _zeros(first):
            return Encoding(f"utf-16-{zeros}", "UTF-16 without a byte order mark, by its zero bytes")
        sample, lines_before = _from_first_special(file, first)
    others = {number: line for number, line in enumerate(sample.split(b"\n")) if not line.isascii()}
    wrong = [number for number, line in others.items() if not _is_utf8(line)]
    if not wrong:
        return Encoding("utf-8", "UTF-8")
    if len(wrong) <= len(others) / 2:
        raise UsageError(
            f"{path}, line {lines_before + wrong[0] + 1} is not UTF-8, as other lines are: mend it, or set "
            "data.encoding"
        )
    return _legacy(path, b"\n".join(others.values())[:_JUDGED_BYTES])


def _from_first_special(file: io.BufferedReader, chunk: bytes) -> tuple[bytes, int]:
    """Whole lines from the first one that is not ASCII, and how many lines are before them; empty if there is none."""
    lines, rest = 0, b""  # the line that a chunk ended in
    while chunk:
        if not chunk.isascii():
            held = rest + chunk
            place = next(place for place, byte in enumerate(held) if byte > 127)
            begin = held.rfind(b"\n", 0, place) + 1
            sample = held[begin:] + file.read(max(0, _SAMPLE_BYTES - len(held) + begin))
            if file.peek(1):  # the rest is left: nothing is judged by half a line, or by half a character
                sample = sample[: sample.rfind(b"\n") + 1] or sample.decode("utf-8", errors="ignore").encode()
            return sample, lines + held.count(b"\n", 0, begin)
        lines += chunk.count(b"\n")
        rest = (rest + chunk)[-_SAMPLE_BYTES:].rpartition(b"\n")[2]
        chunk = file.read(_CHUNK_BYTES)
    return b"", lines


def _zeros(first: bytes) -> str:
    """ "le" or "be" when so many bytes are zero at odd or even places that they are halves of UTF-16, else ""."""
    even, odd = first[0::2], first[1::2]
    if len(odd) and odd.count(0) > _ZERO_SHARE * len(odd) and even.count(0) < odd.count(0) / 10:
        return "le"
    if len(odd) and even.count(0) > _ZERO_SHARE * len(even) and odd.count(0) < even.count(0) / 10:
        return "be"
    return ""


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _legacy(path: Path, sample: bytes) -> Encoding:
    from charset_normalizer import from_bytes

    scores: dict[str, float] = {}
    for match in from_bytes(sample, cp_isolation=list(_LEGACY), threshold=_MOST_CHAOS):
        for one in (match, *match.submatch):  # the same text by another name
            scores[one.encoding] = match.coherence - _CHAOS_WEIGHT * match.chaos
    best = max(scores.values(), default=0.0)
    near = [name for name in _LEGACY if scores.get(name, -1.0) > best - _SURE]
    if not near or (len(near) > 1 and _WESTERN not in near):
        may = f"may be {' or '.join(_LEGACY[name] for name in near)}" if near else "fits no encoding that is tried"
        raise UsageError(f'{path} is not UTF-8 and {may}: set data.encoding, such as "cp1252", or save it as UTF-8')
    name = _WESTERN if _WESTERN in near else near[0]
    return Encoding(name, f"{_LEGACY[name]} (a guess, which reads {_example(sample.decode(name, errors='replace'))!r})")


def _example(text: str) -> str:
    """A word with a character that is not ASCII, by which people see whether the guess is right."""
    words: Iterator[str] = (word.strip(".!?\"'") for word in text.replace(",", " ").replace(";", " ").split())
    return next((word for word in words if not word.isascii()), text)[:_EXAMPLE_CHARACTERS]


def first_undecodable_line(path: Path, encoding: Encoding) -> int:
    """The number of the first line that is not of the encoding, for those in which a line ends with the byte \\n."""
    decoder = codecs.getincrementaldecoder(encoding.name)()
    number = 0
    with open_bytes(path) as file:
        for number, line in enumerate(file, start=1):  # noqa: B007 - the last one counts
            try:
                decoder.decode(line)
            except UnicodeDecodeError:
                break
    return number
