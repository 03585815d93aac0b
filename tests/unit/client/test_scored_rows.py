"""Rows of files as the scorer reads them: formats, order, resuming, types, and what is refused before any work."""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from explicate.errors import InvalidArgument, UsageError
from explicate.model_info import Column, ModelDescription
from explicate.reading.cells import cell_value
from explicate.scoring.interfaces import InputOptions, RowBatch
from explicate.scoring.rows.source import FileSource, known_files, open_source
from support.scored_models import ANIMALS, CREDIT, PAIRS, REVIEWS, described

WIDE = 2500  # rows: more than two steps of reading


def opened(
    *paths: Path, model: ModelDescription = CREDIT, keep: tuple[str, ...] | None = None, **columns: str
) -> FileSource:
    return open_source(InputOptions(tuple(map(str, paths)), columns, keep), model)


def batches(source: FileSource, *ranges: range, rows: int = 100_000) -> list[RowBatch]:
    return list(source.batches(ranges or [range(source.rows)], batch_rows=rows))


def values(source: FileSource) -> list[object]:
    return [batch.inputs.value(place) for batch in batches(source) for place in range(len(batch))]


def numbered(rows: int, first: int = 0) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(range(first, first + rows), pa.int64()),
            "age": pa.array([(i * 7) % 90 for i in range(first, first + rows)], pa.float64()),
            "income": pa.array([None if i % 5 == 0 else i / 2 for i in range(first, first + rows)]),
            "job": pa.array([("clerk", "driver", None)[i % 3] for i in range(first, first + rows)]),
            "owner": pa.array([i % 2 == 0 for i in range(first, first + rows)]),
        }
    )


def written(table: pa.Table, path: Path) -> Path:
    """The table in the format that the name says."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=300)
    elif path.suffix in (".feather", ".arrows"):
        form = pa.ipc.new_file if path.suffix == ".feather" else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as file, form(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=300)
    elif path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in table.to_pylist()))
    else:
        rows = [table.column_names, *([_cell(v) for v in row.values()] for row in table.to_pylist())]
        text = "".join(",".join(row) + "\r\n" for row in rows)
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def _cell(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("name", ["a.parquet", "a.feather", "a.arrows", "a.jsonl", "a.csv", "a.csv.gz"])
class TestFormats:
    """Whatever the format, the rows are the same."""

    def test_every_row_comes_once_with_what_the_model_reads(self, name, tmp_path):
        table = numbered(WIDE)
        source = opened(written(table, tmp_path / name))
        assert [file.rows for file in source.files] == [WIDE]
        expected = [{key: row[key] for key in ("age", "income", "job", "owner")} for row in table.to_pylist()]
        assert values(source) == expected
        packed = batches(source)[0].inputs.columns([3, 5, 2499])
        assert packed == {key: [expected[3][key], expected[5][key], expected[2499][key]] for key in expected[0]}

    def test_what_goes_along_has_its_type(self, name, tmp_path):
        source = opened(written(numbered(WIDE), tmp_path / name), keep=("income", "id"))
        assert source.kept == pa.schema([("income", pa.float64()), ("id", pa.int64())])
        kept = batches(source)[0].kept
        assert kept.schema == source.kept
        assert kept.column("id").to_pylist() == list(range(WIDE))
        assert kept.column("income").to_pylist()[:6] == [None, 0.5, 1.0, 1.5, 2.0, None]

    def test_ranges_give_the_same_rows_as_all_at_once(self, name, tmp_path):
        """A resumed run takes up parts in the middle; so does each of several shards."""
        sizes = {0: 700, 700: 1, 701: 900}
        files = [written(numbered(rows, first), tmp_path / f"{first}{name}") for first, rows in sizes.items()]
        source = opened(*files)
        wanted = [range(3, 4), range(10, 650), range(690, 710), range(1200, 1601)]
        got = batches(source, *wanted, rows=130)
        starts = [start for each in wanted for start in range(each.start, each.stop, 130)]
        assert [batch.start for batch in got] == starts
        assert all(len(batch) == len(batch.inputs) for batch in got)
        ids = [number for batch in got for number in batch.kept.column("id").to_pylist()]
        assert ids == [number for each in wanted for number in each]
        ages = [batch.inputs.value(place)["age"] for batch in got for place in range(len(batch))]
        assert ages == [(number * 7) % 90 for number in ids]

    def test_what_an_earlier_run_found_is_not_looked_for_again(self, name, tmp_path, monkeypatch):
        path = written(numbered(WIDE), tmp_path / name)
        first = opened(path)
        first.keep_index(tmp_path)
        form = type(first._form)
        monkeypatch.setattr(form, "look", lambda *_: pytest.fail("the file was looked through again"))
        again = open_source(InputOptions((str(path),), {}), CREDIT, known=known_files(tmp_path))
        assert (again.files, again.kept) == (first.files, first.kept)
        assert values(again) == values(first)

    def test_a_file_that_was_changed_has_another_fingerprint(self, name, tmp_path):
        path = written(numbered(50), tmp_path / name)
        before = opened(path).files[0]
        written(numbered(50, first=1), path)
        assert opened(path).files[0].sha256 != before.sha256

    def test_a_file_that_is_changed_between_two_ranges_ends_the_work(self, name, tmp_path):
        path = written(numbered(WIDE), tmp_path / name)
        source = opened(path)
        found = source.batches([range(100), range(2000, 2100)], batch_rows=100)
        assert next(found).start == 0
        written(numbered(WIDE, first=5), path)
        with pytest.raises(UsageError, match=r"a\.\S+ was changed while it was read"):
            next(found)

    def test_a_resume_near_the_end_reads_only_the_end(self, name, tmp_path, monkeypatch):
        source = opened(written(numbered(WIDE), tmp_path / name))
        form, seen = source._form, []
        read = form.read
        monkeypatch.setattr(
            type(form), "read", lambda self, file, start, columns: seen.append(start) or read(file, start, columns)
        )
        (batch,) = batches(source, range(2490, 2500))
        assert batch.kept.column("id").to_pylist() == list(range(2490, 2500))
        starts = {"a.parquet": 2400, "a.feather": 2400, "a.arrows": 0}  # the last group of rows; a stream's only start
        assert seen == [starts.get(name, 2048)]  # the last mark

    def test_nothing_need_go_along(self, name, tmp_path):
        source = opened(written(numbered(20), tmp_path / name), keep=())
        (batch,) = batches(source)
        assert (len(batch), batch.kept.num_columns) == (20, 0)


class TestFinding:
    def test_a_folder_and_a_glob_give_their_files_by_name(self, tmp_path):
        for name, first in (("b.csv", 10), ("a.csv", 0), ("_skip.csv", 90), (".hidden.csv", 90)):
            written(numbered(10, first), tmp_path / name)
        (tmp_path / "notes.md").write_text("not rows")
        for given in (tmp_path, tmp_path / "*.csv"):
            source = opened(given)
            assert [Path(file.path).name for file in source.files] == ["a.csv", "b.csv"]
            assert batches(source)[0].kept.column("id").to_pylist() == list(range(20))

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ("empty", "there is no file of rows in the folder .*empty"),
            ("none*.csv", "no file matches .*none"),
            ("missing.csv", "cannot read .*missing.csv: No such file"),
            ("-", "stdin"),
        ],
    )
    def test_inputs_without_a_file_are_told(self, tmp_path, monkeypatch, given, message):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "empty").mkdir()
        with pytest.raises(UsageError, match=message):
            opened(Path(given))

    def test_a_file_is_not_scored_twice(self, tmp_path):
        path = written(numbered(3), tmp_path / "a.csv")
        with pytest.raises(UsageError, match="given twice"):
            opened(tmp_path, path)

    def test_files_of_two_formats_do_not_go_together(self, tmp_path):
        one, other = (written(numbered(3), tmp_path / name) for name in ("a.csv", "b.parquet"))
        with pytest.raises(UsageError, match=r"a\.csv is CSV and .*b\.parquet is Parquet"):
            opened(one, other)

    def test_an_unknown_suffix_is_known_by_what_is_in_the_file(self, tmp_path):
        for name in ("a.parquet", "a.jsonl", "a.csv"):
            path = written(numbered(3), tmp_path / name).rename(tmp_path / f"{name}.data")
            assert len(values(opened(path))) == 3


class TestBadFiles:
    """One sentence each, before any row is read."""

    def test_a_column_that_is_not_there(self, tmp_path):
        path = written(numbered(3).rename_columns(["id", "ages", "income", "job", "owner"]), tmp_path / "a.parquet")
        with pytest.raises(UsageError, match=r"lacks the column age \(did you mean ages\?\).*--column age=COLUMN"):
            opened(path)
        assert values(opened(path, age="ages"))[1]["age"] == 7

    def test_a_field_that_the_model_does_not_read(self, tmp_path):
        with pytest.raises(UsageError, match=r"the model does not read jobs .did you mean job"):
            opened(written(numbered(3), tmp_path / "a.csv"), jobs="job")

    def test_a_column_to_keep_that_is_not_there(self, tmp_path):
        with pytest.raises(UsageError, match=r"--keep Id: .*did you mean id"):
            opened(written(numbered(3), tmp_path / "a.csv"), keep=("Id",))

    @pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.jsonl"])
    def test_an_empty_file(self, tmp_path, name):
        (tmp_path / name).touch()
        with pytest.raises(UsageError, match=r"a\.\w+ is empty"):
            opened(tmp_path / name)

    @pytest.mark.parametrize("left", [0.5, 0.95])
    def test_a_parquet_file_that_is_cut_short(self, tmp_path, left):
        path = written(numbered(WIDE), tmp_path / "a.parquet")
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * left)])
        with pytest.raises(UsageError, match=r"cannot read .*a\.parquet: the file is cut short, or still"):
            opened(path)

    def test_a_compressed_file_that_is_cut_short(self, tmp_path):
        path = written(numbered(WIDE), tmp_path / "a.csv.gz")
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(UsageError, match=r"cannot read .*a\.csv\.gz: Compressed file ended"):
            opened(path)

    @pytest.mark.parametrize("suffix", ["parquet", "csv"])
    def test_files_with_other_columns(self, tmp_path, suffix):
        one, other = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
        written(numbered(3), one)
        written(numbered(3).rename_columns(["key", "age", "income", "job", "owner"]), other)
        with pytest.raises(UsageError, match=r"a\.\w+ has the column id, which .*b\.\w+ does not have"):
            opened(one, other)

    def test_files_with_other_types(self, tmp_path):
        one = written(numbered(3), tmp_path / "a.parquet")
        table = numbered(3)
        other = written(table.set_column(0, "id", table["id"].cast(pa.string())), tmp_path / "b.parquet")
        with pytest.raises(UsageError, match=r"the column id holds int64 in .*a\.parquet and string in .*b\.parquet"):
            opened(one, other)

    def test_types_that_only_differ_in_how_they_are_stored_go_together(self, tmp_path):
        one = written(numbered(3), tmp_path / "a.parquet")
        table = numbered(3, first=3)
        stored = table.set_column(0, "id", table["id"].cast(pa.int32())).set_column(
            3, "job", table["job"].dictionary_encode()
        )
        source = opened(one, written(stored.set_column(2, "income", pa.nulls(3)), tmp_path / "b.parquet"))
        assert source.kept.field("id").type == pa.int64()
        assert batches(source)[0].kept.column("job").to_pylist() == ["clerk", "driver", None] * 2
        assert [row["income"] for row in values(source)] == [None, 0.5, 1.0, None, None, None]

    def test_csv_columns_are_typed_by_all_files(self, tmp_path):
        one, other = tmp_path / "a.csv", tmp_path / "b.csv"
        one.write_text("age,income,job,owner,code,note\n1,2,clerk,no,17,\n")
        other.write_text("age,income,job,owner,code,note\n1.5,2,clerk,no,017,\n")
        source = opened(one, other)
        kinds = {field.name: field.type for field in source.kept}
        assert kinds == {
            "age": pa.float64(), "income": pa.int64(), "job": pa.string(), "owner": pa.string(),
            "code": pa.string(), "note": pa.string(),
        }  # fmt: skip
        assert batches(source)[0].kept.column("code").to_pylist() == ["17", "017"]

    def test_a_column_twice(self, tmp_path):
        (tmp_path / "a.csv").write_text("age,income,job,owner,age\n1,2,clerk,no,1\n")
        with pytest.raises(UsageError, match=r"a\.csv has the column age twice"):
            opened(tmp_path / "a.csv")

    def test_a_quote_that_is_not_closed(self, tmp_path):
        (tmp_path / "a.csv").write_text('age,income,job,owner\n1,2,clerk,no\n1,2,"cle,no\n')
        with pytest.raises(UsageError, match=r"a\.csv is not CSV: unexpected end of data in line 3"):
            opened(tmp_path / "a.csv")


class TestStrangersCsv:
    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252"])
    def test_encodings_are_read_from_any_row_on(self, tmp_path, encoding):
        lines = ["age;income;job;owner;name\r\n", *(f"{i};;clerk;no;Zoë {i}\r\n" for i in range(2200))]
        text = "".join(lines)
        mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
        (tmp_path / "a.csv").write_bytes(mark + text.encode(encoding))
        source = opened(tmp_path / "a.csv")
        batch = batches(source, range(2100, 2103))[0]
        assert batch.kept.column("name").to_pylist() == ["Zoë 2100", "Zoë 2101", "Zoë 2102"]

    def test_line_ends_within_quotes_do_not_count_as_rows(self, tmp_path):
        rows = "".join(f'{i},1,"a ""clerk""\nof {i}\r\n",yes\n\n' for i in range(1500))
        (tmp_path / "a.csv").write_text(f"age,income,job,owner\n{rows}", newline="")
        source = opened(tmp_path / "a.csv")
        assert source.rows == 1500
        batch = batches(source, range(1400, 1401))[0]
        assert batch.inputs.value(0) == {"age": 1400, "income": 1, "job": 'a "clerk"\nof 1400\r\n', "owner": True}

    def test_a_ragged_line_is_a_refused_row(self, tmp_path):
        (tmp_path / "a.csv").write_text("age,income,job,owner\n1,2,clerk,no\n1,2\n1,2,clerk,no,9\n3,4,driver,yes,,\n")
        source = opened(tmp_path / "a.csv")
        (batch,) = batches(source)
        assert {place: refusal.message for place, refusal in batch.refused.items()} == {
            1: "the line has 2 cells where the line of column names has 4",
            2: "the line has 5 cells where the line of column names has 4",
        }
        assert batch.inputs.value(3)["job"] == "driver"

    def test_a_long_text_is_one_cell(self, tmp_path):
        (tmp_path / "a.csv").write_text(f"text\n{'word ' * 60_000}\n")
        (text,) = values(opened(tmp_path / "a.csv", model=REVIEWS))
        assert len(text) == 300_000

    def test_numbers_are_read_as_the_model_writes_them(self, tmp_path):
        model = described(
            "tabular-classification",
            columns=(
                Column("price", "number", (), "", may_be_missing=True, written="1.234,5", missing_words=("n/a",)),
                Column("day", "date", (), "", may_be_missing=True, written="31.12.2020"),
            ),
        )
        (tmp_path / "a.csv").write_text("price;day\n1.234,5;31.12.2020\nn/a;\n7;1.1.2021\n")
        assert values(opened(tmp_path / "a.csv", model=model)) == [
            {"price": "1.234,5", "day": "31.12.2020"},
            {"price": None, "day": None},
            {"price": "7", "day": "1.1.2021"},
        ]

    @pytest.mark.parametrize(
        "cells",
        [
            ("34", "-1.5", "1e3", "", "0", "-0.25E-2"),
            ("34", "+1.5", " 2 ", ".5", "5.", "NaN"),
            ("n/a", "1", "2", "3", "4", "5"),
        ],
    )
    def test_numbers_are_what_the_command_line_reads(self, tmp_path, cells):
        """Plain numbers are read all at once, others one by one; the values are the same."""
        column = Column("age", "number", (), "", may_be_missing=True, missing_words=("n/a",))
        (tmp_path / "a.csv").write_text("".join(f'"{cell}"\n' for cell in ("age", *cells)))
        got = [row["age"] for row in values(opened(tmp_path / "a.csv", model=described("tabular", columns=(column,))))]
        one_by_one = [cell_value(cell, column) for cell in cells]
        has_texts = any(isinstance(value, str) for value in one_by_one)
        assert got == [str(value) if has_texts and value is not None else value for value in one_by_one]

    def test_a_value_that_does_not_fit_refuses_its_rows_alone(self, tmp_path):
        (tmp_path / "a.csv").write_text("age,income,job,owner\n1,2,clerk,maybe\n1,2,clerk,no\n1,2,clerk,maybe\n")
        (batch,) = batches(opened(tmp_path / "a.csv"))
        assert sorted(batch.refused) == [0, 2]
        assert batch.refused[2].field == "owner"
        assert batch.refused[2].message == "column owner: 'maybe' is not true or false"


class TestTypes:
    """Columns of Parquet files, as far as pyarrow can write what others do."""

    @pytest.mark.parametrize(
        ("held", "column", "expected"),
        [
            (pa.array([1, None], pa.int32()), "age", [1.0, None]),
            (pa.array([1, 2], pa.uint8()), "age", [1.0, 2.0]),
            (pa.array([decimal.Decimal("1.50"), None], pa.decimal128(9, 2)), "age", [1.5, None]),
            (pa.array([1.5, float("nan")], pa.float32()), "age", [1.5, "nan"]),
            (pa.array([1, 7]), "job", ["1", "7"]),
            (pa.array([7.0, 1.5]), "job", ["7", "1.5"]),
            (pa.array([2**60 + 1, 7]), "job", [str(2**60 + 1), "7"]),
            (pa.array([decimal.Decimal("7.00"), decimal.Decimal("1.50")], pa.decimal128(9, 2)), "job", ["7", "1.50"]),
            (pa.array([True, None]), "job", ["true", None]),
            (pa.array([True, None]), "owner", [True, None]),
            (pa.array([1, 0]), "owner", [True, False]),
            (pa.array([1.0, 0.0]), "owner", [True, False]),
            (pa.array(["yes", "FALSE"]).dictionary_encode(), "owner", [True, False]),
            (pa.array(["clerk", None], pa.large_string()), "job", ["clerk", None]),
            (pa.array([dt.date(2020, 12, 31), None]), "job", ["2020-12-31", None]),
            (pa.nulls(2), "job", [None, None]),
        ],
        ids=str,
    )
    def test_values_become_what_the_column_takes(self, tmp_path, held, column, expected):
        table = numbered(2)
        path = written(table.set_column(table.column_names.index(column), column, held), tmp_path / "a.parquet")
        (batch,) = batches(opened(path))
        assert batch.refused == {}
        got = ["nan" if value != value else value for value in batch.inputs.columns([0, 1])[column]]
        assert got == expected
        assert ["nan" if (v := batch.inputs.value(i)[column]) != v else v for i in (0, 1)] == expected

    def test_moments_are_clock_times(self, tmp_path):
        moment = dt.datetime(2020, 12, 31, 23, 59, 1, tzinfo=dt.UTC)
        model = described("tabular-regression", columns=(Column("day", "date", (), "", may_be_missing=True),))
        for kind, expected in (
            (pa.timestamp("ns"), "2020-12-31T23:59:01"),
            (pa.timestamp("ms", "Europe/Paris"), "2021-01-01T00:59:01"),
            (pa.timestamp("s"), "2020-12-31T23:59:01"),
        ):
            path = tmp_path / "a.parquet"
            pq.write_table(pa.table({"day": pa.array([moment], pa.timestamp("us", "UTC")).cast(kind)}), path)
            assert values(opened(path, model=model)) == [{"day": expected}]

    def test_an_infinite_number_refuses_its_row(self, tmp_path):
        table = numbered(3).set_column(1, "age", pa.array([1.0, float("-inf"), None]))
        (batch,) = batches(opened(written(table, tmp_path / "a.parquet")))
        assert [(place, refusal.field) for place, refusal in batch.refused.items()] == [(1, "age")]

    @pytest.mark.parametrize(
        ("held", "column", "why"),
        [
            (pa.array([[1], [2]]), "age", "holds list.*where single values are wanted"),
            (pa.array([{"a": 1}, None]), "job", "holds struct.*where single values are wanted"),
            (pa.array([True, False]), "age", "holds bool, where numbers are wanted"),
            (pa.array([dt.date(2020, 1, 1)] * 2), "age", "holds date32.*where numbers are wanted"),
            (pa.array([b"a", b"b"]), "job", "holds binary, where numbers, texts"),
        ],
        ids=str,
    )
    def test_a_column_that_cannot_be_what_is_asked_for_is_told_at_once(self, tmp_path, held, column, why):
        table = numbered(2)
        path = written(table.set_column(table.column_names.index(column), column, held), tmp_path / "a.parquet")
        with pytest.raises(UsageError, match=rf"the column {column} of .*a\.parquet {why}"):
            opened(path)

    def test_a_nested_column_may_go_along(self, tmp_path):
        table = numbered(2).append_column("tags", pa.array([["a", "b"], None]))
        (batch,) = batches(opened(written(table, tmp_path / "a.parquet"), keep=("tags",)))
        assert batch.kept.column("tags").to_pylist() == [["a", "b"], None]


class TestJsonLines:
    def test_columns_of_several_types_go_along_as_json_and_are_read_as_they_are(self, tmp_path):
        rows = [
            {"age": 1, "income": 2**70, "job": "7", "owner": True, "tags": ["a"], "n": 1},
            {"age": None, "income": None, "job": 7, "owner": "no", "n": 1.5},
            {"row": {"age": 3, "income": 4, "job": None, "owner": None}, "label": "good"},
        ]
        (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n\n" for row in rows))
        source = opened(tmp_path / "a.jsonl")
        assert values(source) == [
            {"age": 1.0, "income": float(2**70), "job": "7", "owner": True},
            {"age": None, "income": None, "job": "7", "owner": False},
            {"age": 3.0, "income": 4.0, "job": None, "owner": None},
        ]
        kept = batches(source)[0].kept
        assert kept.column("tags").to_pylist() == ['["a"]', None, None]
        assert kept.column("job").to_pylist() == ['"7"', "7", None]
        assert kept.column("n").to_pylist() == [1.0, 1.5, None]
        assert kept.column("label").to_pylist() == [None, None, "good"]

    def test_a_line_that_is_not_an_object_is_a_refused_row(self, tmp_path):
        (tmp_path / "a.jsonl").write_text('{"text": "one"}\n[1]\n{"text": "two"\n{"text": 3}\n{}\n{"text": "six"}\n')
        (batch,) = batches(opened(tmp_path / "a.jsonl", model=REVIEWS))
        assert batch.refused[1].message == "the line is not a JSON object"
        assert batch.refused[2].message.startswith("the line is not JSON: ")
        assert batch.refused[4].message == "column text: there is no text"
        assert batch.inputs.value(5) == "six"

    def test_a_text_that_is_not_unicode_is_not_lost(self, tmp_path):
        (tmp_path / "a.jsonl").write_text('{"text": "a\\ud800"}\n{"text": "b"}\n')
        source = opened(tmp_path / "a.jsonl", model=REVIEWS)
        (batch,) = batches(source)
        assert batch.inputs.value(1) == "b"
        assert batch.kept.column("text").to_pylist() == ['"a\\ud800"', '"b"']


class TestTexts:
    def test_texts_and_pairs_come_from_their_columns(self, tmp_path):
        table = pa.table({"review": ["Great soup!", "", None], "reply": ["Thanks.", "x", "y"]})
        path = written(table, tmp_path / "a.parquet")
        (batch,) = batches(opened(path, model=REVIEWS, text="review"))
        assert batch.inputs.value(0) == "Great soup!"
        assert batch.inputs.columns([0]) is None
        assert sorted(batch.refused) == [1, 2]
        (batch,) = batches(opened(path, model=PAIRS, text="review", text_pair="reply"))
        assert batch.inputs.value(0) == ("Great soup!", "Thanks.")

    def test_numbers_are_not_texts(self, tmp_path):
        with pytest.raises(UsageError, match=r"the column id of .* holds int64, where texts are wanted"):
            opened(written(numbered(3), tmp_path / "a.parquet"), model=REVIEWS, text="id")


class TestImages:
    @pytest.fixture
    def folder(self, tmp_path):
        folder = tmp_path / "in"
        (folder / "pictures").mkdir(parents=True)
        (folder / "pictures" / "cat.png").write_bytes(b"a picture")
        (folder / "large.png").write_bytes(b"x" * 1001)
        (tmp_path / "secret.png").write_bytes(b"secret")
        (folder / "link.png").symlink_to(tmp_path / "secret.png")
        (folder / "linked").symlink_to(tmp_path)
        os.mkfifo(folder / "pipe.png")
        return folder

    @pytest.mark.parametrize(
        ("path", "why"),
        [
            ("../secret.png", "does not lie in the folder of the input"),
            ("{outside}/secret.png", "does not lie in the folder"),
            ("link.png", "leads through a link"),
            ("linked/secret.png", "leads through a link"),
            ("pipe.png", "is not a file"),
            ("pictures", "is not a file"),
            ("missing.png", "No such file"),
            ("large.png", "larger than the limit of 1,000 bytes"),
            ("a\0b.png", "does not lie in the folder|cannot read"),
        ],
    )
    def test_a_path_that_is_not_an_image_of_the_folder_is_refused(self, folder, path, why):
        rows = [{"image": "pictures/cat.png"}, {"image": path.format(outside=folder.parent)}]
        (folder / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        (batch,) = batches(opened(folder / "a.jsonl", model=ANIMALS))
        assert batch.inputs.value(0).content == b"a picture"
        with pytest.raises(InvalidArgument, match=f"column image: .*({why})"):
            batch.inputs.value(1)

    def test_paths_begin_at_the_folder_of_their_own_file(self, folder, tmp_path):
        (tmp_path / "cat.png").write_bytes(b"another")
        one, other = folder / "a.csv", tmp_path / "b.csv"
        one.write_text("picture\npictures/cat.png\n")
        other.write_text("picture\ncat.png\n")
        (batch,) = batches(opened(one, other, model=ANIMALS, image="picture"))
        assert [batch.inputs.value(place).content for place in (0, 1)] == [b"a picture", b"another"]


def test_reading_does_not_hold_a_file_in_memory(tmp_path):
    """Peak of Arrow's memory while 40 MB of rows in one group are read; the row group alone would be more."""
    path = tmp_path / "a.parquet"
    size = 1000
    schema = pa.schema([("text", pa.string())])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        writer.write_table(pa.table({"text": [f"{i:06d}" * size for i in range(7000)]}), row_group_size=7000)
    source = opened(path, model=REVIEWS)
    before, peak, rows = pa.total_allocated_bytes(), 0, 0
    for batch in source.batches([range(7000)], batch_rows=500):
        peak = max(peak, pa.total_allocated_bytes() - before)
        rows += len(batch)
    assert rows == 7000
    assert peak < path.stat().st_size / 2
