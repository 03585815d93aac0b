"""`explain_many` on the real server: whether explanations that are in flight at once share its batches."""

from pathlib import Path

import explicate
from support.harness import Running, gate, running_server

_EVALUATIONS = 32


async def batches_of(running: Running, texts: list[str], in_flight: int) -> list[int]:
    """Rows of each batch that ran for the explanations of `texts`."""
    gated = gate(running)
    gated.let_through(10_000)
    options = {"method": "kernel-shap", "max_evaluations": _EVALUATIONS, "tolerance": 0.0}
    async with explicate.AsyncClient(running.target) as client:
        outcomes = [each async for each in client.explain_many("tiny", texts, in_flight=in_flight, **options)]
    assert [outcome.error for outcome in outcomes] == [None] * len(texts)
    return [gated.entered.get_nowait() for _ in range(gated.entered.qsize())]


async def test_rows_of_different_calls_share_batches(tiny_repository: Path) -> None:
    # Texts of one shape, all different, so that no values are known from before.
    texts = [f"this tea is great but the box came late {number}" for number in range(100, 124)]
    async with running_server(tiny_repository) as running:
        alone = await batches_of(running, texts[:12], in_flight=1)
        together = await batches_of(running, texts[12:], in_flight=12)
    assert sum(alone) == sum(together) >= 12 * _EVALUATIONS
    assert max(together) > max(alone)  # more rows than one explanation ever hands over
    assert 2 * len(together) <= len(alone)
