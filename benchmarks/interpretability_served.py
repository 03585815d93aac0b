"""The same inputs through gRPC: what their explanations cost, model by model, and whether sums explain themselves.

One server holds the bundles of two variants. Each text is explained to tolerance .1 with a floor of 2 rows a word; each
row of a table as the server chooses to (`auto`), which an additive model answers without a row of the model.
"""

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any  # records are JSON

from benchmarks.interpretability_lines import Line
from benchmarks.server_process import ServerProcess, server_process
from explicate import Client

_TOLERANCE, _FLOOR = 0.1, 2
_LIMIT = 0.65
_TIMES = 20.0
_CALLS_AT_ONCE = 8


def text_cost(repository: Path, ours: str, theirs: str, record: dict[str, Any], count: int) -> Line:
    """The evaluations of our explanations over theirs, all texts together."""
    texts = [row["text"] for row in record["explained"]][:count]
    players = record["players"][:count]
    with _server(repository) as server, Client(server.address) as client:
        spent = {
            model: [
                client.explain(
                    model, text, tolerance=_TOLERANCE, min_evaluations=_FLOOR * max(1, n), method="kernel-shap"
                ).explanation.evaluations
                for text, n in zip(texts, players, strict=True)
            ]
            for model in (ours, theirs)
        }
    ratio = sum(spent[ours]) / sum(spent[theirs])
    each = [first / second for first, second in zip(spent[ours], spent[theirs], strict=True)]
    return Line(
        f"served: evaluations of {len(texts)} texts to tolerance .1, over cross-entropy's",
        f"≤ {_LIMIT}",
        ratio,
        met=ratio <= _LIMIT,
        note=f"median of each text's own ratio {statistics.median(each):.3f}",
    )


def table_cost(repository: Path, data: str, additive: str, free: str, record: dict[str, Any], count: int) -> list[Line]:
    """Explained rows a second over those of the free form, and the widest interval."""
    rows = [row["row"] for row in record["explained"]][:count]
    with _server(repository) as server, Client(server.address) as client:
        (fast_s, widest, sampled), (slow_s, *_) = (_explained(client, model, rows) for model in (additive, free))
    return [
        Line(f"served: {data}, explained rows a second over the free form's", f"≥ {_TIMES:g}×", slow_s / fast_s,
             met=slow_s / fast_s >= _TIMES, note=f"{len(rows)} rows, {_CALLS_AT_ONCE} calls at once"),
        Line(f"served: {data}, widest interval", "0", widest, met=widest == 0, note=f"methods {', '.join(sampled)}"),
    ]  # fmt: skip


def _server(repository: Path) -> AbstractContextManager[ServerProcess]:
    """Without a memory of answers, which would make the second of two equal questions free."""
    return server_process("--repository", str(repository), "--max-memo-bytes", "0")


def _explained(client: Client, model: str, rows: Sequence[Any]) -> tuple[float, float, list[str]]:
    """Seconds for all rows, the widest interval, and the methods that were taken."""
    client.explain(model, rows[0])  # warm
    started_s = time.perf_counter()
    with ThreadPoolExecutor(_CALLS_AT_ONCE) as pool:
        answers = list(pool.map(lambda row: client.explain(model, row), rows))
    spent_s = time.perf_counter() - started_s
    attributions = [one for answer in answers for one in answer.explanation.attributions]
    widest = max(upper - lower for one in attributions for lower, upper in zip(one.lower, one.upper, strict=True))
    return spent_s, widest, sorted({answer.explanation.options.method for answer in answers})
