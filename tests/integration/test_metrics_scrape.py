"""A real server's metrics, scraped over HTTP while it serves."""

import asyncio
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from explicate_server.app import Server, StartError
from explicate_server.runtime.batcher import Priority
from explicate_server.settings import Settings
from support.harness import TEXT, explain_request, gate, predict_request, running_server, until


async def scrape(port: int) -> dict[tuple[str, str], float]:
    """The samples of the model "tiny", by name and priority; others by name and an empty string."""
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode())
    return {
        (sample.name, sample.labels.get("priority", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


async def test_a_scrape_tells_the_rows_of_the_calls_that_were_answered(tiny_repository: Path) -> None:
    async with running_server(tiny_repository, metrics_listen="127.0.0.1:0") as running:
        port = running.server.metrics_port
        assert port is not None
        before = await scrape(port)
        assert before["explicate_model_rows_total", "predict"] == 0
        await running.inference.Predict(predict_request("good tea", "bad tea", "a cup of tea"))
        predicted = await scrape(port)
        assert predicted["explicate_model_rows_total", "predict"] == 3
        assert predicted["explicate_queue_seconds_count", "predict"] == 3
        answer = (await running.inference.Explain(explain_request(TEXT, max_evaluations=100, tolerance=0.0))).result
        explained = await scrape(port)
        rows = sum(explained["explicate_model_rows_total", name] for name in ("predict", "explain", "bulk")) - 3
        assert rows == answer.explanation.evaluations == 100
        assert explained["explicate_model_rows_total", "explain"] > 0
        assert (
            explained["explicate_model_padded_tokens_total", "explain"]
            >= explained["explicate_model_tokens_total", "explain"]
        )
        assert explained["explicate_explanations_in_progress", ""] == 0
        assert explained["explicate_store_bytes", ""] > 0
        assert explained["explicate_store_games", ""] == 1
        assert explained["explicate_model_loaded", ""] == 1
        assert explained["explicate_model_operations_total", ""] == 1


async def test_a_scrape_tells_how_long_the_oldest_row_has_waited_while_the_model_is_busy(tiny_repository: Path) -> None:
    async with running_server(tiny_repository, metrics_listen="127.0.0.1:0") as running:
        port = running.server.metrics_port
        assert port is not None
        assert (await scrape(port))["explicate_oldest_row_seconds", "predict"] == 0
        gated = gate(running)
        calls = [asyncio.ensure_future(running.inference.Predict(predict_request(text))) for text in ("tea", "cup")]
        await gated.entered.get()
        await until(lambda: running.served().batcher.queued_rows[Priority.PREDICT] == 1)
        first, second = await scrape(port), await scrape(port)
        name = "explicate_oldest_row_seconds"
        assert 0 < first[name, "predict"] < second[name, "predict"], "one that waits longer"
        assert first[name, "explain"] == first[name, "bulk"] == 0
        gated.let_through(2)
        await asyncio.gather(*calls)
        assert (await scrape(port))[name, "predict"] == 0


async def test_without_the_setting_nothing_listens(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        assert running.server.metrics_port is None


@pytest.mark.parametrize("address", ["203.0.113.1:1", "nowhere.invalid:1"])
async def test_an_address_that_cannot_be_bound_is_said_in_a_sentence(tiny_repository: Path, address: str) -> None:
    server = Server(Settings(repository=tiny_repository, listen="127.0.0.1:0", metrics_listen=address))
    try:
        with pytest.raises(StartError, match="--metrics-listen"):
            await server.start()
    finally:
        await server.stop()
