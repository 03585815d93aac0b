"""Interactions on a real server, against an enumeration of the served model's own answers."""

from itertools import combinations
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from explicate.v1 import explanation_pb2 as options_pb
from explicate_server.explain.interactions.faith_shap import exact_interactions
from support.additive_table import AdditiveTable, additive_table, build_additive_repository
from support.harness import (
    ALL_CLASSES,
    Running,
    explain_input,
    explain_request,
    running_server,
    stream_request,
    table_input,
)
from support.packed_tables import packed, table_request

TEXT = "the tea is not good bad soup"
CLOSE = 1e-6


def pairs_of(attribution: Any) -> dict[tuple[int, int], float]:
    return {(pair.first, pair.second): pair.value for pair in attribution.interactions}


async def explain(running: Running, text: str = TEXT, **options: Any) -> Any:
    return (await running.inference.Explain(explain_request(text, **options))).result.explanation


async def test_all_coalitions_give_exact_interactions_that_values_are_made_of(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        told = await explain(running, max_evaluations=128, interactions=21, target=ALL_CLASSES)
    assert told.options.method == "exact-shap"
    assert told.options.interactions == 21
    for attribution in told.attributions:
        found = pairs_of(attribution)
        assert sorted(found) == list(combinations(range(7), 2))
        sizes = np.abs([pair.value for pair in attribution.interactions])
        assert np.all(np.diff(sizes) <= 0)
        assert all(pair.lower == pair.value == pair.upper for pair in attribution.interactions)
        # Of order 2 the best fit meets both ends: Σ (φ_i − Σ_j a_ij / 2) + Σ a_ij = v(N) − v(∅).
        assert sum(attribution.values) == pytest.approx(attribution.instance_value - attribution.baseline_value)
    first, second = (np.array([pairs_of(one)[pair] for pair in combinations(range(7), 2)]) for one in told.attributions)
    assert first == pytest.approx(-second, abs=CLOSE)  # probabilities of two classes


async def test_sampled_ones_hold_what_enumeration_gives(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        exact = await explain(running, max_evaluations=128, interactions=21)
        sampled = await explain(running, method="kernel-shap", max_evaluations=100, interactions=5)
    truth = pairs_of(exact.attributions[0])
    assert sampled.evaluations == 100
    assert len(sampled.attributions[0].interactions) == 5
    holds = [
        pair.lower <= truth[pair.first, pair.second] <= pair.upper for pair in sampled.attributions[0].interactions
    ]
    assert sum(holds) >= 4
    assert all(pair.standard_error > 0 for pair in sampled.attributions[0].interactions)


async def test_they_take_the_whole_budget_unless_a_tolerance_is_given(tiny_repository: Path) -> None:
    text = " ".join(["the tea is not good bad soup"] * 2)
    async with running_server(tiny_repository) as running:
        without = await explain(running, text)
        asked = await explain(running, text, interactions=3)
        early = await explain(running, text, interactions=3, tolerance=0.9)
    assert asked.options.max_evaluations == asked.evaluations == 2 * without.options.max_evaluations
    assert asked.options.tolerance == 0
    assert early.evaluations < asked.evaluations
    assert early.stop_reason == options_pb.STOP_REASON_TOLERANCE
    assert len(early.attributions[0].interactions) == 3
    assert not without.attributions[0].interactions


async def test_only_the_final_answer_of_a_stream_has_them(tiny_repository: Path) -> None:
    request = stream_request(" ".join([TEXT] * 2), interactions=3)
    async with running_server(tiny_repository) as running:
        answers = [answer async for answer in running.inference.StreamExplain(request)]
    told = [len(answer.result.explanation.attributions[0].interactions) for answer in answers]
    assert told == [0] * (len(answers) - 1) + [3]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"interactions": 0}, "it must be between 1 and 100"),
        ({"interactions": 3, "method": "permutation-shap"}, "permutation-shap does not tell interactions"),
        ({"interactions": 3, "method": "lime"}, "those that do are exact-shap, kernel-shap"),
    ],
)
async def test_what_cannot_be_told_is_refused_by_its_field(
    tiny_repository: Path, options: dict[str, Any], says: str
) -> None:
    async with running_server(tiny_repository) as running:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await explain(running, **options)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "options.interactions" in (caught.value.details() or "")
    assert says in (caught.value.details() or "")


def enumerated(table: AdditiveTable, numbers: Any, codes: Any, *, probability: bool) -> NDArray[np.float64]:
    """a_ij of a row [outputs, p], from all coalitions of the table."""
    players = list(table.players().values())
    coalitions = (np.arange(2 ** len(players))[:, np.newaxis] >> np.arange(len(players)) & 1).astype(np.bool_)
    present = [[column for place in np.flatnonzero(row) for column in players[place]] for row in coalitions]
    values = np.array([table.value(numbers, codes, columns, probability=probability) for columns in present])
    return exact_interactions(coalitions[1:-1], values[1:-1], empty=values[0], full=values[-1])


@pytest.mark.parametrize("space", ["probability", "logit"])
async def test_those_of_a_model_that_tells_its_game_cost_no_row(tmp_path: Path, space: str) -> None:
    table = additive_table()
    numbers, codes = table.rows(1, seed=11, missing=0.0)
    row = table_input(table.cells(numbers[0], codes[0]))
    n = len(table.players())
    asked = {
        "output_space": options_pb.OutputSpace.Value(f"OUTPUT_SPACE_{space.upper()}"),
        "target": ALL_CLASSES,
        "interactions": 100,
    }
    async with running_server(build_additive_repository(tmp_path)) as running:
        request = explain_input(row, model="loans", **asked)
        told = (await running.inference.Explain(request)).result.explanation
    expected = enumerated(table, numbers[0], codes[0], probability=space == "probability")
    for output, attribution in enumerate(told.attributions):
        found = [pairs_of(attribution)[pair] for pair in combinations(range(n), 2)]
        np.testing.assert_allclose(found, expected[output], atol=CLOSE)
        assert any(found) is (space == "probability")  # what adds up has none on its own scale
    assert told.evaluations == 1


async def test_whole_tables_refuse_them(tmp_path: Path) -> None:
    table = additive_table()
    numbers, codes = table.rows(2, seed=11)
    request = table_request("loans", packed(table, numbers, codes), interactions=3)
    async with running_server(build_additive_repository(tmp_path)) as running:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.ExplainTable(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "options.interactions" in (caught.value.details() or "")
