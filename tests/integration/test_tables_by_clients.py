"""`explain_table` of the client on a real server: a frame in pieces gives each row what `explain` gives it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import explicate
from explicate.errors import InvalidArgument
from support.harness import running_server
from support.packed_tables import packed
from support.tiny_table_bundle import tiny_table

LOANS, TAGS = tiny_table(), tiny_table(multi_label=True, seed=3)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables-by-clients")
    LOANS.publish(folder, "loans")
    TAGS.publish(folder, "tags")
    return folder


def frame(table, rows: int) -> pd.DataFrame:
    """Random rows, some of them with missing values and unknown categories."""
    held = {}
    for column in packed(table, *table.rows(rows, seed=5)).columns:
        names = [*column.categories.names, None]  # code −1 is the last
        texts = [names[code] for code in column.categories.codes]
        held[column.name] = texts or list(column.numbers.values)
    return pd.DataFrame(held)


def row_of(rows: pd.DataFrame, place: int) -> dict[str, object]:
    return {name: None if value != value else value for name, value in rows.iloc[place].to_dict().items()}


@pytest.mark.parametrize("model", ["loans", "tags"])
async def test_a_frame_in_pieces_is_what_its_rows_are_alone(repository: Path, model: str) -> None:
    rows = frame(LOANS if model == "loans" else TAGS, 25)
    options = {"method": "kernel-shap", "seed": 3, "target": explicate.ALL}
    async with running_server(repository, threads=2) as running, explicate.AsyncClient(running.target) as client:
        whole = await client.explain_table(model, rows, **options)
        pieces = await client.explain_table(model, rows, rows_per_call=8, in_flight=2, priority="bulk", **options)
        alone = {place: await client.explain(model, row_of(rows, place), **options) for place in (0, 7, 8, 24)}
    assert len(pieces) == len(whole) == 25
    np.testing.assert_allclose(
        [one.values for one in pieces.attributions], [one.values for one in whole.attributions], atol=1e-9
    )
    for place, result in alone.items():
        mine = pieces.row(place)
        for one, other in zip(mine.explanation.attributions, result.explanation.attributions, strict=True):
            assert (one.class_index, one.class_label) == (other.class_index, other.class_label)
            assert one.values == pytest.approx(other.values, abs=1e-9)
            assert one.lower == pytest.approx(other.lower, abs=1e-6, nan_ok=True)
            assert one.baseline_value == pytest.approx(other.baseline_value, abs=1e-9)
        assert (mine.prediction.label, mine.prediction.labels) == (result.prediction.label, result.prediction.labels)
        assert [score.probability for score in mine.prediction.scores] == pytest.approx(
            [score.probability for score in result.prediction.scores], abs=1e-6
        )
        assert mine.explanation.stop_reason == result.explanation.stop_reason
        assert mine.explanation.evaluations == result.explanation.evaluations
        assert [feature.column for feature in mine.explanation.features] == [
            feature.column for feature in result.explanation.features
        ]
    assert math.isnan(pieces.row(0).prediction.scores[0].logit)


async def test_a_wrong_value_in_the_last_piece_is_told(repository: Path) -> None:
    rows = frame(LOANS, 12)
    name = LOANS.numbers[0]
    rows.loc[11, name] = math.inf
    async with running_server(repository, threads=2) as running, explicate.AsyncClient(running.target) as client:
        with pytest.raises(InvalidArgument, match=name):
            await client.explain_table("loans", rows, rows_per_call=5)
