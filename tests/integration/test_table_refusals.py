"""What is wrong with a request for a table is refused with a typed error that names the field."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from explicate.v1 import explanation_pb2 as options_pb
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import table_pb2
from support.harness import ALL_CLASSES, Running, explain_input, reference, running_server, table_input, text_input
from support.tiny_table_bundle import tiny_table

TABLE = tiny_table()
CELLS = {
    "income": 1.5,
    "purpose": "home",
    "debt_short": -2.0,
    "owner": "true",
    "age": 0.25,
    "rating": "low",
    "debt_long": 7.0,
}
INVALID, PRECONDITION = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture
async def running(table_repository: Path) -> AsyncIterator[Running]:
    async with running_server(table_repository) as running:
        yield running


def refusal(error: grpc.aio.AioRpcError) -> tuple[list[str], str]:
    """The paths of the bad fields, and the reason."""
    status = rpc_status.from_call(error)
    paths: list[str] = []
    reason = ""
    for detail in status.details:
        bad, info = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo()
        if detail.Unpack(bad):
            paths += [violation.field for violation in bad.field_violations]
        if detail.Unpack(info):
            reason = info.reason
    return paths, reason


async def refused(call: Any) -> tuple[grpc.StatusCode, list[str], str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return (caught.value.code(), *refusal(caught.value), caught.value.details() or "")


def changed(change: Callable[[messages.Input], object]) -> messages.Input:
    row = table_input(CELLS)
    change(row)
    return row


def without(name: str) -> Callable[[messages.Input], object]:
    return lambda row: row.tabular.cells.pop(name)


def with_cell(name: str, **kind: Any) -> Callable[[messages.Input], object]:
    return lambda row: row.tabular.cells[name].CopyFrom(table_pb2.Cell(**kind))


@pytest.mark.parametrize(
    ("change", "path", "problem"),
    [
        (without("income"), "cells[income]", "is left out"),
        (with_cell("shoe_size", number=43), "cells[shoe_size]", "is not a column"),
        (with_cell("income", category="much"), "cells[income]", "takes numbers"),
        (with_cell("rating", number=1), "cells[rating]", "takes categories"),
        (with_cell("income", number=float("nan")), "cells[income]", "is NaN"),
        (with_cell("income", number=float("-inf")), "cells[income]", "is -inf"),
        (with_cell("income", number=1e308), "cells[income]", "is 1e+308"),
        (with_cell("age"), "cells[age]", "has no value"),
        (with_cell("x" * 5000, number=1), "cells[xxx", "is not a column"),
    ],
)
async def test_a_bad_cell_is_named_by_every_call(
    running: Running, change: Callable[[messages.Input], object], path: str, problem: str
) -> None:
    good, bad = table_input(CELLS), changed(change)
    model = reference("loans")
    predict = messages.PredictRequest(model=model, inputs=[good, good, good, bad])
    code, paths, reason, text = await refused(running.inference.Predict(predict))
    assert (code, reason) == (INVALID, "INVALID_FIELD")
    assert len(paths) == 1
    assert paths[0].startswith(f"inputs[3].tabular.{path}")
    assert problem in text or len(paths[0]) > 150
    code, paths, _, _ = await refused(
        running.inference.Explain(messages.ExplainRequest(spec=messages.ExplainSpec(model=model, input=bad)))
    )
    assert code == INVALID
    assert paths[0].startswith(f"input.tabular.{path}")


async def test_the_wrong_kind_of_input_does_not_fit_the_model(running: Running, tiny_repository: Path) -> None:
    model = reference("loans")
    text = text_input("good tea")
    predict = messages.PredictRequest(model=model, inputs=[table_input(CELLS), text])
    for call in (
        running.inference.Predict(predict),
        running.inference.Explain(messages.ExplainRequest(spec=messages.ExplainSpec(model=model, input=text))),
    ):
        code, _, reason, message = await refused(call)
        assert (code, reason) == (PRECONDITION, "INPUT_KIND_UNSUPPORTED")
        assert "is a text; 'loans' reads a row of a table" in message
    async with running_server(tiny_repository) as texts:
        row = messages.PredictRequest(model=reference("tiny"), inputs=[table_input(CELLS)])
        table = messages.PredictRequest(model=reference("tiny"), table=table_pb2.Table(rows=1))
        for request in (row, table):
            code, _, reason, message = await refused(texts.inference.Predict(request))
            assert (code, reason) == (PRECONDITION, "INPUT_KIND_UNSUPPORTED")
            assert "is a row of a table; 'tiny' reads a text" in message


@pytest.mark.parametrize(
    ("model", "options", "path"),
    [
        ("loans", {"granularity": options_pb.GRANULARITY_WORD}, "options.granularity"),
        ("loans", {"output_space": options_pb.OUTPUT_SPACE_VALUE}, "options.output_space"),
        ("loans", {"target": options_pb.Target(index=3)}, "options.target.index"),
        ("loans", {"target": options_pb.Target(label="lost")}, "options.target.label"),
        ("losses", {"output_space": options_pb.OUTPUT_SPACE_LOGIT}, "options.output_space"),
        ("losses", {"target": options_pb.Target(index=1)}, "options.target"),
        ("losses", {"target": options_pb.Target(label="loss in euros")}, "options.target"),
        ("losses", {"target": ALL_CLASSES}, "options.target"),
        ("losses", {"target": options_pb.Target(contrast=options_pb.Contrast())}, "options.target"),
    ],
)
async def test_options_that_do_not_fit_the_model_are_named(
    running: Running, model: str, options: dict[str, Any], path: str
) -> None:
    request = messages.ExplainRequest(
        spec=messages.ExplainSpec(
            model=reference(model), input=table_input(CELLS), options=options_pb.ExplainOptions(**options)
        )
    )
    code, paths, _, _ = await refused(running.inference.Explain(request))
    assert (code, paths) == (INVALID, [path])


async def test_maskings_of_texts_do_not_fit_a_table(running: Running) -> None:
    request = explain_input(table_input(CELLS), model="loans")
    request.spec.options.masking = options_pb.MASKING_ATTENTION
    code, _, reason, _ = await refused(running.inference.Explain(request))
    assert (code, reason) == (PRECONDITION, "MASKING_UNSUPPORTED")


def table_of(rows: int, **columns: Any) -> table_pb2.Table:
    table = table_pb2.Table(rows=rows)
    for name in TABLE.numbers:
        table.columns.add(name=name).numbers.values.extend(columns.get(name, [0.0] * rows))
    for column in TABLE.others:
        values = table.columns.add(name=column.name).categories
        values.names.extend(column.categories)
        values.codes.extend(columns.get(column.name, [0] * rows))
    return table


@pytest.mark.parametrize(
    ("table", "path"),
    [
        (table_of(0), "table.rows"),
        (table_of(1025), "table.rows"),
        (table_pb2.Table(rows=-1), "table.rows"),
        (table_of(2, income=[0.0]), "table.columns[income].numbers.values"),
        (table_of(2, income=[0.0, 1e308]), "table.columns[income].numbers.values[1]"),
        (table_of(2, rating=[0, 3]), "table.columns[rating].categories.codes[1]"),
    ],
)
async def test_a_bad_table_is_refused_with_its_column(running: Running, table: table_pb2.Table, path: str) -> None:
    request = messages.PredictRequest(model=reference("loans"), table=table)
    code, paths, _, _ = await refused(running.inference.Predict(request))
    assert (code, paths) == (INVALID, [path])


async def test_a_table_and_inputs_in_one_request_are_refused(running: Running) -> None:
    request = messages.PredictRequest(model=reference("loans"), table=table_of(1), inputs=[table_input(CELLS)])
    code, paths, _, _ = await refused(running.inference.Predict(request))
    assert (code, paths) == (INVALID, ["inputs"])
    good = messages.PredictRequest(model=reference("loans"), table=table_of(1024))
    assert len((await running.inference.Predict(good)).packed.scores) == 1024 * 3
