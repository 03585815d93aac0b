"""A baseline per request on a real server: equal to all coalitions put together by hand, named, refused, repeated."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status
from scipy.special import softmax

from explicate import AsyncClient, ExplainResult, Image
from explicate.cli.main import main
from explicate.v1 import baseline_pb2 as baselines
from explicate.views import explanation_text
from explicate_bundle.model_inputs import ImageInput, TextInput
from explicate_bundle.table_arrays import Background
from support.additive_table import additive_table
from support.harness import (
    Running,
    explain_input,
    explain_request,
    image_input,
    running_server,
    segment_ids,
    table_input,
)
from support.packed_tables import cells_of, packed, table_request
from support.tiny_image_bundle import pictures, png, tiny_images
from support.tiny_table_bundle import Floats, TinyTable, tiny_table, with_baselines
from support.tree_table import tree_table

CLOSE = 1e-6
LOANS, SUMS, TREES = with_baselines(tiny_table()), with_baselines(additive_table()), with_baselines(tree_table())
TABLES = {"loans": LOANS, "sums": SUMS, "trees": TREES}
ANIMALS = tiny_images()
TEXT, OTHER = "the tea was truly great and the box was good", "the tea was dull and very late the box was bad"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baselines")
    for model, table in TABLES.items():
        table.publish(folder, model)
    ANIMALS.publish(folder, "animals")
    return folder


def row_of(table: TinyTable, seed: int) -> tuple[Any, Any]:
    numbers, codes = table.rows(1, seed=seed)
    return numbers[0], codes[0]


def row_baseline(cells: Any) -> baselines.Baseline:
    return baselines.Baseline(tabular=baselines.BaselineRow(cells=table_input(cells).tabular.cells))


def text_baseline(text: str) -> baselines.Baseline:
    return baselines.Baseline(text=baselines.BaselineText(text=text))


def behind(table: TinyTable, name: str, other: tuple[Any, Any]) -> Background:
    """The rows that stand for absent columns."""
    if name:
        return dict(table.baselines)[name]
    return Background(other[0][np.newaxis].astype(np.float32), other[1][np.newaxis], np.ones(1))


@pytest.mark.parametrize("method", ["auto", "exact-shap", "kernel-shap"])
@pytest.mark.parametrize("name", ["good", "bad", ""])
@pytest.mark.parametrize("model", ["loans", "sums"])
async def test_a_row_set_against_a_group_or_another_row(repository: Path, model: str, name: str, method: str) -> None:
    table = TABLES[model]
    row, other = row_of(table, 11), row_of(table, 12)
    baseline = baselines.Baseline(name=name) if name else row_baseline(table.cells(*other))
    async with running_server(repository) as running:
        asked = explain_input(
            table_input(table.cells(*row)), model=model, method=method, baseline=baseline, output_space=2
        )
        asked.spec.options.max_evaluations, asked.spec.options.tolerance = 64, 0.0  # all coalitions
        result = (await running.inference.Explain(asked)).result
    explanation, used = result.explanation, result.explanation.baseline
    (attribution,) = explanation.attributions
    played = replace(table, background=behind(table, name, other))
    wanted = played.shapley_values(*row)[attribution.class_index]
    np.testing.assert_allclose(attribution.values, wanted, atol=CLOSE)
    rows = len(played.background.weights)
    assert (used.name, used.rows, len(used.sha256)) == (name or "another row of a table", rows, 64)
    assert explanation.options.baseline == baseline
    assert explanation.options.method == (
        "additive-exact" if method == "auto" and model == "sums" else explanation.options.method
    )
    empty = played.background.weights @ played.answers(played.background.numbers.astype(float), played.background.codes)
    assert attribution.baseline_value == pytest.approx(empty[attribution.class_index], abs=CLOSE)


@pytest.mark.parametrize("name", ["good", ""])
async def test_trees_tell_themselves_against_other_rows_as_coalitions_do(repository: Path, name: str) -> None:
    row, other = row_of(TREES, 11), row_of(TREES, 12)
    baseline = baselines.Baseline(name=name) if name else row_baseline(TREES.cells(*other))
    async with running_server(repository) as running:
        tree, exact = [
            (
                await running.inference.Explain(
                    explain_input(
                        table_input(TREES.cells(*row)), model="trees", method=method, baseline=baseline, output_space=2
                    )
                )
            ).result.explanation
            for method in ("tree-shap", "exact-shap")
        ]
    played = replace(TREES, background=behind(TREES, name, other))
    wanted = played.shapley_values(*row)[exact.attributions[0].class_index]
    np.testing.assert_allclose(exact.attributions[0].values, wanted, atol=CLOSE)
    np.testing.assert_allclose(tree.attributions[0].values, wanted, atol=CLOSE)


async def test_the_rows_of_a_table_are_set_against_a_group_as_one_by_one(repository: Path) -> None:
    rows = LOANS.rows(3, seed=21)
    baseline = baselines.Baseline(name="good")
    async with running_server(repository) as running:
        asked = table_request("loans", packed(LOANS, *rows), method="exact-shap", output_space=2)
        asked.options.baseline.CopyFrom(baseline)
        told = (await running.inference.ExplainTable(asked)).explanation
        alone = [
            (
                await running.inference.Explain(
                    explain_input(
                        table_input(cells), model="loans", method="exact-shap", baseline=baseline, output_space=2
                    )
                )
            ).result.explanation.attributions[0]
            for cells in cells_of(LOANS, rows)
        ]
    np.testing.assert_allclose(told.attributions[0].values, [v for each in alone for v in each.values], atol=1e-9)
    assert told.options.baseline == baseline


def logits_of(running: Running, texts: list[str]) -> Floats:
    served = running.served()
    rows = [served.modality.encode(TextInput(text)).row for text in texts]
    return np.concatenate([served.runtime.run(served.modality.collate([row])) for row in rows]).astype(np.float64)


async def test_a_text_set_against_another(tiny_repository: Path) -> None:
    # Put together by hand: which words of the text are there, and what the other text has in the place of the others.
    parts = [("truly", "dull"), ("great", ""), ("and", "and very late"), ("good", "bad")]
    async with running_server(tiny_repository) as running:
        asked = explain_request(TEXT, method="exact-shap", baseline=text_baseline(OTHER), output_space=2)
        explanation = (await running.inference.Explain(asked)).result.explanation
        n = len(explanation.features)
        assert [(f.text.text, f.text.instead) for f in explanation.features] == parts
        coalitions = [[bool(number >> player & 1) for player in range(n)] for number in range(2**n)]
        texts = []
        for present in coalitions:
            truly, great, conjunction, good = (
                own if here else instead for (own, instead), here in zip(parts, present, strict=True)
            )
            texts.append(" ".join(f"the tea was {truly} {great} {conjunction} the box was {good}".split()))
        values = logits_of(running, texts)[:, explanation.attributions[0].class_index]
        assert texts[0] == OTHER
        ends = logits_of(running, [OTHER, TEXT])[:, explanation.attributions[0].class_index]
    (attribution,) = explanation.attributions
    assert [attribution.baseline_value, attribution.instance_value] == pytest.approx(ends.tolist(), abs=CLOSE)
    wanted = [
        sum(
            (values[number | 1 << player] - values[number])
            / (
                n
                * len(
                    [1 for other in range(2**n) if not other >> player & 1 and other.bit_count() == number.bit_count()]
                )
            )
            for number in range(2**n)
            if not number >> player & 1
        )
        for player in range(n)
    ]
    np.testing.assert_allclose(attribution.values, wanted, atol=CLOSE)
    assert explanation.baseline.name == "another text"
    assert explanation.options.baseline.text.text == OTHER


@pytest.mark.parametrize("colour", ["", "#FF8000"])
async def test_an_image_set_against_another_or_a_colour(repository: Path, colour: str) -> None:
    shown, hidden = pictures(2, seed=4)
    baseline = baselines.Baseline(image=baselines.BaselineImage(content=png(hidden)))
    if colour:
        baseline, hidden = baselines.Baseline(colour=colour), np.full_like(shown, (255, 128, 0))
    async with running_server(repository) as running:
        asked = explain_input(
            image_input(png(shown)), model="animals", method="exact-shap", baseline=baseline, granularity=6, segments=6
        )
        explanation = (await running.inference.Explain(asked)).result.explanation
    (attribution,) = explanation.attributions
    segments = segment_ids(explanation.segment_map).astype(int)
    wanted = ANIMALS.shapley_values(shown, segments, hidden=hidden, scale=softmax)[attribution.class_index]
    np.testing.assert_allclose(attribution.values, wanted, atol=CLOSE)
    assert explanation.baseline.name == (colour.lower() or "another image")
    held = explanation.options.baseline
    assert held.colour == colour.lower()
    assert held.image.content == b""  # its bytes are not sent back
    assert held.image.sha256 == ("" if colour else ImageInput(png(pictures(2, seed=4)[1])).digest.hex())


async def test_another_baseline_is_another_game_and_takes_nothing_from_the_first(repository: Path) -> None:
    cells = table_input(LOANS.cells(*row_of(LOANS, 11)))
    told = []
    async with running_server(repository) as running:
        for name in ("background", "good", "bad", "good"):
            baseline = baselines.Baseline(name=name)
            asked = explain_input(cells, model="loans", method="exact-shap", baseline=baseline, output_space=2)
            told.append((await running.inference.Explain(asked)).result.explanation)
        asked = explain_input(cells, model="loans", method="exact-shap", output_space=2)
        own = (await running.inference.Explain(asked)).result.explanation
    assert [each.reused_evaluations > 0 for each in told] == [False, False, False, True]
    assert own.reused_evaluations > 0  # the background by its name is the background
    assert not own.HasField("baseline")
    values = [tuple(each.attributions[0].values) for each in told]
    assert len(set(values)) == 3
    assert tuple(own.attributions[0].values) == values[0]


async def refused(running: Running, request: Any) -> tuple[grpc.StatusCode, str, list[str]]:
    """The code, the message, and the fields that an error names."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await running.inference.Explain(request)
    details = BadRequest()
    status = rpc_status.from_call(error.value)
    assert status is not None
    for detail in status.details:
        detail.Unpack(details)
    return error.value.code(), str(error.value.details()), [each.field for each in details.field_violations]


async def test_what_cannot_be_a_baseline_is_refused_by_its_field(repository: Path, tiny_repository: Path) -> None:
    cells = LOANS.cells(*row_of(LOANS, 11))
    row, animal = table_input(cells), image_input(png(pictures(1)[0]))
    without = {name: value for name, value in cells.items() if name != "age"}
    image = baselines.BaselineImage
    large = png(np.zeros((40, 40, 3), dtype=np.uint8))
    wrong = [
        ("loans", row, baselines.Baseline(name="goof"), "options.baseline.name", "did you mean good?"),
        ("loans", row, baselines.Baseline(name="else"), "options.baseline.name", "background, good, bad"),
        ("loans", row, baselines.Baseline(), "options.baseline", "set one of its fields"),
        ("loans", row, baselines.Baseline(colour="#ffffff"), "options.baseline.colour", "pictures"),
        ("loans", row, row_baseline(without), "options.baseline.tabular.cells[age]", "is left out"),
        ("loans", row, row_baseline({**cells, "agee": 1.0}), "options.baseline.tabular.cells[agee]", "not a column"),
        ("loans", row, row_baseline({**cells, "age": "old"}), "options.baseline.tabular.cells[age]", ""),
        ("animals", animal, baselines.Baseline(name="good"), "options.baseline.name", "models of tables"),
        ("animals", animal, baselines.Baseline(colour="orange"), "options.baseline.colour", "#ff8800"),
        ("animals", animal, baselines.Baseline(image=image(content=b"no")), "options.baseline.image.content", ""),
        ("animals", animal, baselines.Baseline(image=image(sha256="ab")), "options.baseline.image.content", "is empty"),
        (
            "animals",
            animal,
            baselines.Baseline(image=image(content=large)),
            "options.baseline.image.content",
            "declares",
        ),
    ]
    async with running_server(repository, max_image_pixels=1000) as running:
        for model, value, baseline, field, words in wrong:
            code, message, fields = await refused(running, explain_input(value, model=model, baseline=baseline))
            assert (code, fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field]), baseline
            assert words in message
        code, message, _ = await refused(running, explain_input(row, model="loans", baseline=text_baseline("a")))
        assert code == grpc.StatusCode.FAILED_PRECONDITION
        assert "options.baseline is a text" in message
        for method in ("lime", "lime-stratified"):
            asked = explain_input(row, model="loans", baseline=baselines.Baseline(name="good"), method=method)
            code, message, fields = await refused(running, asked)
            assert (code, fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["options.baseline"])
            assert method in message
    async with running_server(tiny_repository, max_text_bytes=200) as running:
        for baseline, field in (
            (text_baseline("x" * 201), "options.baseline.text"),
            (text_baseline(" "), "options.baseline.text"),
            (text_baseline(TEXT), "options.baseline.text"),
            (
                baselines.Baseline(text=baselines.BaselineText(text="a", text_pair="b")),
                "options.baseline.text.text_pair",
            ),
            (baselines.Baseline(name="good"), "options.baseline.name"),
        ):
            code, message, fields = await refused(running, explain_request(TEXT, baseline=baseline))
            assert (code, fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field]), message
        asked = explain_request(TEXT, baseline=text_baseline(OTHER), masking=1)
        assert (await refused(running, asked))[2] == ["options.masking"]
        # Nobody else is told anything of it.
        await running.inference.Explain(explain_request(TEXT, max_evaluations=40))


def shown_as_text(answer: ExplainResult) -> str:
    return "\n".join(explanation_text.lines(answer, 0))


async def test_the_client_says_a_baseline_by_what_it_is_and_can_ask_again(
    repository: Path, tiny_repository: Path
) -> None:
    cells, other = (LOANS.cells(*row_of(LOANS, seed)) for seed in (11, 12))
    shown, hidden = pictures(2, seed=4)
    picture, behind_it = Image(png(shown)), Image(png(hidden), "sea.png")
    asked: list[tuple[str, Any, Any]] = [
        ("loans", cells, "good"),
        ("loans", cells, other),
        ("animals", picture, behind_it),
        ("animals", picture, "#ff8000"),
    ]
    async with running_server(repository) as running, AsyncClient(running.target) as client:
        for model, value, baseline in asked:
            answer = await client.explain(model, value, baseline=baseline, max_evaluations=64)
            explanation = answer.explanation
            assert explanation.options.baseline == baseline
            again = await client.explain(model, value, **vars(explanation.options))
            assert again.explanation.attributions == explanation.attributions
            assert type(answer).from_json(answer.to_json(files=True)) == answer
            told = "compared with: "
            assert told in shown_as_text(answer)
            assert told in answer.to_html()
        description = await client.get_model("loans")
        assert [(group.name, group.of, group.rows) for group in description.baselines] == [
            ("good", "good=yes", 3),
            ("bad", "bad=yes", 2),
        ]
    async with running_server(tiny_repository) as running, AsyncClient(running.target) as client:
        answer = await client.explain("tiny", TEXT, baseline=OTHER, max_evaluations=64)
        assert answer.explanation.options.baseline == OTHER
        assert f"compared with: the text “{OTHER}”" in shown_as_text(answer)
        assert "INSTEAD OF" in shown_as_text(answer)
        steps = [step async for step in client.stream_explain("tiny", TEXT, baseline=OTHER, max_evaluations=64)]
        assert steps[-1].explanation.attributions == answer.explanation.attributions
        assert not any(step.explanation.preview for step in steps)


@pytest.mark.parametrize("inputs", [True, False])
async def test_the_audit_log_has_it_and_replay_repeats_it(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], inputs: bool
) -> None:
    log = tmp_path / "audit.jsonl"
    cells, other = (LOANS.cells(*row_of(LOANS, seed)) for seed in (11, 12))
    shown, hidden = (png(picture) for picture in pictures(2, seed=4))
    given, behind_row, behind_image = tmp_path / "row.json", tmp_path / "other.json", tmp_path / "sea.png"
    given.write_text(json.dumps(cells), encoding="utf-8")
    behind_row.write_text(json.dumps(other), encoding="utf-8")
    behind_image.write_bytes(hidden)

    async def replayed(running: Running, line: int, *more: str) -> str:
        own = () if inputs else ("--input", str(given if line < 3 else tmp_path / "shown.png"))
        where = ("--server", running.target, "--line", str(line), "--format", "json")
        await asyncio.to_thread(main, ["replay", str(log), *where, *own, *more])
        return str(json.loads(capsys.readouterr().out)["verdict"])

    (tmp_path / "shown.png").write_bytes(shown)
    async with running_server(repository, audit_log=str(log), audit_inputs=inputs) as running:
        for model, value, baseline in (
            ("loans", table_input(cells), baselines.Baseline(name="good")),
            ("loans", table_input(cells), row_baseline(other)),
            ("animals", image_input(shown), baselines.Baseline(image=baselines.BaselineImage(content=hidden))),
        ):
            await running.inference.Explain(explain_input(value, model=model, baseline=baseline, max_evaluations=64))
        held = [json.loads(line)["options"]["baseline"] for line in log.read_text().splitlines()]
        assert held[0] == {"name": "good"}
        assert held[1].keys() == ({"sha256", "cells"} if inputs else {"sha256"})
        assert held[2] == {"sha256": ImageInput(hidden).digest.hex()}  # never the bytes of an image
        assert await replayed(running, 1) in ("same", "close")
        assert (await replayed(running, 2) == "unknown") is not inputs
        assert await replayed(running, 2, "--baseline", str(behind_row)) in ("same", "close")
        assert await replayed(running, 3) == "unknown"
        assert await replayed(running, 3, "--baseline", str(behind_row)) == "unknown"
        assert await replayed(running, 3, "--baseline", str(behind_image)) in ("same", "close")
