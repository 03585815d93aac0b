"""The folders that the console was started with, their files, and what of them can be read now.

A request names a folder by its name, never by a path. Only regular files of the names that the run's manifest gives
rise to are opened, and no symbolic link is followed.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from explicate.errors import UsageError
from explicate.scoring.output_columns import WIDE_PREFIX
from explicate.scoring.output_folder import FAILED, OutputFolder
from explicate.scoring.run_manifest import MANIFEST, RunManifest
from explicate_console.rows.row_errors import RowsRefused

_MANIFEST_BYTES = 32 * 1024 * 1024
_FRESH_S = 1.0  # a folder that was looked at is not looked at again for so long
_MOST_PARTS = 100_000


@dataclass(frozen=True)
class Part:
    """A file of rows: its number, and the rows of each of its row groups."""

    number: int
    path: Path
    stamp: tuple[int, int]
    groups: tuple[int, ...]
    schema: pa.Schema
    ends: tuple[float, float] | None


@dataclass(frozen=True)
class Unit:
    """A row group, the most that is read at once; `start` is the place of its first row in the part."""

    part: Part
    group: int
    start: int
    rows: int


@dataclass(frozen=True)
class RowFiles:
    """Rows that have an answer, or that failed: the columns and the row groups."""

    schema: pa.Schema
    units: tuple[Unit, ...]
    failed: bool = False

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(unit.rows for unit in self.units)

    def read(self, unit: Unit, columns: Sequence[str]) -> pa.RecordBatch:
        """These columns of a row group; raises RowsRefused if its file cannot be read, or is another one by now."""
        try:
            with opened(unit.part.path) as file, pq.ParquetFile(file) as parquet:
                wanted = None if self.failed else list(dict.fromkeys(columns))
                table = parquet.read_row_group(unit.group, columns=wanted, use_threads=False)
        except (OSError, pa.ArrowException, IndexError) as error:
            raise RowsRefused("data_loss", f"cannot read {unit.part.path.name}: {_first_line(error)}") from error
        if table.num_rows != unit.rows:
            raise RowsRefused("aborted", f"{unit.part.path.name} was written anew meanwhile: ask again")
        if self.failed:
            table = flat(table)
        return _one_batch(table.select([name for name in self.schema.names if name in columns]), unit.rows)


@dataclass(frozen=True)
class Snapshot:
    """What a folder holds at a moment.

    unreadable: names of parts that cannot be read, and why. wide: the features that have a column each. features: the
    names of the model's features, empty where they differ from row to row.
    """

    name: str
    manifest: RunManifest
    answered: RowFiles
    failures: RowFiles
    unreadable: tuple[tuple[str, str], ...]
    finished: bool
    fingerprint: str
    features: tuple[str, ...]

    @property
    def is_text(self) -> bool:
        """Whether features are words."""
        return self.manifest.model.kind.startswith("text")

    @property
    def missing_parts(self) -> int:
        """How many parts the run does not have yet."""
        found = {unit.part.number for unit in self.answered.units}
        return max(self.manifest.plan.parts - len(found) - len(self.unreadable), 0)

    @property
    def value_columns(self) -> dict[str, str]:
        """The column that has the value of each feature, where one goes along."""
        named = dict(self.manifest.options.get("columns") or {})
        names = self.answered.schema.names
        found = {name: named.get(name, name) for name in (*named, *names)}
        return {feature: column for feature, column in found.items() if column in names}


def opened(path: Path) -> BinaryIO:
    """A regular file, not one that a link leads to; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("it is not a regular file")
    return os.fdopen(descriptor, "rb")


def flat(table: pa.Table) -> pa.Table:
    """Failed rows with the columns that went along beside why they failed."""
    if "input" not in table.column_names or not pa.types.is_struct(table.schema.field("input").type):
        return table
    own = [name for name in table.column_names if name != "input"]
    inner = table["input"].combine_chunks().flatten()
    along = [field.name for field in table.schema.field("input").type]
    names = [name if name not in own else f"input.{name}" for name in along]
    return pa.table([*(table[name] for name in own), *inner], names=[*own, *names])


class Shelf:
    """The folders by name."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._paths: dict[str, Path] = {}
        for folder in folders:
            path = folder.resolve()
            name = path.name or "rows"
            number = 2
            while name in self._paths:
                name, number = f"{path.name or 'rows'} {number}", number + 1
            self._paths[name] = path
        self._known: dict[str, tuple[float, Snapshot]] = {}
        self._locks = {name: threading.Lock() for name in self._paths}

    @property
    def names(self) -> list[str]:
        """The names, in the order in which they were given."""
        return list(self._paths)

    def snapshot(self, name: str) -> Snapshot:
        """What a folder holds now; raises RowsRefused if there is none of this name, or it does not hold a run."""
        if name not in self._paths:
            raise RowsRefused("not_found", "there is no folder of this name: the console was not started with it")
        with self._locks[name]:
            at, known = self._known.get(name, (0.0, None))
            if known is None or time.monotonic() - at > _FRESH_S:
                known = _snapshot(name, self._paths[name], known)
                self._known[name] = time.monotonic(), known
            return known


def _snapshot(name: str, path: Path, before: Snapshot | None) -> Snapshot:
    manifest = _manifest(path)
    folder = OutputFolder(path)
    held = {} if before is None else {u.part.path: u.part for f in (before.answered, before.failures) for u in f.units}
    parts, unreadable = _parts(_listed(path, manifest), held)
    failed, failed_unreadable = _parts(_listed(path / FAILED, manifest), held)
    done = {part.number for part in parts}
    failed = [part for part in failed if part.number in done]
    stamps = [(part.path.name, part.stamp) for part in (*parts, *failed)]
    finished = folder.is_finished()
    text = f"{manifest.to_json()}{stamps}{unreadable}{finished}"
    answered = _files(parts, failed=False)
    return Snapshot(
        name,
        manifest,
        answered,
        _files(failed, failed=True),
        (*unreadable, *((f"{FAILED}/{one}", why) for one, why in failed_unreadable)),
        finished,
        hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16],
        _features(manifest, answered),
    )


def _manifest(path: Path) -> RunManifest:
    try:
        with opened(path / MANIFEST) as file:
            text = file.read(_MANIFEST_BYTES + 1)
        if len(text) <= _MANIFEST_BYTES:
            return RunManifest.from_json(text.decode(), MANIFEST)
        why = f"has a {MANIFEST} of more than {_MANIFEST_BYTES:,} bytes"
    except FileNotFoundError:
        why = "does not hold a run of explicate score (no _manifest.json)"
    except (OSError, UnicodeDecodeError, UsageError) as error:
        why = f"does not hold a run that can be read: {_first_line(error)}"
    raise RowsRefused("failed_precondition", f"the folder {path.name} {why}")


def _listed(folder: Path, manifest: RunManifest) -> Iterator[tuple[int, Path, tuple[int, int]]]:
    """The files of the manifest's parts that are there, with their times and sizes."""
    if folder.is_symlink() or not folder.is_dir():
        return
    numbers = range(min(manifest.plan.parts, _MOST_PARTS))
    wanted = {f"part-{number:06d}.parquet": number for number in numbers}
    with os.scandir(folder) as entries:
        found = [(wanted[e.name], e) for e in entries if e.name in wanted and e.is_file(follow_symlinks=False)]
    for number, entry in sorted(found, key=lambda each: each[0]):
        about = entry.stat(follow_symlinks=False)
        yield number, folder / entry.name, (about.st_mtime_ns, about.st_size)


def _parts(
    listed: Iterator[tuple[int, Path, tuple[int, int]]], held: dict[Path, Part]
) -> tuple[list[Part], list[tuple[str, str]]]:
    parts: list[Part] = []
    unreadable = []
    for number, path, stamp in listed:
        part = held.get(path)
        try:
            if part is None or part.stamp != stamp:
                part = _part(number, path, stamp)
        except (OSError, pa.ArrowException) as error:
            unreadable.append((path.name, _first_line(error)))
            continue
        if parts and part.schema != parts[0].schema:
            unreadable.append((path.name, f"it has other columns than {parts[0].path.name}"))
        else:
            parts.append(part)
    return parts, unreadable


def _part(number: int, path: Path, stamp: tuple[int, int]) -> Part:
    with opened(path) as file, pq.ParquetFile(file) as parquet:
        about, schema = parquet.metadata, parquet.schema_arrow
        groups = tuple(about.row_group(place).num_rows for place in range(about.num_row_groups))
        return Part(number, path, stamp, groups, schema, _ends(about, schema))


def _ends(about: pq.FileMetaData, schema: pa.Schema) -> tuple[float, float] | None:
    """The least and the largest value that was predicted, from the file's own statistics."""
    if "value" not in schema.names:
        return None
    groups = [about.row_group(place) for place in range(about.num_row_groups)]
    columns = [g.column(c) for g in groups for c in range(g.num_columns) if g.column(c).path_in_schema == "value"]
    known = [c.statistics for c in columns if c.statistics is not None and c.statistics.has_min_max]
    return (min(one.min for one in known), max(one.max for one in known)) if known else None


def _files(parts: Sequence[Part], *, failed: bool) -> RowFiles:
    units = []
    for part in parts:
        start = 0
        for group, rows in enumerate(part.groups):
            if rows:
                units.append(Unit(part, group, start, rows))
            start += rows
    schema = parts[0].schema if parts else pa.schema([])
    return RowFiles(flat(schema.empty_table()).schema if failed else schema, tuple(units), failed)


def _features(manifest: RunManifest, answered: RowFiles) -> tuple[str, ...]:
    """Names of the model's features: all rows of a table have the same, while words differ."""
    if wide := [name for name in answered.schema.names if name.startswith(WIDE_PREFIX)]:
        return tuple(name.removeprefix(WIDE_PREFIX) for name in wide)
    if not manifest.model.kind.startswith("tabular") or "explanation" not in answered.schema.names:
        return ()
    names: dict[str, None] = {}
    for unit in answered.units[:3]:
        lists = answered.read(unit, ["explanation"]).column(0).slice(0, 200)
        names |= dict.fromkeys(item["feature"] for row in lists.to_pylist() for item in row or ())
        if names and not manifest.options.get("top"):
            break
    return tuple(names)


def _one_batch(table: pa.Table, rows: int) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    if not batches:  # no columns
        return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
    return batches[0]


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]
