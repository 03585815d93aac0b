"""Bundles with the record of a standard: a linear model, judged on rows of which it has some wrong."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from google.protobuf import json_format

from explicate.v1 import bundle_pb2
from explicate_bundle.standard.waivers import Waiver
from explicate_bundle.writing import MANIFEST_NAME, STANDARD_RECORD_NAME, describe_files, manifest_bytes
from explicate_standards.evaluated_model import open_published
from explicate_standards.outcomes.outcomes import keep_rows
from explicate_standards.standard.check import judge
from explicate_standards.standard.standard import read_standard
from explicate_standards.standard.verdict_report import as_message, as_record
from explicate_standards.standard.waiving import excused
from support.measured_models import LABELS, linear, publish_table, table_line, write_rows

GOOD, WORSE = (3.0, -2.0, 1.0), (0.0, -2.0, 0.0)


def rows_file(path: Path) -> Path:
    """200 rows of which the model `GOOD` has every tenth wrong, with a column "site" of two values."""
    values = np.random.Generator(np.random.Philox(1)).normal(size=(200, len(GOOD))).round(3)
    yes = values @ np.array(GOOD) > 0
    lines = [
        table_line(row.tolist(), label=LABELS[int(yes[number] != (number % 10 == 0))], site="AB"[number >= 100])
        for number, row in enumerate(values)
    ]
    return write_rows(path, lines)


def standard_file(path: Path, requirements: str, more: str = "", slices: str = "") -> Path:
    """A standard with these requirements."""
    text = f'[standard]\nname = "s"\nversion = "2"\n{more}require = [\n{requirements}\n]\n{slices}'
    path.write_text(text, encoding="utf-8")
    return path


def publish_version(repository: Path, weights: Sequence[float], version: int) -> Path:
    """A bundle of the model "table" in some version."""
    aside = publish_table(
        repository.parent / f"aside-{version}", linear(weights), len(weights), labels=LABELS, spread=True
    )
    manifest = read_manifest(aside)
    manifest.version = version
    (aside / MANIFEST_NAME).write_bytes(manifest_bytes(manifest))
    folder = repository / "table" / str(version)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return aside.rename(folder)


def record(
    bundle: Path,
    standard: Path,
    rows: Path,
    *,
    live: Path | None = None,
    waivers: Sequence[Waiver] = (),
    keep: int = 0,
) -> bundle_pb2.Bundle:
    """Judge a published bundle and put that on record in it, with `keep` of the rows; returns its new manifest."""
    model = open_published(bundle)
    checked = excused(judge(read_standard(standard), model, rows, live=live, say=lambda _: None), waivers)
    checked = replace(checked, kept_rows_sha256=keep_rows(model, rows, keep))
    as_record(checked).write(bundle / STANDARD_RECORD_NAME)
    manifest = read_manifest(bundle)
    manifest.standard.CopyFrom(as_message(checked))
    return seal(bundle, manifest)


def seal(bundle: Path, manifest: bundle_pb2.Bundle) -> bundle_pb2.Bundle:
    """Write a manifest that lists the files as they are."""
    del manifest.files[:]
    names = sorted(path.name for path in bundle.iterdir() if path.name != MANIFEST_NAME)
    manifest.files.extend(describe_files(bundle, names))
    (bundle / MANIFEST_NAME).write_bytes(manifest_bytes(manifest))
    return manifest


def read_manifest(bundle: Path) -> bundle_pb2.Bundle:
    """As it lies there."""
    return json_format.Parse((bundle / MANIFEST_NAME).read_text(encoding="utf-8"), bundle_pb2.Bundle())
