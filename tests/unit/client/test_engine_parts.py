"""What jobs of engines leave beside their parts: a call that differs is refused by name, one that goes on is not."""

import json
from typing import Any

import pyarrow as pa
import pytest

from explicate import UsageError
from explicate.scoring.arrow_batches import Access, BatchJob, BatchOptions, asked_of
from explicate.scoring.engine_parts import as_begun, check_same, default_by, job_document
from support.scored_models import CREDIT

GIVEN = pa.schema(
    [
        ("age", pa.float64()),
        ("income", pa.float64()),
        ("job", pa.string()),
        ("owner", pa.bool_()),
        ("picture", pa.binary()),
        ("tags", pa.list_(pa.string())),
    ]
)


def job(**options: Any) -> BatchJob:
    return BatchJob(Access(), asked_of("credit", BatchOptions(**options)), CREDIT, GIVEN)


def test_rows_are_cut_by_all_single_values() -> None:
    assert default_by(job()) == ("age", "income", "job", "owner")


def test_a_job_without_single_values_asks_for_columns() -> None:
    blobs = BatchJob(Access(), asked_of("credit", BatchOptions()), CREDIT, pa.schema([("picture", pa.binary())]))
    with pytest.raises(UsageError, match="by which columns"):
        default_by(blobs)


@pytest.mark.parametrize(("parts", "by", "why"), [(0, ["age"], "1 or more"), (3, ["iq"], "by iq")])
def test_parts_that_cannot_be_are_refused(parts: int, by: list[str], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        job_document(job(), parts, by)


def test_the_same_job_goes_on_and_another_one_is_told_by_what_differs() -> None:
    begun = job_document(job(explain="kernel-shap", seed=3), 20, ["age"])
    check_same("out", begun, job_document(job(explain="kernel-shap", seed=3), 20, ["age"]))
    with pytest.raises(UsageError, match="the number of parts is 7 now and was 20; the columns that parts"):
        check_same("out", begun, job_document(job(explain="kernel-shap", seed=3), 7, ["job"]))
    with pytest.raises(UsageError, match=r'explain is .*"seed": 4.* now and was .*"seed": 3'):
        check_same("out", begun, job_document(job(explain="kernel-shap", seed=4), 20, ["age"]))
    changed = json.dumps({**json.loads(begun), "bundle_digest": "f" * 64})
    with pytest.raises(UsageError, match="bundle_digest is"):
        check_same("out", changed, begun)


def test_a_job_that_goes_on_asks_the_version_it_began_with() -> None:
    begun = json.dumps({**json.loads(job_document(job(), 20, ["age"])), "version": 4})
    assert as_begun("out", "credit", {"label": "live"}, begun) == {"version": 4, "label": None}
    assert as_begun("out", "credit", {"version": 5}, begun) == {"version": 5}  # and `check_same` tells
    assert as_begun("out", "reviews", {}, begun) == {}
    assert as_begun("out", "credit", {}, None) == {}


@pytest.mark.parametrize("manifest", ["{", "[]", "{}", '{"format": 2, "model": "credit", "version": 1}'])
def test_a_manifest_of_something_else_is_refused(manifest: str) -> None:
    with pytest.raises(UsageError, match="was not written by this version"):
        as_begun("out", "credit", {}, manifest)
