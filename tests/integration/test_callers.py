"""Two callers on one server, told apart by their tokens: what one does, the other neither pays for nor learns."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import explicate
from explicate_server.inference import predictor
from explicate_server.inference.workers import Workers
from explicate_server.rpc.reception import Reception
from explicate_server.runtime.batcher import Priority
from explicate_server.security.tokens import Right, Token, digest_of, line_of, new_token
from support.harness import TEXT, Running, explain_request, gate, predict_request, running_server, until

BUDGET = {"method": "kernel-shap", "max_evaluations": 200, "tolerance": 0.0}


class Callers:
    """A server with a token each for some callers."""

    def __init__(self, running: Running, secrets: dict[str, str]) -> None:
        self.running = running
        self._secrets = secrets

    async def explain(self, caller: str, text: str = TEXT, **changes: Any) -> Any:
        request = explain_request(text, **{**BUDGET, **changes})
        return (await self.running.inference.Explain(request, metadata=self._of(caller))).result.explanation

    async def predict(self, caller: str, *texts: str) -> Any:
        return await self.running.inference.Predict(predict_request(*texts), metadata=self._of(caller))

    def client(self, caller: str) -> explicate.AsyncClient:
        return explicate.AsyncClient(self.running.target, token=self._secrets[caller])

    @property
    def rows_run(self) -> int:
        return sum(of_class.rows for of_class in self.running.served().batcher.statistics.values())

    def _of(self, caller: str) -> Sequence[tuple[str, str]]:
        return (("authorization", f"Bearer {self._secrets[caller]}"),)


@asynccontextmanager
async def callers(repository: Path, folder: Path, *names: str, **changes: Any) -> AsyncIterator[Callers]:
    secrets = {name: new_token() for name in names}
    rights = frozenset({Right.PREDICT, Right.EXPLAIN})
    path = folder / "tokens"
    path.write_text("".join(f"{line_of(Token(name, rights, digest_of(secret)))}\n" for name, secret in secrets.items()))
    path.chmod(0o600)
    async with running_server(repository, tokens=str(path), **changes) as running:
        yield Callers(running, secrets)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    status: Any = rpc_status.from_call(error)  # type: ignore[arg-type]
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    return str(info.reason)


async def test_what_one_token_has_asked_costs_another_all_of_its_rows(tiny_repository: Path, tmp_path: Path) -> None:
    async with callers(tiny_repository, tmp_path, "a", "b") as asked:
        assert (await asked.explain("a")).reused_evaluations == 0
        assert (await asked.explain("a")).reused_evaluations == 200
        assert asked.rows_run == 200
        other = await asked.explain("b")
        assert (other.reused_evaluations, other.evaluations, asked.rows_run) == (0, 200, 400)
        assert (await asked.explain("b")).reused_evaluations == 200


async def test_rows_under_way_for_one_token_are_not_shared_with_another(tiny_repository: Path, tmp_path: Path) -> None:
    async with callers(tiny_repository, tmp_path, "a", "b") as asked:
        gated = gate(asked.running)
        calls = [asyncio.ensure_future(asked.explain(caller)) for caller in ("a", "a", "b")]
        admission = asked.running.server.admission
        await until(lambda: sum(admission.evaluations_by_caller.values()) == 600)
        gated.let_through(10_000)
        answers = await asyncio.gather(*calls)
        assert sum(answer.reused_evaluations for answer in answers) == 200
        assert answers[2].reused_evaluations == 0
        assert asked.rows_run == 400


async def test_an_explanation_is_done_when_one_who_explains_without_end_has_had_as_many_rows(
    tiny_repository: Path, tmp_path: Path
) -> None:
    """The model goes on a batch at a time, and only while the one caller waits for it."""
    async with callers(tiny_repository, tmp_path, "crowd", "single") as asked:
        gated = gate(asked.running)
        batcher = asked.running.served().batcher
        crowd = [
            asyncio.ensure_future(asked.explain("crowd", f"{TEXT} {number}", max_evaluations=2000))
            for number in range(16)
        ]
        await until(lambda: asked.running.server.admission.in_progress == 16)
        single = asyncio.ensure_future(asked.explain("single"))

        def waits() -> bool:
            return single.done() or any(ticket.caller == "token:single" for ticket in batcher._waiters)

        while not single.done():
            await gated.entered.get()
            await until(waits)
            gated.let_through(1)
        others = gated.rows_run - 200
        gated.let_through(100_000)
        assert (await single).evaluations == 200
        for call in crowd:
            call.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        # Alone it would have had all rows. The first batches are the crowd's, and so are those between its rounds.
        assert others < 4 * 200 + 16 * 2 + 6 * gated.batch_tokens // len(TEXT.split()), others


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[Any]:
    """The first arguments of the calls of a function, from now on."""
    calls: list[Any] = []
    original = getattr(owner, name)

    def count(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments[1])
        return original(*arguments, **named)

    monkeypatch.setattr(owner, name, count)
    return calls


async def test_a_caller_with_its_share_of_seats_is_refused_and_another_is_let_in(
    tiny_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = counted(monkeypatch, Reception, "receive")
    async with callers(tiny_repository, tmp_path, "crowd", "single", max_explanations=4) as asked:
        gated = gate(asked.running)
        seated = [asyncio.ensure_future(asked.explain("crowd")) for _ in range(2)]
        await until(lambda: asked.running.server.admission.in_progress == 2)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asked.explain("crowd")
        assert reason_of(caught.value) == "CALLER_LIMIT"
        assert len(received) == 2, "what is refused is not read"
        single = asyncio.ensure_future(asked.explain("single"))
        await until(lambda: asked.running.server.admission.in_progress == 3)
        gated.let_through(10_000)
        assert len(await asyncio.gather(single, *seated)) == 3


async def test_a_caller_with_its_share_of_calls_and_rows_is_refused_and_another_is_let_in(
    tiny_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_ready = counted(monkeypatch, predictor, "encode_inputs")
    limits = {"max_concurrent_calls": 8, "max_queued_rows": 64}
    async with callers(tiny_repository, tmp_path, "crowd", "single", **limits) as asked:
        gated = gate(asked.running)
        calls = [asyncio.ensure_future(asked.predict("crowd", "good tea"))]
        await gated.entered.get()
        calls += [asyncio.ensure_future(asked.predict("crowd", *["good tea"] * 32))]
        await until(lambda: asked.running.served().batcher.queued_rows[Priority.PREDICT] == 32)
        with pytest.raises(grpc.aio.AioRpcError) as caught:  # of the queue
            await asked.predict("crowd", "good tea")
        assert "32 rows of yours" in (caught.value.details() or "")
        assert [len(texts) for texts in made_ready] == [1, 32], "what is refused is not tokenised"
        calls += [asyncio.ensure_future(asked.explain("crowd")) for _ in range(2)]
        await until(lambda: asked.running.server.calls.in_flight == 4)
        with pytest.raises(grpc.aio.AioRpcError) as caught:  # of the calls
            await asked.predict("crowd", "good tea")
        assert "4 calls of yours" in (caught.value.details() or "")
        calls += [asyncio.ensure_future(asked.predict("single", "good tea"))]
        await until(lambda: asked.running.served().batcher.queues[Priority.PREDICT].held("token:single") == 1)
        gated.let_through(10_000)
        assert len(await asyncio.gather(*calls)) == 5


async def test_a_token_with_its_share_of_watches_leaves_the_others_theirs(
    tiny_repository: Path, tmp_path: Path
) -> None:
    async with callers(tiny_repository, tmp_path, "crowd", "single") as asked:
        crowd, single = asked.client("crowd"), asked.client("single")
        many = [crowd.watch_models() for _ in range(32)]
        for watch in many:
            await anext(watch)
        with pytest.raises(explicate.ExplicateError, match="32 watches of yours"):
            await anext(crowd.watch_models())
        other = single.watch_models()
        assert await anext(other)
        for watch in (*many, other):
            await watch.aclose()
        await crowd.close()
        await single.close()


async def test_texts_of_a_prediction_do_not_wait_behind_fits_of_explanations(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        workers: Workers = running.server.workers
        held = asyncio.Event()
        loop = asyncio.get_running_loop()
        stuck = [
            workers.explain.submit(
                lambda: asyncio.run_coroutine_threadsafe(held.wait(), loop).result(),
                caller=caller,
                priority=Priority.BULK,
            )
            for caller in "abcdef"
        ]
        answer = await running.inference.Predict(predict_request("good tea " * 700))
        assert answer.predictions[0].text_usage.truncated
        assert not any(future.done() for future in stuck)
        held.set()
        await asyncio.gather(*map(asyncio.wrap_future, stuck))
