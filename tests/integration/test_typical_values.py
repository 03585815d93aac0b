"""GetModel tells a typical value of each column, so that a first row need not be made up; so do clients."""

from pathlib import Path

import numpy as np
import pytest

import explicate
from explicate.cli.inputs.row_inputs import _described
from explicate.v1 import model_service_pb2, model_service_pb2_grpc
from support.harness import running_server
from support.tiny_table_bundle import tiny_table

LOANS = tiny_table()


def heaviest(codes: np.ndarray, names: list[str]) -> str:
    """The category with the most weight in the background; tiny_table's rows have none that is missing or unknown."""
    totals = [LOANS.background.weights[codes == 2 + place].sum() for place in range(len(names))]
    return names[int(np.argmax(totals))]


async def test_each_column_has_the_median_or_the_most_frequent_category_of_the_background(
    table_repository: Path,
) -> None:
    async with running_server(table_repository) as running, explicate.AsyncClient(running.target) as client:
        columns = {column.name: column for column in (await client.get_model("loans")).columns}
    background = LOANS.background
    for place, name in enumerate(LOANS.numbers):
        values = background.numbers[:, place].astype(np.float64)
        median = np.percentile(values, 50, method="inverted_cdf", weights=background.weights)
        deviation = np.sqrt(np.cov(values, aweights=background.weights, ddof=0))
        assert columns[name].typical == pytest.approx(median, abs=deviation / 200)
    for place, column in enumerate(LOANS.others):
        assert columns[column.name].typical == heaviest(background.codes[:, place], list(column.categories))


async def test_the_typical_values_are_a_row_that_the_model_explains(table_repository: Path) -> None:
    async with running_server(table_repository) as running, explicate.AsyncClient(running.target) as client:
        for model in ("loans", "losses"):
            row = {column.name: column.typical for column in (await client.get_model(model)).columns}
            explained = await client.explain(model, row, method="exact-shap")
            explained_cells = [cell for each in explained.explanation.features for cell in each.values.items()]
            assert dict(explained_cells) == row


async def test_show_tells_them_and_a_version_that_is_not_loaded_has_none(tmp_path: Path) -> None:
    LOANS.publish(tmp_path, "loans")
    async with running_server(tmp_path) as running, explicate.AsyncClient(running.target) as client:
        models = model_service_pb2_grpc.ModelServiceStub(running.channel)
        (income, *_) = (await client.get_model("loans")).columns
        assert _described(income, len("income")).endswith(f"typically {income.typical:.10g}")
        LOANS.publish(tmp_path, "loans", version=2)
        await client.load_model("loans", version=2)
        await client.unload_model("loans", version=2)
        asked = model_service_pb2.GetModelRequest(model="loans", version=2)
        answer = await models.GetModel(asked)
    assert len(answer.bundle.tabular.columns) == len(LOANS.columns)
    assert not answer.typical_values
