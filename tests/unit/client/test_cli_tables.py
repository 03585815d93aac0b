"""The command line asked about rows of tables."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
from dataclasses import replace

import pytest
from google.protobuf.struct_pb2 import NULL_VALUE

from explicate.cli import main
from explicate.errors import InvalidArgument
from explicate.model_info import Column
from explicate.reading.cells import cell_value
from explicate.v1 import model_service_pb2 as model_pb
from explicate.v1 import table_pb2 as table_pb
from support.canned.canned_tables import TARGET
from support.command_line import COLOUR, documents, in_terminal

CREDIT = ("--model", "credit")
ROW = "age=34,income=,job=clerk,owner=yes"


def lines_of(out: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out)))


def sent_rows(server) -> list[dict[str, table_pb.Cell]]:
    return [dict(item.tabular.cells) for item in server.requests[-1].inputs]


@pytest.fixture
def file(tmp_path):
    """`file("a,b\\n1,2\\n")` is the name of a file with that in it."""

    def write(content: str | bytes) -> str:
        path = tmp_path / "rows"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


class TestReading:
    def test_cells_are_typed_by_the_columns_of_the_model(self, explicate, server, file):
        name = file("\ufeffowner,age,income,job\r\nTRUE,34,,clerk\r\n\r\nno,9.9e1,-.5,007\r\n")
        code, out, err = explicate("predict", *CREDIT, "--csv", name)
        assert (code, err, len(documents(out))) == (0, "", 2)
        missing = table_pb.Cell(missing=NULL_VALUE)
        true, false = (table_pb.Cell(category=name) for name in ("true", "false"))
        first, second = sent_rows(server)
        assert first == {
            "owner": true,
            "age": table_pb.Cell(number=34),
            "income": missing,
            "job": table_pb.Cell(category="clerk"),
        }
        assert second == {
            "owner": false,
            "age": table_pb.Cell(number=99),
            "income": table_pb.Cell(number=-0.5),
            "job": table_pb.Cell(category="007"),
        }

    def test_json_lines_are_rows_and_so_are_held_out_ones(self, explicate, server, file):
        row = {"age": 34, "income": None, "job": 7, "owner": True}
        name = file(f"{json.dumps(row)}\n\n{json.dumps({'row': row, 'label': 'good'})}\n")
        code, out, _ = explicate("predict", *CREDIT, "--jsonl", name)
        assert code == 0
        assert [document["input"] for document in documents(out)] == [1, 3]
        first, second = sent_rows(server)
        assert first == second
        assert (first["income"], first["job"]) == (table_pb.Cell(missing=NULL_VALUE), table_pb.Cell(category="7"))

    @pytest.mark.parametrize(
        "row",
        [
            ROW,
            " owner = yes, job = clerk, age = 34, income = ",
            '"job=clerk","age=34",income=,owner=yes',
            '{"age": 34, "income": null, "job": "clerk", "owner": true}',
        ],
    )
    def test_a_row_may_be_written_in_several_ways(self, explicate, row):
        _, out, _ = explicate("predict", *CREDIT, "--row", row)
        assert documents(out)[0]["row"] == {"age": 34, "income": None, "job": "clerk", "owner": True}

    def test_a_value_with_a_comma_is_quoted(self, explicate):
        _, out, _ = explicate("predict", *CREDIT, "--row", '"job=clerk, senior",age=34,income=,owner=yes')
        assert documents(out)[0]["row"]["job"] == "clerk, senior"

    def test_rows_come_from_stdin(self, explicate, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.StringIO("age,income,job,owner\n34,1,clerk,true\n"))
        code, out, _ = explicate("predict", *CREDIT, "--csv", "-")
        assert (code, len(documents(out))) == (0, 1)

    def test_columns_are_those_of_the_version_with_the_label(self, explicate, server):
        explicate("predict", *CREDIT, "--label", "canary", "--row", ROW)
        explicate("predict", *CREDIT, "--version", "5", "--row", ROW)
        asked = [request for request in server.requests if isinstance(request, model_pb.GetModelRequest)]
        assert [(request.version, request.label) for request in asked] == [(0, "canary"), (5, "")]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("age,income,job\n1,2,x\n", "lacks the column owner"),
            ("age,job\n1,2\n", "lacks the columns income, owner"),
            ("", "lacks the columns age, income, job, owner"),
            ("age,income,job,owner,age\n", "has the column age twice"),
            ("Age,income,job,owner\n", "lacks the column age and has the column Age, which the model does not"),
            ('age,income,job,owner\n1,2,"x,3\n', "is not CSV: unexpected end of data in line 2"),
            (b'age,income,job,owner\n1,2,\x00x\n"', "is not CSV"),
        ],
    )
    def test_a_file_that_does_not_fit_is_told_in_one_sentence(self, explicate, server, file, content, message):
        code, out, err = explicate("predict", *CREDIT, "--csv", file(content))
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1

    def test_of_many_wrong_columns_a_few_are_named(self, explicate, file):
        header = ["income", "job", "owner", *map(str, range(99))]
        _, _, err = explicate("predict", *CREDIT, "--csv", file(",".join(header)))
        assert "has the columns 0, 1, 2, 3, 4, 5, 6, 7 and 91 more, which the model does not read" in err

    @pytest.mark.parametrize(
        "content",
        [
            "customer_id,age,income,job,owner,label\n7,34,,clerk,true,good\n",
            " age , income,job,owner ,customer_id,label\n34,,clerk,true,7,good\n",
            "age;income;job;owner;customer_id;label\r\n34;;clerk;true;7;good\r\n",
            "age\tincome\tjob\towner\tcustomer_id\tlabel\n34\t\tclerk\ttrue\t7\tgood\n",
            "# made by hand\nage,income,job,owner,customer_id,label,\n34,,clerk,true,7,good,\n",
            "age,income,job,owner,customer_id,label,label\n34,,clerk,true,7,good,good\n",
            "customer_id,age,income,job,owner,label\n7,34,,clerk,true,good\n".encode("utf-16"),
            gzip.compress(b"customer_id,age,income,job,owner,label\n7,34,,clerk,true,good\n", mtime=0),
            "customer_id,age,income,job,owner,label\n7,34,,clerk,true,gut für\n".encode("cp1252"),
        ],
        ids=["ids", "spaces", "semicolons", "tabs", "comment", "label-twice", "utf-16", "gzip", "windows-1252"],
    )
    @pytest.mark.parametrize("command", ["predict", "explain"])
    def test_the_training_file_is_taken_whatever_its_separator_and_encoding(
        self, explicate, server, file, content, command
    ):
        code, _, err = explicate(command, *CREDIT, "--csv", file(content))
        assert code == 0
        *others, note = err.splitlines()
        assert note.startswith("explicate: note: the columns ")
        assert note.endswith(" left out: the model does not read them")
        assert {"customer_id", "label"} <= set(re.split(r"[ ,]+", note))
        assert len(others) == (isinstance(content, bytes) and b"\xfc" in content)
        request = server.requests[-1]
        (asked,) = request.inputs if command == "predict" else [request.spec.input]
        assert dict(asked.tabular.cells) == {
            "age": table_pb.Cell(number=34),
            "income": table_pb.Cell(missing=NULL_VALUE),
            "job": table_pb.Cell(category="clerk"),
            "owner": table_pb.Cell(category="true"),
        }

    def test_missing_file_is_usage(self, explicate):
        code, _, err = explicate("explain", *CREDIT, "--jsonl", "/no/such/file")
        assert (code, err) == (2, "explicate: cannot read /no/such/file: No such file or directory\n")

    @pytest.mark.parametrize("given", [("x",), ("--file", "b"), ("--jsonl", "b"), ("--csv", "b")])
    def test_input_comes_from_one_place(self, explicate, server, given):
        code, _, err = explicate("predict", *CREDIT, "--row", ROW, *given)
        assert (code, server.requests) == (2, [])
        assert "give texts as arguments" in err
        assert "--csv FILE" in err


NUMBER = Column("age", "number", (), "", False)
BOOLEAN = Column("owner", "boolean", ("false", "true"), "", False)
CATEGORY = Column("job", "category", ("clerk", "driver"), "", False)


class TestCellValues:
    @pytest.mark.parametrize(
        ("written", "column", "value"),
        [
            ("34", NUMBER, 34),
            (" -1.5e3 ", NUMBER, -1500.0),
            (34, NUMBER, 34),
            ("", NUMBER, None),
            (" ", CATEGORY, None),
            (None, BOOLEAN, None),
            ("clerk", CATEGORY, "clerk"),
            (" clerk", CATEGORY, " clerk"),
            (7, CATEGORY, "7"),
            (True, CATEGORY, "true"),
            ("YES", BOOLEAN, True),
            ("0", BOOLEAN, False),
            (False, BOOLEAN, False),
            # The server knows how the training file writes numbers and dates, and which words mean missing.
            ("1,5", NUMBER, "1,5"),
            (" nan ", NUMBER, "nan"),
            ("1_000", NUMBER, "1_000"),
            ("007", NUMBER, "007"),
            ("1.234", replace(NUMBER, written="1.234,5"), "1.234"),
            (1.5, replace(NUMBER, written="1.234,5"), 1.5),
            ("05.01.2020", replace(NUMBER, type="date", written="31.12.2020"), "05.01.2020"),
            ("NA", replace(BOOLEAN, missing_words=("NA", "-")), None),
        ],
    )
    def test_what_is_written_becomes_the_value(self, written, column, value):
        read = cell_value(written, column)
        assert read == value
        assert type(read) is type(value)

    @pytest.mark.parametrize(
        ("written", "column", "message"),
        [
            ("x" * 99, BOOLEAN, f"column owner: '{'x' * 38}… is not true or false"),
            (True, NUMBER, "column age: True is not a number"),
            ("maybe", BOOLEAN, "column owner: 'maybe' is not true or false"),
            ([1], CATEGORY, "column job: [1] is not a value"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, written, column, message):
        with pytest.raises(InvalidArgument) as refused:
            cell_value(written, column)
        assert refused.value.violations[0][1].startswith(message)


class TestPredict:
    def test_text_is_a_table_with_the_rows(self, explicate):
        code, out, err = explicate(
            "predict", "--format", "text", *CREDIT, "--row", ROW, "--row", ROW.replace("34", "60")
        )
        assert (code, err) == (0, "")
        assert [line.split(maxsplit=2) for line in out.splitlines()] == [
            ["LABEL", "PROBABILITY", "ROW"],
            ["good", "0.660", "age=34, income=, job=clerk, owner=true"],
            ["bad", "0.600", "age=60, income=, job=clerk, owner=true"],
        ]

    def test_regression_is_a_table_of_values(self, explicate):
        _, out, _ = explicate("predict", "--format", "text", "--model", "progression", "--row", ROW)
        assert out.splitlines() == ["VALUE  ROW", "340.0  age=34, income=, job=clerk, owner=true"]

    def test_json_has_the_row_and_what_its_kind_has(self, explicate):
        _, out, _ = explicate("predict", "--model", "progression", "--row", ROW.replace("clerk", "baker"))
        (document,) = documents(out)
        assert document["row"] == {"age": 34, "income": None, "job": "baker", "owner": True}
        assert document["prediction"] == {"value": 340.0, "unknown_category_columns": ["job"]}

    def test_csv_has_the_columns_of_the_table(self, explicate):
        _, out, _ = explicate("predict", "--format", "csv", *CREDIT, "--row", ROW.replace("clerk", "baker"))
        assert out.splitlines() == [
            "input,age,income,job,owner,label,probability,unknown_category_columns,error",
            f"1,34,,baker,true,good,{1 - 0.34},job,",
        ]

    def test_csv_of_a_regression_has_its_value(self, explicate):
        (line,) = lines_of(explicate("predict", "--format", "csv", "--model", "progression", "--row", ROW)[1])
        assert (line["value"], line["unknown_category_columns"], "label" in line) == ("340.0", "", False)

    @pytest.mark.parametrize("output_format", ["text", "json", "csv"])
    def test_bad_rows_are_named_and_the_others_answered(self, explicate, server, file, output_format):
        rows = "age,income,job,owner\n34,007,clerk,x\n34,,clerk,1\n34,,clerk\n"
        code, out, err = explicate("predict", "--format", output_format, *CREDIT, "--csv", file(rows))
        assert code == 1
        assert err.splitlines() == [
            "explicate: row 1: column owner: 'x' is not true or false",
            "explicate: row 3: has 3 cells where the line of column names has 4",
        ]
        assert len(sent_rows(server)) == 1
        if output_format == "csv":
            assert [line["label"] for line in lines_of(out)] == ["", "good", ""]
            assert lines_of(out)[0]["owner"] == "x"
        if output_format == "json":
            assert ["error" in document for document in documents(out)] == [True, False, True]
            assert documents(out)[0]["row"]["income"] == "007"

    def test_what_the_server_refuses_names_the_column(self, explicate, server, monkeypatch):
        known = model_pb.GetModelResponse.FromString

        def with_a_category_for_age(serialized):  # as when a version has changed between the two calls
            response = known(serialized)
            response.bundle.tabular.columns[0].type = 2
            return response

        monkeypatch.setattr(model_pb.GetModelResponse, "FromString", with_a_category_for_age)
        code, _, err = explicate("predict", *CREDIT, "--row", ROW)
        assert (code, err) == (1, "explicate: row 1: column age: is not a number\n")

    def test_unknown_categories_are_told_beside_the_table(self, explicate):
        code, out, err = explicate("predict", "--format", "text", *CREDIT, "--row", ROW.replace("clerk", "baker"))
        assert code == 0
        note = "the model does not know the category in job: it answered as for any unknown one"
        assert err == f"explicate: row 1: {note}\n"
        assert "baker" in out


class TestExplain:
    def test_text_has_the_values_beside_the_attributions(self, explicate):
        code, out, err = explicate("explain", "--format", "text", *CREDIT, "--row", ROW)
        assert (code, err) == (0, "")
        assert out.startswith("good 0.660  (")
        assert "bad: probability 0.500 over the background → 0.480 for this row\n" in out
        assert ["job", "clerk"] in [line.split()[:2] for line in out.splitlines()]

    def test_json_has_the_row_and_the_columns(self, explicate):
        _, out, _ = explicate("explain", "--model", "grouped", "--row", ROW)
        (document,) = documents(out)
        assert document["row"] == {"age": 34, "income": None, "job": "clerk", "owner": True}
        assert document["explanation"]["features"] == [
            {"column": "means", "values": {"age": 34.0, "income": None}},
            {"column": "job", "values": {"job": "clerk"}},
            {"column": "owner", "values": {"owner": "true"}},
        ]
        assert "text" not in document

    def test_csv_has_the_value_of_each_column(self, explicate):
        row = ROW.replace("clerk", "baker")
        lines = lines_of(explicate("explain", "--format", "csv", "--model", "progression", "--row", row)[1])
        assert [(line["feature"], line["feature_value"], line["value"]) for line in lines] == [
            ("age", "34.0", "10.0"),
            ("income", "", "-20.0"),
            ("job", "baker", "30.0"),
            ("owner", "true", "-40.0"),
        ]
        assert {(line["prediction"], line["class"], line["unknown_category_columns"]) for line in lines} == {
            ("340.0", TARGET, "job")
        }

    def test_csv_has_all_values_of_a_group(self, explicate):
        first, *_ = lines_of(explicate("explain", "--format", "csv", "--model", "grouped", "--row", ROW)[1])
        assert (first["feature"], json.loads(first["feature_value"])) == ("means", {"age": 34, "income": None})

    def test_bad_rows_are_named_and_the_others_explained(self, explicate):
        code, out, err = explicate("explain", *CREDIT, "--row", "age=34", "--row", ROW, "--row", "age")
        assert code == 1
        assert ["error" in document for document in documents(out)] == [True, False, True]
        assert err.splitlines() == [
            "explicate: row 1: lacks the columns income, job, owner",
            "explicate: row 3: has 'age', which is not of the form column=value",
        ]

    def test_terminal_has_columns_values_and_bars(self, server):
        code, written = in_terminal(
            "explain", "--server", server.target, *CREDIT, "--row", ROW.replace("clerk", "\x1b[31m")
        )
        assert code == 0
        assert COLOUR.search(written)
        assert "\x1b[31m" not in written
        assert all(part in written for part in ("column", "adds", "missing", "●", "[31m"))


class TestModels:
    def test_columns_are_shown_with_their_types(self, explicate):
        lines = explicate("models", "show", "--format", "text", "grouped")[1].splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("columns"))
        assert [line.removeprefix("columns").strip() for line in lines[at : at + 5]] == [
            "age     number; explained with the group means",
            "income  number; explained with the group means; may be missing",
            "job     category: clerk, driver",
            "owner   boolean",
            "background        20 rows replace a column that is left out",
        ]
        assert not any("tokens" in line or "bytes" in line for line in lines)

    def test_regression_names_its_target(self, explicate):
        out = explicate("models", "show", "--format", "text", "progression")[1]
        assert f"predicts          {TARGET}\n" in out
        assert "classes" not in out

    def test_json_has_the_columns(self, explicate):
        (document,) = documents(explicate("models", "show", "credit")[1])
        assert document["columns"][2]["categories"] == ["clerk", "driver"]


def test_help_tells_of_rows(capsys):
    for command in ("predict", "explain"):
        with pytest.raises(SystemExit):
            main.main([command, "--help"])
        shown = capsys.readouterr().out
        assert all(flag in shown for flag in ("--csv FILE", "--jsonl FILE", "--row ROW"))
