"""What would change an answer, on a real server: what is told holds when the changed input is asked about."""

import asyncio
import json
from html import escape
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import explicate
from explicate import ChangeSearch, ValueRange
from explicate.results import ExplainResult
from explicate.views.added import change_words
from explicate_bundle.columns import FIRST_CATEGORY_CODE
from explicate_server.inference.changed.change_search import ChangeSearch as ChangeSearchOfServer
from support.bundle_edits import edit_manifest
from support.harness import TEXT, running_server
from support.tiny_image_bundle import pictures, png
from support.tiny_table_bundle import TinyTable, tiny_table

LOANS, LOSSES, TAGS = tiny_table(), tiny_table(labels=(), seed=1), tiny_table(multi_label=True, seed=3)
THRESHOLD = 0.2
LABEL = LOANS.labels[0]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables "loans", "losses" and "tags", and loans with rules: "strict" has a threshold for the first class,
    "costly" has costs.
    """
    folder = tmp_path_factory.mktemp("changes")
    for table, model in ((LOANS, "loans"), (LOSSES, "losses"), (TAGS, "tags")):
        table.publish(folder, model)
    rule = {"thresholds": [{"label": LABEL, "threshold": THRESHOLD, "goal": "recall"}], "rows": "100"}
    costs = np.ones((len(LOANS.labels), len(LOANS.labels))) - np.eye(len(LOANS.labels))
    costs[-1] *= 4
    for model, decision in (("strict", rule), ("costly", {"costs": costs.ravel().tolist()})):
        edit_manifest(
            LOANS.publish(folder, model), lambda manifest, decision=decision: manifest.update(decision=decision)
        )
    return folder


def rows_of(table: TinyTable, count: int = 4, *, seed: int = 5, missing: float = 0.1) -> list[dict[str, Any]]:
    numbers, codes = table.rows(count, seed=seed, missing=missing)
    return [table.cells(n, np.maximum(c, FIRST_CATEGORY_CODE)) for n, c in zip(numbers, codes, strict=True)]


def changed(row: dict[str, Any], result: ExplainResult) -> dict[str, Any]:
    change = result.explanation.change
    assert change is not None
    return {**row, **{one.column: one.after for one in change.columns}}


async def test_the_changed_row_is_answered_as_told(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        for row, model in product(rows_of(LOANS), ("loans", "strict", "costly")):
            result = await client.explain(model, row, change=True, seed=1)
            change = result.explanation.change
            assert change is not None
            assert change.found
            assert change.after is not None
            now = (await client.predict(model, [changed(row, result)])).predictions[0]
            assert now.label == change.after.class_label != result.prediction.label == change.before.class_label
            assert now.probability == pytest.approx(change.after.score, abs=1e-6)
            assert result.prediction.probability == pytest.approx(change.before.score, abs=1e-6)
            for one in change.columns:
                assert row[one.column] == one.before != one.after
            assert change.distance == pytest.approx(sum(one.distance for one in change.columns))


async def test_a_small_choice_of_values_is_searched_as_by_brute_force(repository: Path) -> None:
    names = LOANS.numbers[:3]
    kept = rows_of(LOANS)[0].keys() - {*names}
    vary = dict.fromkeys(names, (-2.0, -0.5, 0.5, 2.0))
    deviations = {name: deviation(LOANS, place) for place, name in enumerate(names)}
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        for row in rows_of(LOANS, missing=0):
            choices = [({**row, **dict(zip(names, values, strict=True))}) for values in product(*map(vary.get, names))]
            tried = [one for some in choices for one in partly(row, some, names)]
            answers = (await client.predict("loans", tried)).predictions
            result = await client.explain("loans", row, change=ChangeSearch(keep=tuple(kept), vary=vary))
            change = result.explanation.change
            assert change is not None
            best = min(
                (
                    (
                        sum(one[name] != row[name] for name in names),
                        sum(abs(one[name] - row[name]) / deviations[name] for name in names),
                    )
                    for one, answer in zip(tried, answers, strict=True)
                    if answer.label != result.prediction.label
                ),
                default=None,
            )
            assert change.none_smaller
            assert change.found == (best is not None)
            if best is not None:
                assert change.none_nearer
                assert (len(change.columns), change.distance) == (best[0], pytest.approx(best[1], rel=1e-6))
            else:
                assert change.evaluations == 5**3 - 1


def deviation(table: TinyTable, place: int) -> float:
    """The weighted standard deviation of a column of numbers in the background."""
    values, weights = table.background.numbers[:, place].astype(np.float64), table.background.weights
    values, weights = values[~np.isnan(values)], weights[~np.isnan(values)]
    mean = np.average(values, weights=weights)
    return float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))


def partly(row: dict[str, Any], other: dict[str, Any], names: list[str]) -> list[dict[str, Any]]:
    """The row with some of the other's values, at least one."""
    sets = [some for size in (1, 2, 3) for some in combinations(names, size)]
    return [{**row, **{name: other[name] for name in some}} for some in sets]


async def test_kept_columns_stay_and_ranges_hold(repository: Path) -> None:
    first, second = LOANS.numbers[:2]
    keep = tuple(name for name in rows_of(LOANS)[0] if name not in (first, second))
    changes = []
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        for row in rows_of(LOANS):
            vary = {first: ValueRange(-3, 3, 0.25)}
            result = await client.explain("loans", row, change=ChangeSearch(keep=keep, vary=vary))
            assert result.explanation.change is not None
            changes += result.explanation.change.columns
    assert {one.column for one in changes} == {first, second}
    for one in changes:
        if one.column == first:
            assert isinstance(one.after, float)
            assert (one.after * 4).is_integer()
            assert -3 <= one.after <= 3


async def test_fixed_columns_keep_their_values(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        features = (await client.explain("loans", rows_of(LOANS)[0])).explanation.features
        free = {feature.name for feature in features} & set(LOANS.numbers)  # the others are categories, or groups
        fixed = [feature.name for feature in features if feature.name not in free]
        found = [(await client.explain("loans", row, change=True, fixed=fixed)) for row in rows_of(LOANS)]
    changes = [one.explanation.change for one in found]
    columns = {each.column for one in changes if one is not None for each in one.columns}
    assert columns
    assert columns <= free


async def test_a_certain_class_is_reached_and_one_that_is_answered_needs_nothing(repository: Path) -> None:
    row = rows_of(LOANS)[0]
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        predicted = (await client.predict("loans", [row])).predictions[0].label
        for label in LOANS.labels:
            result = await client.explain("loans", row, change=ChangeSearch(to=label))
            change = result.explanation.change
            assert change is not None
            if label == predicted:
                assert (change.found, change.columns, change.evaluations, change.end) == (True, (), 0, "complete")
                assert "Nothing has to change" in str(result)
            elif change.found:
                assert (await client.predict("loans", [changed(row, result)])).predictions[0].label == label


async def test_a_value_is_reached_from_below_or_fallen_below(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        for row in rows_of(LOSSES):
            value = (await client.predict("losses", [row])).predictions[0].value
            assert value is not None
            for to in (value + 0.05, value - 0.05):
                result = await client.explain("losses", row, change=ChangeSearch(to_value=to))
                change = result.explanation.change
                assert change is not None
                if change.found:
                    now = (await client.predict("losses", [changed(row, result)])).predictions[0].value
                    assert now is not None
                    assert (now >= to) == (to > value)


async def test_the_label_that_is_asked_about_is_given_or_not(repository: Path) -> None:
    row = rows_of(TAGS)[0]
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        for label in TAGS.labels:
            result = await client.explain("tags", row, target=label, change=True)
            change = result.explanation.change
            assert change is not None
            assert change.found
            assert change.before.given == (label in (result.prediction.labels or ()))
            now = (await client.predict("tags", [changed(row, result)])).predictions[0]
            assert (label in (now.labels or ())) != change.before.given


async def test_columns_that_are_left_out_are_decided_by_the_mean_over_the_background(repository: Path) -> None:
    """The smallest set by the definition of v(S), of all coalitions."""
    numbers, codes = LOANS.rows(3, seed=8, missing=0)
    players = LOANS.players()
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        for of_row in zip(numbers, codes, strict=True):
            row = LOANS.cells(*of_row)
            result = await client.explain("loans", row, method="exact-shap", change=ChangeSearch(absence=True))
            change, features = result.explanation.change, [one.name for one in result.explanation.features]
            assert change is not None
            assert features == list(players)
            flips = [
                absent
                for size in range(1, len(features) + 1)
                for absent in combinations(range(len(features)), size)
                if decided(of_row, [name for place, name in enumerate(features) if place not in absent])
                != result.prediction.index
            ]
            assert change.none_smaller
            assert (change.absent in flips) == change.found == bool(flips)
            assert len(change.absent) == min(map(len, flips), default=0)
            assert not change.columns
            assert change.reused_evaluations == change.evaluations  # its attributions have evaluated all coalitions
            told = await client.explain("loans", row, change=ChangeSearch(absence=True, max_evaluations=2))
            assert told.explanation.change is not None
            assert told.explanation.change.evaluations == 2


def decided(row: Any, present: list[str]) -> int:
    columns = [column for player in present for column in LOANS.players()[player]]
    return int(LOANS.value(*row, columns, probability=True).argmax())


async def test_words_without_which_the_answer_is_another(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running, explicate.AsyncClient(running.target) as client:
        result = await client.explain("tiny", TEXT, change=True, masking="delete", method="kernel-shap")
        change, features = result.explanation.change, result.explanation.features
        assert change is not None
        assert change.found
        kept = [feature.text for place, feature in enumerate(features) if place not in change.absent]
        now = (await client.predict("tiny", [" ".join(kept)])).predictions[0]
        assert now.label != result.prediction.label
        again = await client.explain("tiny", TEXT, change=True, masking="delete", method="kernel-shap")
        assert again.explanation.change is not None
        assert again.explanation.change.absent == change.absent
        assert again.explanation.change.reused_evaluations == change.evaluations
        repeated = await client.explain("tiny", TEXT, **vars(result.explanation.options))
        assert repeated.explanation.options == result.explanation.options
        assert ExplainResult.from_json(result.to_json()) == result


async def test_segments_without_which_the_answer_is_another(image_repository: Path) -> None:
    picture = explicate.Image(png(pictures(1, seed=3)[0]))
    async with running_server(image_repository) as running, explicate.AsyncClient(running.target) as client:
        options: Any = {"granularity": "grid", "segments": 6, "method": "exact-shap"}
        result = await client.explain("animals", picture, change=True, **options)
        change = result.explanation.change
        assert change is not None
        assert change.none_smaller
        assert change.reused_evaluations == change.evaluations
        assert change.found == (change.after is not None) == bool(change.absent)


async def test_no_row_is_evaluated_for_a_change_that_nobody_asks_for(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running, explicate.AsyncClient(running.target) as client:
        plain = await client.explain("tiny", TEXT)
        asked = await client.explain("tiny", TEXT, change=True)
        assert plain.explanation.change is None
        assert plain.explanation.options.change is None
        assert asked.explanation.attributions == plain.explanation.attributions
        assert asked.explanation.evaluations == plain.explanation.evaluations


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("losses", {"change": True}, "options.change.value"),
    ("losses", {"change": ChangeSearch(to="x")}, "options.change.class_label"),
    ("losses", {"change": ChangeSearch(to_value=float("inf"))}, "options.change.value"),
    ("loans", {"change": ChangeSearch(to_value=1.0)}, "options.change.value"),
    ("loans", {"change": ChangeSearch(to="nobody")}, "options.change.class_label"),
    ("loans", {"change": ChangeSearch(to=99)}, "options.change.class_index"),
    ("loans", {"change": ChangeSearch(keep=("nothing",))}, "options.change.columns[nothing]"),
    ("loans", {"change": ChangeSearch(keep_others=True)}, "options.change.columns"),
    ("loans", {"change": ChangeSearch(absence=True, keep_others=True)}, "options.change.keep_others"),
    ("loans", {"change": ChangeSearch(max_evaluations=0)}, "options.change.max_evaluations"),
    ("tags", {"change": ChangeSearch(to=1)}, "options.change.class_index"),
    ("tags", {"change": True, "target": explicate.ALL}, "options.target"),
]


async def test_what_cannot_be_searched_for_is_refused_by_its_field(repository: Path) -> None:
    tables = {"losses": LOSSES, "loans": LOANS, "tags": TAGS}
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        for model, options, field in REFUSED:
            with pytest.raises(explicate.InvalidArgument) as refused:
                await client.explain(model, rows_of(tables[model])[0], **options)
            assert [path for path, _ in refused.value.violations] == [field]


async def test_values_are_checked_as_inputs_are(repository: Path) -> None:
    number, other = LOANS.numbers[0], next(column.name for column in LOANS.others if column.categories)
    wrong: list[tuple[Any, str]] = [
        ({number: ValueRange(2, 1)}, f"[{number}].range"),
        ({number: ValueRange(1, 2, 0)}, f"[{number}].range.step"),
        ({number: ValueRange(0, 1e6, 0.5)}, f"[{number}].range.step"),
        ({number: ValueRange("many", 2)}, f"[{number}].range.low"),
        ({number: (1.0, "many")}, f"[{number}].values[1]"),
        ({number: ()}, f"[{number}].values"),
        ({other: ("never seen",)}, f"[{other}].values[0]"),
        ({other: ValueRange(1, 2)}, f"[{other}].range"),
    ]
    row = rows_of(LOANS)[0]
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        for vary, field in wrong:
            with pytest.raises(explicate.InvalidArgument) as refused:
                await client.explain("loans", row, change=ChangeSearch(vary=vary))
            assert [path for path, _ in refused.value.violations] == [f"options.change.columns{field}"]
        with pytest.raises(explicate.InvalidArgument, match="one row at a time"):
            await client.explain_table("loans", {name: [value] for name, value in row.items()}, change=True)


async def test_time_that_is_over_is_said(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock runs out between the attributions and the search."""
    row, run = rows_of(LOANS)[0], ChangeSearchOfServer.run

    async def late(search: Any, evaluations: Any, *arguments: Any) -> Any:
        evaluations._seconds_left = lambda: -1.0
        return await run(search, evaluations, *arguments)

    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        plain = await client.explain("loans", row, seed=1)
        monkeypatch.setattr(ChangeSearchOfServer, "run", late)
        result = await client.explain("loans", row, seed=1, change=True)
        change = result.explanation.change
        assert result.explanation.attributions == plain.explanation.attributions
        assert change is not None
        assert (change.found, change.evaluations, change.end, change.none_smaller) == (False, 0, "deadline", False)
        assert "until time was over" in str(result)


async def test_the_words_say_no_more_than_was_tried(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        for row in rows_of(LOANS):
            for search in (ChangeSearch(), ChangeSearch(max_evaluations=2), ChangeSearch(absence=True)):
                result = await client.explain("loans", row, change=search)
                change = result.explanation.change
                assert change is not None
                told = "\n".join(change_words.lines(result))
                beside = list(change_words.lines(result, beside_sentences=True))
                assert "\n".join(beside) in str(result)
                of_change = [one for one in result.explanation.sentences if "the model would answer" in one]
                assert len(of_change) + len(beside) == len(told.splitlines())  # told once, by either
                assert all(one in str(result) for one in of_change)
                assert ("no change of fewer" in told.lower()) <= change.none_smaller
                assert ("Every change there is" in told) == (not change.found and change.none_smaller)
                assert ("none of as many is nearer" in told.lower()) <= change.none_nearer
                assert escape(told.splitlines()[0]) in result.to_html()
                assert json.loads(result.to_json())["explanation"]["change"]["end"] == change.end


async def test_many_searches_at_once_are_those_alone(repository: Path) -> None:
    rows = rows_of(LOANS, 4)
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        alone = [await client.explain("loans", row, change=True) for row in rows]
        together = await asyncio.gather(*(client.explain("loans", row, change=True) for row in rows))
    for one, other in zip(alone, together, strict=True):
        assert one.explanation.change is not None
        assert other.explanation.change is not None
        assert one.explanation.change.columns == other.explanation.change.columns
