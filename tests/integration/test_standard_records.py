"""A record whose bytes, digest, interval, rows or model were swapped is refused, in signed and in unsigned bundles."""

import asyncio
import json
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from explicate import AsyncClient
from explicate.errors import FailedPrecondition
from explicate_bundle.signatures import sign_bundle
from explicate_bundle.standard.kept_rows import read_kept_rows, write_kept_rows
from explicate_bundle.standard.waivers import Waiver, today
from explicate_bundle.writing import STANDARD_RECORD_NAME, STANDARD_ROWS_NAME, sha256_of
from explicate_server.registry import loading
from explicate_server.registry.label_store import LIVE, Assignment, LabelStore, LabelTarget
from explicate_server.settings import SettingError, Settings
from support.certificates import private_pem, public_pem
from support.harness import running_server
from support.judged_bundles import GOOD, WORSE, publish_version, read_manifest, record, rows_file, seal, standard_file

REQUIREMENTS = '{ id = "accuracy", metric = "accuracy", at_least = 0.8 },'
KEPT = 60


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 meets the standard beside it, version 2 is to be swapped, 3 does not meet it; all are signed."""
    folder = tmp_path_factory.mktemp("records")
    rows, standard = rows_file(folder / "rows.jsonl"), standard_file(folder / "standard.toml", REQUIREMENTS)
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "sign.pem").write_bytes(private_pem(key))
    (folder / "verify.pem").write_bytes(public_pem(key))
    for version, weights in enumerate((GOOD, GOOD, WORSE), start=1):
        bundle = publish_version(folder / "repository", weights, version)
        record(bundle, standard, rows, keep=KEPT)
        sign_bundle(bundle, folder / "sign.pem")
    LabelStore(folder / "repository").write("table", Assignment({LIVE: LabelTarget(1)}, follows_newest=False))
    return folder


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    return shutil.copytree(published, tmp_path / "work")


async def refusal(folder: Path, *, signed: bool, version: int = 2, **changes: Any) -> str:
    """Why a version is refused beside version 1, which serves on; empty if it loads."""
    changes |= {"verify_key": str(folder / "verify.pem")} if signed else {}
    settings = {"require_standard": str(folder / "standard.toml"), **changes}
    async with running_server(folder / "repository", **settings) as running, AsyncClient(running.target) as client:
        try:
            await client.load_model("table", version=version)
        except FailedPrecondition as error:
            assert (await client.get_model("table", version=1)).status.state == "ready"
            return f"{error.message}"
    return ""


def rewritten(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """The record with a change, the manifest as it was."""
    path = bundle / STANDARD_RECORD_NAME
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document, indent=1) + "\n")


def resealed(bundle: Path) -> None:
    """With the digests of the files as they are, which takes the right to write, but not the key."""
    signature = bundle / "model.sig"
    aside = signature.rename(bundle.parent / "model.sig")
    seal(bundle, read_manifest(bundle))
    aside.rename(signature)


def narrower(document: dict[str, Any]) -> None:
    document["figures"][0].update(value=0.99, lower=0.97, upper=1.0)


def lighter(document: dict[str, Any]) -> None:
    document["rows_sha256"] = "0" * 64


def another_text(document: dict[str, Any]) -> None:
    document["text"] = document["text"].replace("0.8", "0.1")


def met(document: dict[str, Any]) -> None:
    document["verdict"] = "cannot tell"


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("change", [narrower, lighter, another_text, met])
async def test_a_record_with_other_bytes_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], None], *, signed: bool
) -> None:
    rewritten(folder / "repository" / "table" / "2", change)
    said = await refusal(folder, signed=signed)
    told = "model.sig is not by this server's key" if signed else f"{STANDARD_RECORD_NAME} has "
    assert told in said


@pytest.mark.parametrize("change", [lighter, another_text, met])
async def test_a_record_that_is_not_what_the_manifest_says_is_refused_with_new_digests_too(
    folder: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    bundle = folder / "repository" / "table" / "2"
    rewritten(bundle, change)
    resealed(bundle)
    assert "its standard.json is not what its manifest says of it" in await refusal(folder, signed=False)
    assert "model.sig is not by this server's key" in await refusal(folder, signed=True)


async def test_an_interval_with_new_digests_is_refused_where_bundles_are_signed(folder: Path) -> None:
    bundle = folder / "repository" / "table" / "3"
    assert "not met: 0.5600" in await refusal(folder, signed=True, version=3)
    rewritten(bundle, narrower)
    resealed(bundle)
    assert "model.sig is not by this server's key" in await refusal(folder, signed=True, version=3)


@pytest.mark.parametrize("signed", [False, True])
async def test_the_model_or_the_record_of_another_bundle_is_refused(folder: Path, *, signed: bool) -> None:
    model = folder / "repository" / "table"
    for name in (STANDARD_RECORD_NAME, "model.onnx"):
        source, target = ("2", "3") if name == STANDARD_RECORD_NAME else ("3", "2")
        shutil.copyfile(model / source / name, model / target / name)
        assert name in await refusal(folder, signed=signed, version=int(target))
    resealed(model / "3")  # WORSE with the record of GOOD, with digests that fit
    said = await refusal(folder, signed=signed, version=3)
    assert ("model.sig" if signed else "is about other files") in said


async def test_kept_rows_that_are_not_those_of_the_record_are_refused(folder: Path) -> None:
    bundle = folder / "repository" / "table" / "2"
    shutil.copyfile(bundle.parent / "3" / STANDARD_ROWS_NAME, bundle / STANDARD_ROWS_NAME)
    resealed(bundle)
    assert f"its {STANDARD_ROWS_NAME} is not that of its {STANDARD_RECORD_NAME}" in await refusal(folder, signed=False)


def other_answers(bundle: Path, rows: Sequence[int], by: float) -> None:
    """Some rows of a bundle with other answers on record, and digests that fit."""
    manifest = read_manifest(bundle)
    kept = read_kept_rows(bundle, manifest)
    assert kept is not None
    outputs = kept.outputs.copy()
    outputs[rows, 1] += by
    write_kept_rows(bundle, replace(kept, outputs=outputs), manifest)
    rewritten(bundle, lambda document: document.update(kept_rows_sha256=sha256_of(bundle / STANDARD_ROWS_NAME)))
    resealed(bundle)


async def test_rows_are_scored_again_and_what_came_of_it_is_shown(folder: Path) -> None:
    settings = {"require_standard": str(folder / "standard.toml"), "standard_recheck": 50}
    async with running_server(folder / "repository", **settings) as running, AsyncClient(running.target) as client:
        await client.load_model("table", version=2)
        shown = (await client.get_model("table", version=2)).required_standard
    assert shown is not None
    assert shown.recheck is not None
    assert shown.recheck.rows == 50
    assert 0 <= shown.recheck.largest_difference <= shown.recheck.allowed
    assert shown.recheck.right is not None
    assert 40 <= shown.recheck.right < 50  # every tenth row of all is answered wrongly
    kept = read_kept_rows(folder / "repository" / "table" / "2", read_manifest(folder / "repository" / "table" / "2"))
    assert kept is not None
    assert len(kept.inputs) == KEPT
    half = kept.spread(50)
    right = (half.outputs.argmax(axis=1) == half.targets).sum()
    assert shown.recheck.right == right


async def test_answers_other_than_those_on_record_are_refused_with_how_many_and_the_worst(folder: Path) -> None:
    bundle = folder / "repository" / "table" / "2"
    other_answers(bundle, range(0, KEPT, 10), 0.25)
    other_answers(bundle, [11], 0.5)
    assert await refusal(folder, signed=False) == ""  # without the recheck nobody looks
    said = await refusal(folder, signed=False, standard_recheck=KEPT)
    assert f"recheck: 7 of {KEPT} test rows are answered otherwise than on record" in said
    assert "the worst, row 12 of them, by 0.5, and 0.0001 is allowed" in said


async def test_a_bundle_without_kept_rows_cannot_be_rechecked(folder: Path) -> None:
    bundle = folder / "repository" / "table" / "2"
    record(bundle, folder / "standard.toml", folder / "rows.jsonl")
    (bundle / STANDARD_ROWS_NAME).unlink(missing_ok=True)
    (bundle / "model.sig").unlink()
    seal(bundle, read_manifest(bundle))
    assert await refusal(folder, signed=False) == ""
    assert "it keeps no test rows to score again" in await refusal(folder, signed=False, standard_recheck=10)


def test_a_recheck_goes_with_a_standard() -> None:
    with pytest.raises(SettingError, match="--standard-recheck goes with a standard"):
        Settings(standard_recheck=10)


async def test_a_recheck_does_not_hold_up_what_serves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on, real = threading.Event(), threading.Event(), loading.recheck

    def waits(*given: Any) -> Any:
        if given[0].manifest.version == 2:
            begun.set()
            go_on.wait()
        return real(*given)

    monkeypatch.setattr(loading, "recheck", waits)
    settings = {"require_standard": str(folder / "standard.toml"), "standard_recheck": 50}
    async with running_server(folder / "repository", **settings) as running, AsyncClient(running.target) as client:
        loading_2 = asyncio.create_task(client.load_model("table", version=2))
        try:
            await asyncio.to_thread(begun.wait)
            answer = await client.predict("table", [{"c0": 1.0, "c1": 0.0, "c2": 0.0}])
            assert answer.model.version == 1
            assert not loading_2.done()
        finally:
            go_on.set()
        assert (await loading_2).state == "ready"


async def test_a_waiver_lets_a_version_serve_where_the_operator_takes_them(folder: Path) -> None:
    bundle = folder / "repository" / "table" / "3"
    waiver = Waiver("accuracy", "anna", "mended in version 4", today() + timedelta(days=1))
    for name in ("model.sig", STANDARD_ROWS_NAME):
        (bundle / name).unlink()
    seal(bundle, read_manifest(bundle))
    record(bundle, folder / "standard.toml", folder / "rows.jsonl", waivers=[waiver])
    assert "this server takes no waivers" in await refusal(folder, signed=False, version=3)
    standard_file(folder / "standard.toml", REQUIREMENTS, "waivers = true\n")
    settings = {"require_standard": str(folder / "standard.toml")}
    async with running_server(folder / "repository", **settings) as running, AsyncClient(running.target) as client:
        await client.load_model("table", version=3)
        shown = await client.get_model("table", version=3)
    assert shown.standard is not None
    assert (shown.standard.verdict, shown.standard.waivers[0].who) == ("waived", "anna")
    assert shown.required_standard is not None
    (unmet,) = shown.required_standard.unmet
    assert (shown.required_standard.verdict, unmet.requirement) == ("waived", "accuracy")
    assert unmet.waiver is not None
    assert (unmet.waiver.why, unmet.waiver.until) == (waiver.why, waiver.until.isoformat())
