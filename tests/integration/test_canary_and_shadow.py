"""A share of the requests goes to the canary, told from their inputs; another share it answers in the background."""

import asyncio
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

import explicate
from explicate.v1 import model_service_pb2 as messages
from explicate.v1 import model_service_pb2_grpc as services
from explicate_server.inference import shadow
from explicate_server.runtime.batcher import Priority
from support.harness import (
    TEXT,
    WORDS,
    Running,
    explain_request,
    gate,
    predict_request,
    running_server,
    text_input,
    until,
)
from support.tiny_bundle import CONSTANT_LOGITS
from support.tiny_table_bundle import tiny_table, wide_columns
from support.versions import copy_with_constant_version, publish_copy

SHARE = 0.5
TEXTS = [f"{word} {count}" for word in WORDS for count in range(5)]


@pytest.fixture
def repository(tiny_repository: Path, tmp_path: Path) -> Path:
    return copy_with_constant_version(tiny_repository, tmp_path / "repository")


async def with_canary(running: Running, *, live: int, canary: int, **shares: float) -> None:
    async with explicate.AsyncClient(running.target) as client:
        await client.activate_version("tiny", live)
        await client.activate_version("tiny", canary, label="canary")
        await client.set_traffic("tiny", **shares)


async def report(running: Running) -> messages.ShadowReport:
    answer = await services.ModelServiceStub(running.channel).GetModel(messages.GetModelRequest(model="tiny"))
    return answer.shadow


async def shadowed(running: Running, count: int) -> messages.ShadowReport:
    """The report once so many requests were compared or had failed."""
    compared: Any = running.server.shadow
    await until(lambda: (found := compared.report("tiny")) is not None and found.predictions + found.failed >= count)
    return await report(running)


def is_canarys(text: str, share: float = SHARE) -> bool:
    """The definition: the first eight bytes of the SHA-256 of the input's message, as a fraction."""
    digest = sha256(text_input(text).SerializeToString(deterministic=True)).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share


async def test_the_canary_answers_its_share_and_the_same_input_always_goes_the_same_way(repository: Path) -> None:
    async with running_server(repository) as running:
        await with_canary(running, live=1, canary=2, canary_share=SHARE)
        chosen = set()
        for text in TEXTS:
            first, again = [await running.inference.Predict(predict_request(text)) for _ in range(2)]
            assert first.model.version == again.model.version == (2 if is_canarys(text) else 1)
            chosen.add(first.model.version)
        assert chosen == {1, 2}
        for text in TEXTS[:6]:
            explained = (await running.inference.Explain(explain_request(text))).result
            assert explained.model.version == (2 if is_canarys(text) else 1)


async def test_who_names_a_version_or_a_label_gets_it_whatever_the_share(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        await with_canary(running, live=1, canary=2, canary_share=1.0)
        assert (await client.predict("tiny", [TEXT])).model.version == 2
        assert (await client.predict("tiny", [TEXT], label="live")).model.version == 1
        assert (await client.predict("tiny", [TEXT], version=1)).model.version == 1
        await client.set_traffic("tiny", canary_share=0.0)
        assert (await client.predict("tiny", [TEXT])).model.version == 1
        assert (await client.predict("tiny", [TEXT], label="canary")).model.version == 2


async def test_a_shadow_of_the_same_model_agrees_in_everything(repository: Path) -> None:
    publish_copy(repository, 3)
    async with running_server(repository) as running:
        await with_canary(running, live=1, canary=3, shadow_share=1.0)
        assert (await running.inference.Predict(predict_request(*TEXTS[:10]))).model.version == 1
        assert (await running.inference.Explain(explain_request(TEXT))).result.model.version == 1
        found = await shadowed(running, 11)
    assert (found.live_version, found.canary_version, found.predictions, found.failed) == (1, 3, 11, 0)
    assert found.same_outcome == 1.0
    assert found.mean_absolute_difference == pytest.approx(0.0, abs=1e-5)
    assert (found.attributions, found.mean_spearman) == (1, pytest.approx(1.0))


async def test_a_canary_that_went_live_is_not_compared_with_itself(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        await with_canary(running, live=1, canary=2, shadow_share=1.0)
        await client.activate_version("tiny", 2)
        await client.explain("tiny", TEXT)
        await client.predict("tiny", TEXTS[:4])
        assert not (await report(running)).ByteSize()
        assert running.server.shadow.waiting == 0
        await client.rollback_model("tiny")
        await client.predict("tiny", TEXTS[:4])
        assert (await shadowed(running, 4)).canary_version == 2


async def test_a_shadow_of_another_model_disagrees_as_the_formulas_say(repository: Path) -> None:
    async with running_server(repository) as running:
        await with_canary(running, live=1, canary=2, shadow_share=1.0)
        answer = await running.inference.Predict(predict_request(*TEXTS))
        found = await shadowed(running, len(TEXTS))
        constant = np.exp(CONSTANT_LOGITS) / np.exp(CONSTANT_LOGITS).sum()
        given = np.array([[score.probability for score in one.classification.scores] for one in answer.predictions])
        assert found.same_outcome == pytest.approx((given.argmax(axis=1) == constant.argmax()).mean())
        assert found.mean_absolute_difference == pytest.approx(np.abs(given - constant).mean(), rel=1e-5)
        await running.inference.Explain(explain_request(TEXT))
        found = await shadowed(running, len(TEXTS) + 1)
        assert found.attributions == 0  # all attributions of a constant are alike: there is nothing to rank


async def test_a_regression_on_tables_is_shadowed_row_by_row_and_packed(tmp_path: Path) -> None:
    tables = [tiny_table(wide_columns(4), labels=(), seed=seed) for seed in (1, 2)]
    for version, table in enumerate(tables, start=1):
        table.publish(tmp_path, "losses", version=version)
    numbers, codes = tables[0].rows(6, seed=3, missing=0.0)
    rows = [tables[0].cells(*row) for row in zip(numbers, codes, strict=True)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    live, canary = (table.answers(numbers, codes)[:, 0] for table in tables)
    async with running_server(tmp_path) as running, explicate.AsyncClient(running.target) as client:
        await client.activate_version("losses", 1)
        await client.activate_version("losses", 2, label="canary")
        await client.set_traffic("losses", shadow_share=1.0)
        assert (await client.predict("losses", rows)).model.version == 1
        assert (await client.predict_table("losses", columns)).model.version == 1
        await client.explain("losses", rows[0])
        found: Any = running.server.shadow
        await until(lambda: found.report("losses").predictions == 13)
        report = (await client.get_model("losses")).shadow
    assert report is not None
    differences = np.abs(live - canary)
    assert report.same_outcome is None
    expected = (2 * differences.sum() + differences[0]) / 13
    assert report.mean_absolute_difference == pytest.approx(expected, rel=1e-4)
    ours, theirs = (t.shapley_values(numbers[0], codes[0])[0] for t in tables)
    assert report.attributions == 1
    assert report.mean_spearman == pytest.approx(spearmanr(ours, theirs).statistic)


async def test_the_report_begins_again_when_a_version_changes(repository: Path) -> None:
    publish_copy(repository, 3)
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        await with_canary(running, live=1, canary=2, shadow_share=1.0)
        await client.predict("tiny", TEXTS[:4])
        assert (await shadowed(running, 4)).predictions == 4
        await client.activate_version("tiny", 3, label="canary")
        fresh = await report(running)
        assert (fresh.canary_version, fresh.predictions) == (3, 0)
        await client.remove_label("tiny", "canary")
        answer = await services.ModelServiceStub(running.channel).GetModel(messages.GetModelRequest(model="tiny"))
        assert not answer.HasField("shadow")
        await client.predict("tiny", TEXTS[:4])  # nobody shadows


async def test_nobody_waits_for_a_shadow_and_what_comes_too_fast_is_dropped_and_counted(repository: Path) -> None:
    publish_copy(repository, 3)
    async with running_server(repository) as running:
        await with_canary(running, live=1, canary=3, shadow_share=1.0)
        canary = running.server.registry.find("tiny", label="canary").loaded
        gated = gate(running, served=canary)
        requests = 100
        for _ in range(requests):
            assert (await running.inference.Predict(predict_request(TEXT))).model.version == 1
        await gated.entered.get()
        found = await report(running)
        assert found.predictions == 0
        assert found.dropped in (
            requests - 32,
            requests - 33,
        )  # half of the places; one may have been taken before the queue was full
        gated.let_through(requests)
        found = await shadowed(running, requests - found.dropped)
        assert found.predictions == requests - found.dropped
        assert found.same_outcome == 1.0


async def test_shadows_that_wait_are_bounded_in_bytes_too(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_copy(repository, 3)
    request = predict_request(TEXT)
    monkeypatch.setattr(shadow, "MOST_WAITING_BYTES", 7 * request.ByteSize())  # of which a model has half
    async with running_server(repository) as running:
        await with_canary(running, live=1, canary=3, shadow_share=1.0)
        gated = gate(running, served=running.server.registry.find("tiny", label="canary").loaded)
        for _ in range(5):
            await running.inference.Predict(request)
        assert (await report(running)).dropped == 2
        gated.let_through(10)
        assert (await shadowed(running, 3)).predictions == 3
        await until(lambda: running.server.shadow.waiting_bytes == 0)
        await running.inference.Predict(request)
        assert (await shadowed(running, 4)).dropped == 2


async def test_a_model_that_is_always_busy_does_not_keep_others_from_being_compared(repository: Path) -> None:
    shutil.copytree(repository / "tiny", repository / "other")
    for manifest in (repository / "other").glob("*/manifest.json"):
        manifest.write_text(manifest.read_text().replace('"model": "tiny"', '"model": "other"'))
    async with running_server(repository) as running:
        await with_canary(running, live=1, canary=2, shadow_share=1.0)
        async with explicate.AsyncClient(running.target) as client:
            await client.activate_version("other", 1)
            await client.activate_version("other", 2, label="canary")
            await client.set_traffic("other", shadow_share=1.0)
        gated = gate(running, served=running.server.registry.find("tiny").loaded)
        first = running.inference.Predict(predict_request(TEXT))
        await gated.entered.get()
        several_batches = running.inference.Predict(predict_request(*[TEXT] * 100))
        await until(lambda: running.served().batcher.queued_rows[Priority.PREDICT] == 100)
        gated.let_through(1)
        await first  # now it waits to be compared, and the model is busy
        assert (await running.inference.Predict(predict_request(TEXT, model="other"))).predictions
        shadows: Any = running.server.shadow
        await until(lambda: (found := shadows.report("other")) is not None and found.predictions == 1)
        assert shadows.waiting == 1
        gated.let_through(10_000)
        await several_batches


async def test_a_canary_that_fails_costs_nobody_anything(repository: Path) -> None:
    async with running_server(repository) as running:
        await with_canary(running, live=1, canary=2, shadow_share=1.0)
        gated = gate(running, served=running.server.registry.find("tiny", label="canary").loaded)
        gated.fail = True
        gated.let_through(10)
        assert (await running.inference.Predict(predict_request(TEXT))).model.version == 1
        found = await shadowed(running, 1)
        assert (found.predictions, found.failed) == (0, 1)
        assert "failed on this input" in found.last_failure


async def test_shadows_hold_up_neither_a_swap_nor_the_end(repository: Path) -> None:
    publish_copy(repository, 3)
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        await with_canary(running, live=1, canary=3, shadow_share=1.0)
        await asyncio.gather(*(client.predict("tiny", [text]) for text in TEXTS[:20]))
        await client.activate_version("tiny", 2)
        assert (await client.predict("tiny", [TEXT])).model.version == 2
