"""What the Rows page reads of folders of scored rows: counts and orders against rows read one by one, and refusals."""

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from explicate_console.rows.row_errors import RowsRefused, Stop
from explicate_console.rows.row_requests import RowRequests
from support.scored_folders import COLUMNS, FolderPlan, write_folder

PLAN = FolderPlan(rows=1000, part_rows=90, fails=31)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("rows") / "scored", PLAN)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "scored"))


def read(folder: Path) -> list[dict[str, Any]]:
    return [row for part in sorted(folder.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]


def ask(folder: Path, what: str, **asked: Any) -> dict[str, Any]:
    return RowRequests([folder]).answer(what, {"folder": folder.name, **asked}, Stop(60))


def added(row: dict[str, Any], feature: str) -> dict[str, Any]:
    return next(item for item in row["explanation"] if item["feature"] == feature)


def half(item: dict[str, Any]) -> float:
    return float(item["upper"] - item["lower"]) / 2


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ('age > 40 and label = "bad"', lambda row: row["age"] > 40 and row["label"] == "bad"),
        ("income is null or owner", lambda row: row["income"] is None or row["owner"]),
        ("not income > 20000", lambda row: row["income"] is not None and not row["income"] > 20000),
        ('p["bad"] < 0.3', lambda row: row["probabilities"][0] < 0.3),
        ("added.age > 0.1", lambda row: added(row, "age")["value"] > 0.1),
        ("width.debt < 0.005", lambda row: half(added(row, "debt")) < 0.005),
        ("widest > 0.019", lambda row: max(map(half, row["explanation"])) > 0.019),
        ('job in ("<b>chef</b>", "منسق")', lambda row: row["job"] in ("<b>chef</b>", "منسق")),
    ],
)  # fmt: skip
def test_a_filter_chooses_the_rows_that_it_is_true_of(folder: Path, condition: str, holds: Any) -> None:
    told = ask(folder, "page", filter=condition, count=200)
    wanted = [row["id"] for row in read(folder) if holds(row)]
    assert 0 < len(wanted) < 900
    assert told["total"] == len(wanted)
    assert [row["cells"]["id"] for row in told["rows"]] == wanted[:200]


def test_rows_are_numbered_as_in_the_input_although_some_failed(folder: Path) -> None:
    told = ask(folder, "page", start=500, count=60)["rows"]
    assert [f"row {row['row']}" for row in told] == [row["cells"]["id"] for row in told]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("by", ["income", "job", "owner", "added.age", "widest", "probability"])
def test_pages_follow_an_order_with_missing_values_last(folder: Path, by: str, descending: bool) -> None:
    def key(row: dict[str, Any]) -> Any:
        if by == "added.age":
            return added(row, "age")["value"]
        return max(map(half, row["explanation"])) if by == "widest" else row[by]

    rows = read(folder)
    known = sorted((row for row in rows if key(row) is not None), key=key, reverse=descending)
    wanted = [key(row) for row in known] + [None] * (len(rows) - len(known))
    pages = [
        ask(folder, "page", sort=by, descending=descending, start=at, count=200)["rows"] for at in range(0, 1000, 200)
    ]
    by_id = {row["id"]: key(row) for row in rows}
    told = [by_id[row["cells"]["id"]] for page in pages for row in page]
    assert told == wanted


def test_a_text_is_searched_for_in_every_column_of_texts(folder: Path) -> None:
    told = ask(folder, "page", search="CHEF")
    assert told["total"] == sum(row["job"] == "<b>chef</b>" for row in read(folder)) > 0


def test_failed_rows_are_listed_with_their_reasons(folder: Path) -> None:
    told = ask(folder, "page", failed=True, filter='reason = "INVALID_ARGUMENT"', count=200)
    assert [row["row"] for row in told["rows"]] == list(range(0, 1000, 31))
    assert {row["cells"]["message"] for row in told["rows"]} == {"income is not a number"}


def test_the_summary_has_the_mean_size_of_each_feature_by_class(folder: Path) -> None:
    rows = [row for row in read(folder) if row["age"] > 50]
    told = ask(folder, "summary", filter="age > 50")
    assert told["rows"] == len(rows)
    for own in told["classes"]:
        chosen = [row for row in rows if row["label"] == own["label"]]
        for one in own["features"]:
            sizes = [abs(added(row, one["feature"])["value"]) for row in chosen]
            assert one["rows"] == len(chosen)
            assert one["meanSize"] == pytest.approx(sum(sizes) / len(sizes))
    assert sum(told["histogram"]["counts"]) == len(rows)
    assert {each["name"]: each["rows"] for each in told["stopReasons"]} == {
        reason: sum(row["stop_reason"] == reason for row in rows) for reason in ("exact", "tolerance")
    }


def test_the_swarm_draws_the_same_rows_each_time_with_their_intervals(folder: Path) -> None:
    first, second = (ask(folder, "swarm", label="bad", features=["age"]) for _ in range(2))
    assert first == second
    by_row = {row["id"]: row for row in read(folder)}
    assert first["drawn"] == 400
    for dot in first["dots"]:
        row = by_row[f"row {dot['row']}"]
        item = added(row, "age")
        assert (dot["value"], dot["lower"], dot["upper"]) == (item["value"], item["lower"], item["upper"])
        assert dot["holds"] == row["age"]
        assert row["label"] == "bad"


@pytest.mark.parametrize("column", ["age", "job", "owner", "income"])
def test_slices_hold_every_row_once_and_average_it(folder: Path, column: str) -> None:
    rows = read(folder)
    told = ask(folder, "slices", column=column, label="bad", added="added.debt")["slices"]
    assert sum(each["rows"] for each in told) == len(rows)
    for each in told:
        if each.get("missing"):
            own = [row for row in rows if row[column] is None]
        elif "value" in each:
            own = [row for row in rows if str(row[column]).lower() == str(each["value"]).lower()]
        else:
            high = each["high"]
            own = [r for r in rows if r[column] is not None and each["low"] <= r[column]
                   and (r[column] <= high if each["last"] else r[column] < high)]  # fmt: skip
        assert each["rows"] == len(own) > 0
        assert each["prediction"]["mean"] == pytest.approx(sum(row["probabilities"][0] for row in own) / len(own))
        assert each["added"]["mean"] == pytest.approx(sum(added(row, "debt")["value"] for row in own) / len(own))


def test_one_row_is_told_in_full(folder: Path) -> None:
    listed = ask(folder, "page", filter='id = "row 500"')["rows"][0]
    told = ask(folder, "row", row=listed["id"])
    row = next(each for each in read(folder) if each["id"] == "row 500")
    assert told["row"] == 500
    assert told["cells"] == {name: row[name] for name in ("id", *COLUMNS)}
    assert told["prediction"]["scores"][0] == {"label": "bad", "index": 0, "probability": row["probabilities"][0]}
    assert told["outputs"][0]["label"] == row["label"]
    assert told["outputs"][0]["items"] == row["explanation"]


@pytest.mark.parametrize(
    ("asked", "field", "at", "words"),
    [
        ({"filter": "age > > 1"}, "filter", 6, "wanted here"),
        ({"filter": "agee > 1"}, "filter", 0, "did you mean age?"),
        ({"filter": 'age > 1 and label = "bad'}, "filter", 20, "not closed"),
        ({"filter": "added.nothing > 1 and explanation = 1"}, "filter", 22, "cannot be compared"),
        ({"filter": 'p["worse"] > 1'}, "filter", 2, "does not have a class"),
        ({"filter": "age > 1 or " * 500 + "age > 1"}, "filter", None, "4,000 characters"),
        ({"search": "a" * 201}, "search", None, "200 characters"),
        ({"sort": "explanation"}, "sort", None, "not in an order"),
        ({"sort": "nothing"}, "sort", None, "no column"),
        ({"start": -1}, "start", None, "whole number"),
        ({"start": True}, "start", None, "whole number"),
        ({"failed": "yes"}, "failed", None, "true or false"),
        ({"filter": 3}, "filter", None, "a text"),
    ],
)
def test_a_wrong_request_says_which_field_and_where(
    folder: Path, asked: dict[str, Any], field: str, at: int | None, words: str
) -> None:
    with pytest.raises(RowsRefused) as refused:
        ask(folder, "page", **asked)
    assert (refused.value.code, refused.value.field, refused.value.at) == ("invalid_argument", field, at)
    assert words in str(refused.value)


@pytest.mark.parametrize("name", ["", "..", "../scored", "/etc", "scored/", "other", "scored\0"])
def test_only_folders_of_the_command_line_are_read(folder: Path, name: str) -> None:
    with pytest.raises(RowsRefused) as refused:
        RowRequests([folder]).answer("page", {"folder": name}, Stop(60))
    assert refused.value.code == "not_found"


@pytest.mark.parametrize("row", ["", "0", "0-", "-1-0", "0-99999", "../x", "0-0/..", "9" * 50 + "-0"])
def test_a_row_that_is_not_there_is_refused(folder: Path, row: str) -> None:
    with pytest.raises(RowsRefused) as refused:
        ask(folder, "row", row=row)
    assert (refused.value.code, refused.value.field) == ("invalid_argument", "row")


def test_links_and_files_that_the_manifest_does_not_give_rise_to_are_not_read(copied: Path, tmp_path: Path) -> None:
    rows = ask(copied, "page")["total"]
    elsewhere = tmp_path / "elsewhere.parquet"
    (copied / "part-000003.parquet").rename(elsewhere)
    (copied / "part-000003.parquet").symlink_to(elsewhere)
    shutil.copy(copied / "part-000004.parquet", copied / "part-000099.parquet")
    shutil.copy(copied / "part-000004.parquet", copied / "part-000004.parquet.tmp")
    os.mkfifo(copied / "part-000098.parquet")
    assert ask(copied, "page")["total"] == rows - pq.read_metadata(elsewhere).num_rows


def test_a_manifest_that_is_a_link_is_refused(copied: Path, tmp_path: Path) -> None:
    (copied / "_manifest.json").rename(tmp_path / "manifest.json")
    (copied / "_manifest.json").symlink_to(tmp_path / "manifest.json")
    with pytest.raises(RowsRefused, match="symbolic links"):
        ask(copied, "page")


def test_a_truncated_part_is_named_and_left_out(copied: Path) -> None:
    before = ask(copied, "page")["total"]
    part = copied / "part-000002.parquet"
    rows = pq.read_metadata(part).num_rows
    part.write_bytes(part.read_bytes()[:-100])
    told = ask(copied, "folders")["folders"][0]
    assert [each["file"] for each in told["unreadable"]] == ["part-000002.parquet"]
    assert ask(copied, "page", filter="age > 0")["total"] == before - rows


def test_a_part_with_broken_pages_is_a_refusal_that_names_it(copied: Path) -> None:
    part = copied / "part-000002.parquet"
    content = bytearray(part.read_bytes())
    content[4:2000] = bytes(1996)
    part.write_bytes(content)
    with pytest.raises(RowsRefused, match="part-000002") as refused:
        ask(copied, "page", filter="age > 0 and id != ''")
    assert refused.value.code == "data_loss"


def test_parts_of_another_run_are_left_out(copied: Path) -> None:
    pq.write_table(pa.table({"age": [1, 2]}), copied / "part-000005.parquet")
    told = ask(copied, "folders")["folders"][0]
    assert [each["file"] for each in told["unreadable"]] == ["part-000005.parquet"]
    assert "other columns" in told["unreadable"][0]["why"]


def test_a_run_in_progress_shows_its_parts_so_far_and_then_the_next(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("explicate_console.rows.row_folders._FRESH_S", 0.0)
    path = write_folder(tmp_path / "scored", FolderPlan(rows=300, part_rows=100, done=False))
    (path / "part-000001.parquet").rename(tmp_path / "kept")
    requests = RowRequests([path])
    told = requests.answer("folders", {}, Stop(60))["folders"][0]
    assert (told["rows"], told["ofRows"], told["missingParts"], told["state"]) == (200, 300, 1, "not finished")
    first = requests.answer("page", {"folder": "scored", "filter": "age > 0"}, Stop(60))
    (tmp_path / "kept").rename(path / "part-000001.parquet")
    second = requests.answer("page", {"folder": "scored", "filter": "age > 0"}, Stop(60))
    assert (first["total"], second["total"]) == (200, 300)
    assert first["snapshot"] != second["snapshot"]


def test_a_folder_with_a_manifest_alone_has_no_rows(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "scored", FolderPlan(rows=100, part_rows=100, done=False))
    (path / "part-000000.parquet").unlink()
    told = ask(path, "folders")["folders"][0]
    assert (told["rows"], told["columns"], told["explained"]) == (0, [], False)
    assert ask(path, "page")["rows"] == []
    assert ask(path, "summary")["classes"] == []


@pytest.mark.parametrize("content", [None, "", "{}", "[1]", '{"format": 1}', "\0", json.dumps({"format": 99})])
def test_a_folder_without_a_run_is_listed_with_what_is_wrong(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "_manifest.json").write_text(content)
    told = ask(tmp_path, "folders")["folders"][0]
    assert told["name"] == tmp_path.name
    assert "does not hold a run" in told["trouble"]
    assert str(tmp_path.parent) not in told["trouble"]


def test_folders_of_one_name_are_told_apart(folder: Path, copied: Path) -> None:
    requests = RowRequests([folder, copied])
    assert [each["name"] for each in requests.answer("folders", {}, Stop(60))["folders"]] == ["scored", "scored 2"]


def test_a_request_that_nobody_waits_for_ends(folder: Path) -> None:
    stop = Stop(60)
    stop.cancel()
    with pytest.raises(RowsRefused) as refused:
        RowRequests([folder]).answer("page", {"folder": "scored", "filter": "age > 1"}, stop)
    assert refused.value.code == "canceled"


def test_a_request_that_takes_too_long_is_refused(folder: Path) -> None:
    with pytest.raises(RowsRefused, match="ask about fewer rows") as refused:
        RowRequests([folder]).answer("summary", {"folder": "scored"}, Stop(-1))
    assert refused.value.code == "deadline_exceeded"


HOSTILE = (
    *("<img src=x onerror=alert(1)>", "a`b", "and", "name with spaces", "\u202ertl", "🧪", "x" * 3000),
    *("__proto__", "row"),
)


def test_hostile_column_names_are_filtered_sorted_and_told(copied: Path) -> None:
    drawn = random.Random(1)
    for part in copied.glob("part-*.parquet"):
        table = pq.read_table(part)
        for name in HOSTILE:
            table = table.append_column(name, pa.array([drawn.randrange(100) for _ in range(table.num_rows)]))
        pq.write_table(table, part)
    rows = read(copied)
    for name in HOSTILE:
        quoted = "`" + name.replace("`", "``") + "`"
        told = ask(copied, "page", filter=f"{quoted} > 50", sort=name, descending=True)
        assert told["total"] == sum(row[name] > 50 for row in rows)
        assert told["rows"][0]["cells"][name] == max(row[name] for row in rows)
        assert ask(copied, "slices", column=name)["slices"]
    assert set(HOSTILE) <= set(ask(copied, "row", row="0-0")["cells"])
