"""What a job of an engine that can be gone on with leaves beside its parts: what it is, and which parts are done.

A row belongs to a part by what it holds, so the parts are the same however an engine cuts the rows, and a part that is
done need not be read again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from explicate.errors import UsageError
from explicate.scoring.arrow_batches import BatchJob, BatchOptions
from explicate.scoring.run_manifest import schema_document

PARTS = 20
"""Parts of a job unless said otherwise: a kill costs at most the part that is under way, a twentieth."""

FOLDER = "_explicate"  # engines do not read what begins with _
_FORMAT = 1
_NAMES = {"parts": "the number of parts", "by": "the columns that parts are cut by", "schema": "the columns"}


def job_document(job: BatchJob, parts: int, by: Sequence[str]) -> str:
    """The manifest of a job: everything that its output depends on, but the rows; a line of JSON.

    Raises UsageError for parts that cannot be.
    """
    if parts < 1:
        raise UsageError("parts must be 1 or more")
    if unknown := [name for name in by if name not in job.given.names]:
        raise UsageError(f"parts cannot be cut by {unknown[0]}, which is not a column that goes along or is read")
    model = job.pinned
    document = {
        "format": _FORMAT,
        "model": model.name,
        "version": model.version,
        "bundle_digest": model.bundle_digest,
        "parts": parts,
        "by": list(by),
        **job.asked.document(),
        "schema": schema_document(job.schema),
    }
    return json.dumps(document, ensure_ascii=False)


def default_by(job: BatchJob) -> tuple[str, ...]:
    """The columns that say which part a row belongs to: those of single values.

    Raises UsageError if there are none.
    """
    by = tuple(one.name for one in job.given if not (pa.types.is_nested(one.type) or pa.types.is_binary(one.type)))
    if not by:
        raise UsageError("say by which columns the rows are cut into parts: by=[...]")
    return by


def as_begun(path: str, model: str, options: BatchOptions, manifest: str | None) -> BatchOptions:
    """The options with the version that the job at `path` began with, whichever is live now.

    Raises UsageError for a manifest that is not one.
    """
    if manifest is None or options.get("version") is not None:
        return options
    begun = _read(path, manifest)
    return {**options, "version": begun["version"], "label": None} if begun["model"] == model else options


def check_same(path: str, manifest: str, now: str) -> None:
    """Raise UsageError, which names what differs, if the job at `path` is not the one at hand."""
    before, wanted = _read(path, manifest), json.loads(now)
    told = [
        f"{_NAMES.get(name, name)} is {json.dumps(wanted.get(name))} now and was {json.dumps(before.get(name))}"
        for name in {**before, **wanted}
        if before.get(name) != wanted.get(name)
    ]
    if told:
        raise UsageError(f"{path} is the output of another job: {'; '.join(told)}; choose another path")


def _read(path: str, manifest: str) -> dict[str, Any]:
    try:
        told = json.loads(manifest)
        if told["format"] == _FORMAT and {"model", "version"} <= set(told):
            return dict(told)
    except (ValueError, KeyError, TypeError):
        pass
    raise UsageError(f"{path}/{FOLDER} was not written by this version of `score_to`: choose another path")


def not_ours(path: str, found: str) -> UsageError:
    """The error for a folder that holds something else."""
    return UsageError(f"{path} is not empty ({found}) and not the output of a job: choose another path")
