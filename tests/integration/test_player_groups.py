"""Groups of parts and fixed parts on a real server: the values are those of the smaller game, enumerated here."""

from collections.abc import Callable, Sequence
from itertools import combinations, product
from math import comb
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status

from explicate.v1 import explanation_pb2 as options_pb
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import players_pb2 as parts_pb
from explicate_export.export import ExportOptions, export_run
from support.additive_table import additive_table, build_additive_repository
from support.harness import (
    ALL_CLASSES,
    Running,
    explain_input,
    image_input,
    reference,
    running_server,
    segment_ids,
    table_input,
    text_input,
)
from support.packed_tables import packed, table_request
from support.tiny_bundle import write_tiny_run
from support.tiny_image_bundle import HEIGHT, WIDTH, cells_of_grid, mean_colours, pictures, png, tiny_images
from support.tiny_table_bundle import TinyTable, tiny_table
from support.tree_table import build_tree_repository, tree_table

# The smaller games in float64 against graphs in float32.
CLOSE = 1e-6
LOANS, ADDITIVE, TREES, ANIMALS = tiny_table(), additive_table(), tree_table(), tiny_images()
LOGIT, PROBABILITY = options_pb.OUTPUT_SPACE_LOGIT, options_pb.OUTPUT_SPACE_PROBABILITY


def part(name: str = "", **kind: Any) -> parts_pb.InputPart:
    return parts_pb.InputPart(**kind) if kind else parts_pb.InputPart(name=name)


def text_range(start: int, end: int, *, in_pair: bool = False) -> parts_pb.InputPart:
    return part(range=parts_pb.TextRange(start=start, end=end, in_pair=in_pair))


def box(left: float, top: float, right: float, bottom: float) -> parts_pb.InputPart:
    return part(box=parts_pb.PixelBox(left=left, top=top, right=right, bottom=bottom))


def group(name: str, *members: parts_pb.InputPart | str) -> parts_pb.PlayerGroup:
    return parts_pb.PlayerGroup(name=name, parts=[part(each) if isinstance(each, str) else each for each in members])


def enumerated(value: Callable[[Sequence[int]], Any], n: int) -> Any:
    """Shapley values float64[outputs, n] by their definition, and v(∅)."""
    values = {s: np.asarray(value(s)) for size in range(n + 1) for s in combinations(range(n), size)}
    shapley = np.zeros((len(values[()]), n))
    for present, told in values.items():
        for player in set(range(n)).difference(present):
            joined = tuple(sorted((*present, player)))
            shapley[:, player] += (values[joined] - told) / (n * comb(n - 1, len(present)))
    return shapley, values[()]


async def explain(running: Running, model: str, value: messages.Input, **options: Any) -> Any:
    request = explain_input(value, model=model)
    request.spec.options.MergeFrom(options_pb.ExplainOptions(**{"tolerance": 0.0, **options}))
    return (await running.inference.Explain(request)).result.explanation


def told(explanation: Any) -> tuple[Any, Any]:
    attributions = explanation.attributions
    return np.array([one.values for one in attributions]), np.array([one.baseline_value for one in attributions])


def names(features: Any) -> list[str]:
    """Of columns, words and groups, these with their members."""
    found = []
    for feature in features:
        match feature.WhichOneof("kind"):
            case "group":
                found.append(f"{feature.group.name}: {', '.join(names(feature.group.members))}")
            case "segment":
                found.append(str(feature.segment.id))
            case kind:
                found.append(feature.text.text if kind == "text" else feature.column.name)
    return found


async def refused(running: Running, model: str, value: messages.Input, **options: Any) -> list[tuple[str, str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await explain(running, model, value, **options)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return violations(caught.value)


def violations(error: grpc.aio.AioRpcError) -> list[tuple[str, str]]:
    found = BadRequest()
    next(detail for detail in rpc_status.from_call(error).details if detail.Is(BadRequest.DESCRIPTOR)).Unpack(found)  # type: ignore[arg-type]
    return [(one.field, one.description) for one in found.field_violations]


# The columns of a table: {income, owner} is one player, the schema's group of debts with the age another, and the
# purpose is always there.
TABLE_GROUPS = [group("means", "owner", "income"), group("burden", "debt_short", "debt_long", "age")]
TABLE_FIXED = [part("purpose")]
TABLE_MEMBERS = [["income", "owner"], ["debt_short", "debt_long", "age"], ["rating"]]
TABLE_NAMES = ["means: income, owner", "burden: debts, age", "rating"]


def table_reference(table: TinyTable, row: int, *, probability: bool) -> Any:
    numbers, codes = table.rows(3, seed=5)

    def value(present: Sequence[int]) -> Any:
        shown = ["purpose", *(name for player in present for name in TABLE_MEMBERS[player])]
        return table.value(numbers[row], codes[row], shown, probability=probability)

    return table_input(table.cells(numbers[row], codes[row])), *enumerated(value, len(TABLE_MEMBERS))


@pytest.mark.parametrize("space", [LOGIT, PROBABILITY])
@pytest.mark.parametrize("method", ["exact-shap", "kernel-shap", "auto"])
async def test_columns_are_grouped_and_fixed(table_repository: Path, method: str, space: Any) -> None:
    asked = {"target": ALL_CLASSES, "output_space": space, "groups": TABLE_GROUPS, "fixed": TABLE_FIXED}
    async with running_server(table_repository) as running:
        for row in range(2):
            value, values, baseline = table_reference(LOANS, row, probability=space == PROBABILITY)
            found = await explain(running, "loans", value, method=method, **asked)
            np.testing.assert_allclose(told(found)[0], values, rtol=0, atol=CLOSE)
            np.testing.assert_allclose(told(found)[1], baseline, rtol=0, atol=CLOSE)
            assert names(found.features) == TABLE_NAMES
            assert names(found.fixed) == ["purpose"]
            assert found.fixed[0].column.columns[0].column == "purpose"
            # The answer's options repeat it.
            assert list(found.options.groups) == TABLE_GROUPS
            assert list(found.options.fixed) == TABLE_FIXED
            assert found.evaluations == 8


@pytest.mark.parametrize("kind", ["additive", "trees"])
async def test_models_that_tell_themselves_tell_of_groups(tmp_path: Path, kind: str) -> None:
    table, build = {"additive": (ADDITIVE, build_additive_repository), "trees": (TREES, build_tree_repository)}[kind]
    method = {"additive": "additive-exact", "trees": "tree-shap"}[kind]
    spaces = [LOGIT, PROBABILITY] if kind == "additive" else [LOGIT]
    async with running_server(build(tmp_path)) as running:
        for row, space in product(range(3), spaces):
            value, values, baseline = table_reference(table, row, probability=space == PROBABILITY)
            asked = {"target": ALL_CLASSES, "output_space": space, "groups": TABLE_GROUPS, "fixed": TABLE_FIXED}
            found = await explain(running, "loans", value, quality=options_pb.QUALITY_LEVEL_FULL, **asked)
            assert (found.options.method, found.evaluations) == (method, 1)
            np.testing.assert_allclose(told(found)[0], values, rtol=0, atol=1e-5)
            np.testing.assert_allclose(told(found)[1], baseline, rtol=0, atol=1e-5)
            played = await explain(
                running, "loans", value, method="exact-shap", quality=options_pb.QUALITY_LEVEL_FULL, **asked
            )
            assert found.quality.comprehensiveness.value == pytest.approx(
                played.quality.comprehensiveness.value, abs=1e-5
            )


async def test_what_the_plain_game_asked_is_known_to_the_smaller_one(table_repository: Path) -> None:
    value, *_ = table_reference(LOANS, 0, probability=True)
    async with running_server(table_repository) as running:
        await explain(running, "loans", value, method="exact-shap")
        again = await explain(running, "loans", value, method="exact-shap", groups=TABLE_GROUPS, fixed=TABLE_FIXED)
    assert again.reused_evaluations == again.evaluations == 8


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models "one", of texts, and "two", of pairs."""
    folder = tmp_path_factory.mktemp("grouped")
    for name, pairs in (("one", False), ("two", True)):
        run = write_tiny_run(folder / name, labels=("no", "yes", "maybe"), pairs=pairs)
        export_run(run, folder / "repository", ExportOptions(name))
    return folder / "repository"


TEXT = "the tea is not good, the cup is good."
# {not good,} is one player, all places of "the" another, and "is" is always there.
TEXT_GROUPS = [group("judgement", "not good"), group("article", text_range(0, 3), text_range(21, 24))]
TEXT_MEMBERS = [[0, 5], [1], [3, 4], [6], [8]]
TEXT_NAMES = ["article: the, the", "tea", "judgement: not good,", "cup", "good."]


async def logits(running: Running, model: str, inputs: Sequence[messages.Input]) -> Any:
    answer = await running.inference.Predict(messages.PredictRequest(model=reference(model), inputs=inputs))
    return np.array([[score.logit for score in each.classification.scores] for each in answer.predictions])


def kept_words(text: str, kept: Sequence[int]) -> str:
    """What the masking "delete" leaves of a text: the words go, the spaces between them stay."""
    return " ".join(word if place in kept else "" for place, word in enumerate(text.split(" ")))


async def test_words_are_grouped_and_fixed(texts: Path) -> None:
    asked = {"groups": TEXT_GROUPS, "fixed": [part("is")], "target": ALL_CLASSES, "output_space": LOGIT}
    coalitions = [s for size in range(6) for s in combinations(range(5), size)]
    async with running_server(texts) as running:
        strings = [kept_words(TEXT, [2, 7, *(word for p in s for word in TEXT_MEMBERS[p])]) for s in coalitions]
        answers = dict(zip(coalitions, await logits(running, "one", list(map(text_input, strings))), strict=True))
        values, baseline = enumerated(lambda present: answers[tuple(present)], 5)
        found = await explain(running, "one", text_input(TEXT), masking=options_pb.MASKING_DELETE, **asked)
        np.testing.assert_allclose(told(found)[0], values, rtol=0, atol=CLOSE)
        np.testing.assert_allclose(told(found)[1], baseline, rtol=0, atol=CLOSE)
        assert names(found.features) == TEXT_NAMES
        assert names(found.fixed) == ["is", "is"]
        assert (
            "The starting point is the same text without its words, but with what is always there." in found.sentences
        )
        lime = await explain(
            running, "one", text_input(TEXT), method="lime", groups=[group("a", "not", "cup")], fixed=[part("good")]
        )
        assert names(lime.features) == ["the", "tea", "is", "a: not, cup"]
        for granularity, count in (("TOKEN", 9), ("SENTENCE", 1)):
            kind = options_pb.Granularity.Value(f"GRANULARITY_{granularity}")
            span = [group("first", text_range(0, 20 if count > 1 else len(TEXT)))]
            parts = await explain(running, "one", text_input(TEXT), granularity=kind, groups=span)
            assert parts.features[0].group.name == "first"
            assert parts.features[0].group.members[0].text.text == TEXT[: 20 if count > 1 else len(TEXT)]


async def test_a_group_may_span_both_texts_of_a_pair(texts: Path) -> None:
    first, second = "is the tea good", "the tea is bad"
    pair = messages.Input(text=messages.TextInput(text=first, text_pair=second))
    # All places of "tea", "good" with "bad", and both "the" fixed: neither text is ever empty.
    asked = {
        "groups": [group("subject", "tea"), group("verdict", "good", text_range(11, 14, in_pair=True))],
        "fixed": [text_range(0, 3, in_pair=True), text_range(3, 6)],
        **{"masking": options_pb.MASKING_DELETE, "target": ALL_CLASSES, "output_space": LOGIT},
    }
    members = [[0], [2, 5], [3, 7], [6]]
    coalitions = [s for size in range(5) for s in combinations(range(4), size)]
    inputs = []
    for present in coalitions:
        kept = {1, 4, *(word for player in present for word in members[player])}
        left = kept_words(first, [word for word in kept if word < 4]), kept_words(second, [word - 4 for word in kept])
        inputs.append(messages.Input(text=messages.TextInput(text=left[0], text_pair=left[1])))
    async with running_server(texts) as running:
        answers = dict(zip(coalitions, await logits(running, "two", inputs), strict=True))
        found = await explain(running, "two", pair, **asked)
    values, baseline = enumerated(lambda present: answers[tuple(present)], 4)
    np.testing.assert_allclose(told(found)[0], values, rtol=0, atol=CLOSE)
    np.testing.assert_allclose(told(found)[1], baseline, rtol=0, atol=CLOSE)
    assert names(found.features) == ["is", "subject: tea, tea", "verdict: good, bad", "is"]
    assert [member.text.in_pair for member in found.features[1].group.members] == [False, True]
    assert [feature.text.in_pair for feature in found.fixed] == [False, True]


BASE = cells_of_grid(rows=2, columns=4)
GRID = {"granularity": options_pb.GRANULARITY_GRID, "segments": 8, "target": ALL_CLASSES, "output_space": LOGIT}


def image_reference(shown: Any, owner: Any, fixed: Any, n: int) -> Any:
    """Of the owner of each pixel and the fixed ones; absent pixels have the mean colours of the plain segments."""
    hidden = np.where(fixed[:, :, np.newaxis], shown, mean_colours(shown, BASE))

    def value(present: Sequence[int]) -> Any:
        return ANIMALS.value(hidden, shown, owner, [player in present for player in range(n)])

    return enumerated(value, n)


async def test_segments_are_grouped_and_fixed(image_repository: Path) -> None:
    shown = pictures(1, seed=11)[0]
    asked = {
        "groups": [group("left", part(segment=0), part(segment=4)), group("corner", part(segment=7))],
        "fixed": [part(segment=2)],
    }
    async with running_server(image_repository) as running:
        found = await explain(running, "animals", image_input(png(shown)), **GRID, **asked)
    owner = np.array([0, 1, 0, 2, 0, 3, 4, 5])[BASE]
    values, baseline = image_reference(shown, owner, BASE == 2, 6)
    np.testing.assert_allclose(told(found)[0], values, rtol=0, atol=5 * CLOSE)
    np.testing.assert_allclose(told(found)[1], baseline, rtol=0, atol=5 * CLOSE)
    assert names(found.features) == ["left: 0, 4", "1", "3", "5", "6", "corner: 7"]
    assert names(found.fixed) == ["2"]
    np.testing.assert_array_equal(segment_ids(found.segment_map), BASE)


async def test_a_drawn_region_is_a_player_of_exactly_its_pixels(image_repository: Path) -> None:
    shown = pictures(1, seed=12)[0]
    # The box takes the whole of segment 1 and a part of three others; the triangle is always there.
    points = [parts_pb.PixelPoint(x=x, y=y) for x, y in ((24, 8), (24, 16), (16, 16))]
    asked = {
        "groups": [group("face", box(5, -3, 12, 9.5), part(segment=4))],
        "fixed": [part(polygon=parts_pb.PixelPolygon(points=points))],
    }
    async with running_server(image_repository) as running:
        found = await explain(running, "animals", image_input(png(shown)), **GRID, **asked)
        again = await explain(running, "animals", image_input(png(shown)), **GRID)
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    face = ((xs > 5) & (xs < 12) & (ys < 9.5)) | (BASE == 4)
    triangle = (xs - 16) / 8 + (ys - 8) / 8 >= 1
    triangle &= (xs > 16) & (ys > 8)
    owner = np.where(face, 3, np.array([0, 0, 1, 2, 3, 4, 5, 6])[BASE])  # nothing is left of segment 1
    values, baseline = image_reference(shown, owner, triangle, 7)
    np.testing.assert_allclose(told(found)[0], values, rtol=0, atol=5 * CLOSE)
    np.testing.assert_allclose(told(found)[1], baseline, rtol=0, atol=5 * CLOSE)
    assert names(found.features) == ["0", "2", "3", "face: 4, 8", "5", "6", "7"]
    assert names(found.fixed) == ["9"]
    ids = segment_ids(found.segment_map)
    np.testing.assert_array_equal(ids == 9, triangle)
    np.testing.assert_array_equal((ids == 8) | (ids == 4), face)
    np.testing.assert_array_equal(segment_ids(again.segment_map), BASE)
    assert again.reused_evaluations == 0  # coalitions of other pieces are others


async def test_parts_that_are_not_in_the_input_are_refused_by_their_path(
    table_repository: Path, image_repository: Path, texts: Path
) -> None:
    row, *_ = table_reference(LOANS, 0, probability=True)
    text, image = text_input(TEXT), image_input(png(pictures(1)[0]))
    lime = {"method": "lime", "groups": TABLE_GROUPS, "fixed": TABLE_FIXED}
    cases: list[tuple[str, messages.Input, dict[str, Any], list[tuple[str, str]]]] = [
        ("loans", row, {"groups": [group("g", "incme")]}, [("options.groups[g].parts[0]", "did you mean income")]),
        ("loans", row, {"groups": [group("g", "debt_long")]}, [("options.groups[g].parts[0]", "1 of the 2 places")]),
        ("loans", row, {"groups": [group("g")]}, [("options.groups[g].parts", "is empty")]),
        ("loans", row, {"groups": [group("", "age")]}, [("options.groups[0].name", "printable")]),
        ("loans", row, {"groups": [group("g", "age")] * 2}, [("options.groups[g]", "comes twice")]),
        ("loans", row, {"groups": [group("g", "age", "age")]}, [("options.groups[g].parts[1]", "comes twice")]),
        (
            "loans",
            row,
            {"groups": [group("g", "age", "owner"), group("h", "rating", "age")], "fixed": [part("owner")]},
            [
                ("options.groups[h].parts[1]", "'age', as the group 'g'"),
                ("options.fixed[0]", "'owner', as the group 'g'"),
            ],
        ),
        ("loans", row, {"groups": [group("age", "owner")]}, [("options.groups[age]", "outside of the group")]),
        (
            "loans",
            row,
            {"groups": [group("g", text_range(0, 2))]},
            [("options.groups[g].parts[0]", "a range")],
        ),
        ("loans", row, {"groups": [group("g", parts_pb.InputPart())]}, [("options.groups[g].parts[0]", "has no kind")]),
        (
            "loans",
            row,
            {"fixed": [part(column.name) for column in LOANS.columns]},
            [("options.fixed", "at least one free")],
        ),
        (
            "loans",
            row,
            {"fixed": list(map(part, LOANS.players()))},
            [("options.fixed", "leave at least one free")],
        ),
        ("loans", row, {"groups": [group(str(n), "age") for n in range(65)]}, [("options.groups", "at most 64")]),
        ("loans", row, lime, [("options.groups", "lime draws"), ("options.fixed", "lime draws")]),
        ("one", text, {"fixed": [part("coffee")]}, [("options.fixed[0]", "'coffee' does not come")]),
        ("one", text, {"fixed": [text_range(5, 9)]}, [("options.fixed[0]", "cuts 'tea'")]),
        ("one", text, {"fixed": [text_range(30, 99)]}, [("options.fixed[0]", "ends at 99")]),
        ("one", text, {"fixed": [text_range(9, 5)]}, [("options.fixed[0]", "end after that")]),
        ("one", text, {"fixed": [text_range(0, 3, in_pair=True)]}, [("options.fixed[0]", "one text only")]),
        (
            "one",
            text,
            {"method": "lime", "fixed": [part("not good")]},
            [("options.fixed[0]", "1 of the 2 places of 'good'")],
        ),
        ("animals", image, {"fixed": [part("face")]}, [("options.fixed[0]", "a segment or a box or a polygon")]),
        ("animals", image, {**GRID, "fixed": [part(segment=8)]}, [("options.fixed[0]", "segments 0 to 7")]),
        ("animals", image, {"fixed": [box(30, 0, 40, 9)]}, [("options.fixed[0]", "the image has 24 x 16")]),
        ("animals", image, {"fixed": [box(9, 0, 3, 9)]}, [("options.fixed[0]", "left must be below right")]),
        (
            "animals",
            image,
            {**GRID, "groups": [group("g", box(0, 0, 9, 9))], "fixed": [part(segment=0)]},
            [("options.fixed[0]", "has 48 pixels that another group")],
        ),
    ]
    for repository, models in ((table_repository, {"loans"}), (image_repository, {"animals"}), (texts, {"one"})):
        async with running_server(repository) as running:
            for model, value, options, expected in cases:
                if model in models:
                    found = await refused(running, model, value, **options)
                    assert [path for path, _ in found] == [path for path, _ in expected], (options, found)
                    for (_, description), (_, words) in zip(found, expected, strict=True):
                        assert words in description


async def test_a_table_of_rows_is_refused_with_groups(table_repository: Path) -> None:
    numbers, codes = LOANS.rows(2, seed=5)
    request = table_request("loans", packed(LOANS, numbers, codes), groups=TABLE_GROUPS)
    async with running_server(table_repository) as running:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.ExplainTable(request)
    assert violations(caught.value) == [("options.groups", "is for one input at a time; ask about each row alone")]
