"""Evaluations when time runs out between two looks at the clock, and what is held of them."""

import asyncio
from itertools import chain, repeat

import numpy as np
from numpy.typing import NDArray
from test_batcher import GatedRuntime, collate, rows_of

from explicate_server.inference.asking.targets import Outputs
from explicate_server.inference.evaluations import Evaluations, Timings, ValueStore
from explicate_server.registry.records import Scales
from explicate_server.runtime.batcher import Batcher, Priority
from explicate_server.runtime.instance import Instance
from explicate_server.runtime.queue import Row


async def test_time_that_ends_before_the_first_row_departs_gives_no_values_and_no_error() -> None:
    runtime, store = GatedRuntime(), ValueStore(0)
    batcher = Batcher([Instance(runtime)], collate, outputs=1, max_queued_rows={}, name="deadline")
    left_s = chain([1.0], repeat(0.0))  # enough at the first look, over at the second

    async def rows(coalitions: NDArray[np.bool_]) -> list[Row]:
        return rows_of(*range(len(coalitions)))

    with store.game("tea") as game:
        evaluations = Evaluations(
            *(batcher, game, store, rows),
            weights=np.ones(1),
            scales=Scales(1),
            timings=Timings(),
            seconds_left=lambda: next(left_s),
        )
        _, evaluated = await evaluations.of(np.eye(3, dtype=np.bool_), Priority.EXPLAIN)
    assert not evaluated.any()
    runtime.let_through(10)
    await asyncio.to_thread(batcher.close)


async def test_only_what_is_explained_is_held_of_all_outputs_fresh_or_known() -> None:
    runtime, store = GatedRuntime(), ValueStore(1 << 20)
    batcher = Batcher([Instance(runtime)], collate, outputs=1, max_queued_rows={}, name="columns")
    runtime.let_through(10)
    scales = Scales(1)  # kept: probability, then logit

    async def rows(coalitions: NDArray[np.bool_]) -> list[Row]:
        return rows_of(*range(len(coalitions)))

    coalitions = np.eye(3, dtype=np.bool_)
    with store.game("tea") as game:
        evaluations = Evaluations(
            *(batcher, game, store, rows),
            weights=np.ones(1),
            scales=scales,
            timings=Timings(),
            seconds_left=lambda: 1.0,
        )
        fresh, _ = await evaluations.of(coalitions, Priority.EXPLAIN, Outputs(scales, (0,), "logit"))
        known, _ = await evaluations.of(coalitions, Priority.EXPLAIN, Outputs(scales, (0,), "logit"))
        everything, _ = await evaluations.of(coalitions, Priority.EXPLAIN)
    assert everything.shape == (3, 2)
    assert fresh.shape == known.shape == (3, 1)
    np.testing.assert_array_equal(fresh, everything[:, 1:])
    np.testing.assert_array_equal(known, fresh)
    await asyncio.to_thread(batcher.close)
