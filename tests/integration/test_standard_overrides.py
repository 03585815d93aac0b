"""An operator lets a version serve that the standard refuses: with a right, a reason and a line of the audit log."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from explicate import AsyncClient
from explicate.cli.main import main
from explicate.described.standards import RequiredStandard
from explicate.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from explicate_server.registry.required.overrides import Override, OverrideStore
from explicate_server.security.tokens import Right, Token, digest_of, line_of, new_token
from support.harness import Running, running_server
from support.judged_bundles import GOOD, WORSE, publish_version, record, rows_file, standard_file

REQUIREMENTS = """
{ id = "accuracy", metric = "accuracy", at_least = 0.8 },
{ id = "auroc", metric = "auroc", at_least = 0.8 },
"""
WHY = "agreed with risk, ticket 7"
TOKENS = {name: new_token() for name in ("ops", "lead", "outsider")}
RIGHTS = {
    "ops": {Right.ADMIN},
    "lead": {Right.ADMIN, Right.OVERRIDE_STANDARD},
    "outsider": {Right.OVERRIDE_STANDARD, Right.PREDICT},
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose version 1 meets the standard beside it, and whose version 2 does not."""
    folder = tmp_path_factory.mktemp("overrides")
    rows, standard = rows_file(folder / "rows.jsonl"), standard_file(folder / "standard.toml", REQUIREMENTS)
    for version, weights in enumerate((GOOD, WORSE), start=1):
        record(publish_version(folder / "repository", weights, version), standard, rows)
    return folder


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    folder = shutil.copytree(published, tmp_path / "work")
    lines = [line_of(Token(name, frozenset(RIGHTS[name]), digest_of(secret))) for name, secret in TOKENS.items()]
    (folder / "tokens").write_text("\n".join(lines))
    (folder / "tokens").chmod(0o600)
    return folder


@asynccontextmanager
async def serving(folder: Path, **changes: Any) -> AsyncIterator[tuple[Running, dict[str, AsyncClient]]]:
    """A server that requires the standard, and a client for each token."""
    settings = {
        "require_standard": str(folder / "standard.toml"),
        "tokens": str(folder / "tokens"),
        "audit_log": str(folder / "audit.jsonl"),
        **changes,
    }
    async with running_server(folder / "repository", **settings) as running:
        clients = {name: AsyncClient(running.target, token=secret) for name, secret in TOKENS.items()}
        try:
            yield running, clients
        finally:
            await asyncio.gather(*(client.close() for client in clients.values()))


async def required(client: AsyncClient, version: int) -> RequiredStandard | None:
    return (await client.get_model("table", version=version)).required_standard


def audited(folder: Path) -> list[dict[str, Any]]:
    path = folder / "audit.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_an_override_is_audited_and_shown_and_ends_with_the_version(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(folder) as (running, clients):
        lead = clients["lead"]
        with pytest.raises(FailedPrecondition) as refused:
            await lead.load_model("table", version=2)
        assert [requirement for requirement, _ in refused.value.violations] == ["accuracy", "auroc"]
        before = await required(lead, 2)
        assert before is not None
        assert (before.verdict, [one.requirement for one in before.unmet]) == ("not met", ["accuracy", "auroc"])
        loaded = await lead.load_model("table", version=2, override_standard=WHY)
        assert loaded.state == "ready"
        (line,) = audited(folder)
        assert (line["event"], line["who"], line["why"], line["caller"]) == (
            "standard-override",
            "lead",
            WHY,
            "token:lead",
        )
        assert (line["model"], line["version"], line["bundle_digest"]) == ("table", 2, loaded.bundle_digest)
        assert [one["requirement"] for one in line["unmet"]] == ["accuracy", "auroc"]
        shown = await required(clients["ops"], 2)
        assert shown is not None
        assert shown.override is not None
        assert (shown.verdict, shown.override.who, shown.override.why) == ("overridden", "lead", WHY)
        assert shown.override.time == line["time"]
        gauge = 'explicate_model_standard{by="server",model="table",verdict="%s",version="%d"} 1.0'
        metrics = generate_latest(running.server.metrics.registry).decode()
        assert gauge % ("overridden", 2) in metrics
        assert gauge % ("met", 1) in metrics
        token = folder / "token"
        token.write_text(TOKENS["lead"])
        arguments = ["models", "show", "table", "--version", "2", "--server", running.target, "--token-file", token]
        arguments += ["--format", "text"]
        assert await asyncio.to_thread(main, [*map(str, arguments)]) == 0
        printed = capsys.readouterr().out
        assert f"by lead at {line['time']}: {WHY}" in printed
        assert "required standard  s 2: overridden" in printed
        await lead.unload_model("table", 2)
        assert await required(lead, 2) is None
        with pytest.raises(FailedPrecondition, match="standard"):
            await lead.load_model("table", version=2)
        assert len(audited(folder)) == 1


async def test_an_override_asks_for_a_right_of_its_own_beside_that_to_load(folder: Path) -> None:
    async with serving(folder) as (_, clients):
        for name in ("ops", "outsider"):
            with pytest.raises(PermissionDenied):
                await clients[name].load_model("table", version=2, override_standard=WHY)
            with pytest.raises(PermissionDenied):
                await clients[name].activate_version("table", 2, override_standard=WHY)
        assert audited(folder) == []


async def test_what_cannot_be_audited_is_not_overridden(folder: Path) -> None:
    for none in ("", "/dev/full"):
        async with serving(folder, audit_log=none) as (_, clients):
            with pytest.raises(FailedPrecondition) as refused:
                await clients["lead"].load_model("table", version=2, override_standard=WHY)
            assert refused.value.reason == "OVERRIDE_NOT_AUDITED"
            assert (await clients["lead"].get_model("table", version=2)).status.state == "failed"


@pytest.mark.parametrize("why", ["", "   ", "x" * 501])
async def test_an_override_without_a_reason_is_refused(folder: Path, why: str) -> None:
    async with serving(folder) as (_, clients):
        with pytest.raises(InvalidArgument) as refused:
            await clients["lead"].load_model("table", version=2, override_standard=why)
        assert [field for field, _ in refused.value.violations] == ["override_standard"]
        with pytest.raises(InvalidArgument, match="is for one version"):
            await clients["lead"].load_model("table", override_standard=WHY)


async def test_a_server_without_tokens_or_a_standard_has_no_overrides(folder: Path) -> None:
    async with serving(folder, tokens="") as (_, clients):
        with pytest.raises(PermissionDenied, match="this server has none"):
            await clients["lead"].load_model("table", version=2, override_standard=WHY)
    async with serving(folder, require_standard="") as (_, clients):
        with pytest.raises(InvalidArgument, match="requires no standard"):
            await clients["lead"].load_model("table", version=2, override_standard=WHY)


async def test_an_override_of_what_a_label_wants_survives_a_restart_and_one_of_nothing_does_not(folder: Path) -> None:
    async with serving(folder) as (_, clients):
        await clients["lead"].activate_version("table", 2, label="canary", override_standard=WHY)
    async with serving(folder) as (_, clients):
        shown = await required(clients["lead"], 2)
        assert shown is not None
        assert shown.override is not None
        assert (shown.verdict, shown.override.who, shown.override.why) == ("overridden", "lead", WHY)
        assert len(audited(folder)) == 1  # it was not given again
        await clients["lead"].remove_label("table", "canary")  # which unloads it
    async with serving(folder) as (_, clients):
        with pytest.raises(FailedPrecondition, match="standard"):
            await clients["lead"].activate_version("table", 2, label="canary")


async def test_an_override_that_was_only_loaded_is_over_after_a_restart(folder: Path) -> None:
    async with serving(folder) as (_, clients):
        await clients["lead"].load_model("table", version=2, override_standard=WHY)
    async with serving(folder) as (_, clients):
        with pytest.raises(FailedPrecondition, match="standard"):
            await clients["lead"].load_model("table", version=2)


async def test_a_version_that_went_live_by_override_still_says_so(folder: Path) -> None:
    async with serving(folder) as (_, clients):
        await clients["lead"].activate_version("table", 2, override_standard=WHY)
        shown = await required(clients["lead"], 2)
        assert shown is not None
        assert shown.verdict == "overridden"
    async with serving(folder) as (_, clients):
        shown = await required(clients["lead"], 2)
        assert shown is not None
        assert (shown.verdict, [one.requirement for one in shown.unmet]) == ("overridden", ["accuracy", "auroc"])
        await clients["lead"].rollback_model("table")
        returned = await required(clients["lead"], 1)
        assert returned is not None
        assert returned.verdict == "returned"


async def test_an_override_excuses_only_what_was_known_when_it_was_given(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(folder) as (_, clients):
        await clients["lead"].activate_version("table", 1)
        await clients["lead"].activate_version("table", 2, label="canary", override_standard=WHY)
    more = '{ id = "f1", metric = "f1_macro", at_least = 0.5 },'
    standard_file(folder / "standard.toml", REQUIREMENTS + more)
    async with serving(folder) as (_, clients):
        shown = await clients["lead"].get_model("table", version=2)
        assert (shown.status.state, shown.status.labels) == ("failed", ("canary",))
        assert "f1: was not measured" in shown.status.reason
        assert "the override of lead was given before f1 was required" in caplog.text


async def test_an_override_that_others_could_have_written_does_not_count(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(folder) as (_, clients):
        loaded = await clients["lead"].activate_version("table", 2, label="canary", override_standard=WHY)
    path = folder / "repository" / "table" / ".override-2.json"
    path.chmod(0o666)
    async with serving(folder) as (_, clients):
        shown = await clients["lead"].get_model("table", version=2)
        assert shown.status.state == "failed"
        assert "this server's user alone may write" in caplog.text
    store = OverrideStore(folder / "repository")
    path.chmod(0o600)
    kept = store.read("table", 2, loaded.status.bundle_digest)
    assert kept is not None
    assert store.read("table", 2, "0" * 64) is None  # other files
    path.write_text("[]")
    assert store.read("table", 2, loaded.status.bundle_digest) is None
    path.unlink()
    path.symlink_to(folder / "elsewhere.json")
    store.write("table", 3, kept)
    shutil.copyfile(path.with_name(".override-3.json"), folder / "elsewhere.json")
    (folder / "elsewhere.json").chmod(0o600)
    assert store.read("table", 2, kept.bundle_digest) is None
    later = Override(kept.bundle_digest, "other", "later", "2027-01-01T00:00:00.000Z", ())
    store.write("table", 3, later)
    store.clear("table", 3, kept)
    assert store.read("table", 3, kept.bundle_digest) == later
    store.clear("table", 3, later)
    assert store.read("table", 3, kept.bundle_digest) is None


async def test_a_replay_passes_over_the_line_of_an_override(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(folder) as (running, clients):
        await clients["lead"].load_model("table", version=2, override_standard=WHY)
        token = folder / "token"
        token.write_text(TOKENS["lead"])
        arguments = ["replay", folder / "audit.jsonl", "--server", running.target, "--token-file", token]
        assert await asyncio.to_thread(main, [*map(str, arguments)]) == 2
        assert "does not have any line" in capsys.readouterr().err
