"""The command line asked about files as spreadsheets and scripts write them."""

from __future__ import annotations

import gzip
import io
import json
import sys

import pytest

from support.command_line import documents

CREDIT = ("--model", "credit")
PLAIN = "age,income,job,owner\n34,1.5,Bürokraft,true\n60,2,clerk,false\n"
ROWS = [
    {"age": 34, "income": 1.5, "job": "Bürokraft", "owner": True},
    {"age": 60, "income": 2, "job": "clerk", "owner": False},
]


def with_separator(separator: str) -> str:
    return PLAIN.replace(",", separator)


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        with_separator(";"),
        with_separator("\t"),
        with_separator("|"),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        with_separator("\t").encode("utf-16"),  # what Excel calls Unicode text
        PLAIN.encode("utf-32"),
        f"sep=;\n{with_separator(';')}",
        f"# by a tool\n\n{PLAIN}",
        f"#{PLAIN}",
        PLAIN.replace("age,income", " age , income"),
        PLAIN.replace(",", ", "),
        PLAIN.replace("true\n", "true,\n").replace("false\n", "false,,\n"),
        PLAIN.replace("\n", ",\n"),
        ",age,income,job,owner\n0,34,1.5,Bürokraft,true\n1,60,2,clerk,false\n",
        "Unnamed: 0,age,income,job,owner\n0,34,1.5,Bürokraft,true\n1,60,2,clerk,false\n",
        PLAIN.replace("\n", "\r\n") + "  \r\n\x1a",
        gzip.compress(PLAIN.encode(), mtime=0),
        gzip.compress(PLAIN.encode("utf-16"), mtime=0),
    ],
)
def test_a_csv_file_is_read_whatever_wrote_it(explicate, tmp_path, content):
    path = tmp_path / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, err = explicate("predict", *CREDIT, "--csv", str(path))
    assert (code, err) == (0, "")
    assert [document["row"] for document in documents(out)] == ROWS


def test_a_csv_file_that_is_not_utf_8_is_read_as_windows_1252_and_it_is_said(explicate, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(PLAIN.encode("cp1252"))
    code, out, err = explicate("predict", *CREDIT, "--csv", str(path))
    assert (code, err) == (0, f"explicate: note: {path} is not UTF-8: it is read as Windows-1252\n")
    assert [document["row"] for document in documents(out)] == ROWS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04", "it is a spreadsheet or an archive: save it as CSV, or unpack it"),
        (b"PAR1", "it is a Parquet file: give it with --file"),
        (b"ARROW1", "it is an Arrow file: give it with --file"),
        (PLAIN.encode("utf-16-le"), "it has zero bytes, as UTF-16 without a byte order mark has: save it as UTF-8"),
        (f'# a note\n{PLAIN}"1,2', "is not CSV: unexpected end of data in line 5"),
        (with_separator("~"), "lacks the columns age, income, job, owner and has the column age~income"),
    ],
)
def test_a_csv_file_that_cannot_be_read_is_one_sentence(explicate, tmp_path, content, message):
    path = tmp_path / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, _, err = explicate("predict", *CREDIT, "--csv", str(path))
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_line_that_does_not_fit_fails_alone_whatever_is_left_out(explicate, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(",age,income,job,owner\n0,34,1,clerk,true\n34,1,clerk,true\n2,60,2,clerk,false,9\n")
    code, out, err = explicate("predict", *CREDIT, "--csv", str(path))
    assert (code, len(documents(out))) == (1, 3)
    assert "row 2: has 4 cells where the line of column names has 5" in err
    assert "row 3: has 6 cells where the line of column names has 5" in err


TEXTS = ["größer", "味道很好", "a\u2028b"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_texts_are_read_by_the_mark_of_their_file(explicate, server, tmp_path, monkeypatch, encoding, end):
    content = end.join([*TEXTS, ""]).encode(encoding)
    (tmp_path / "texts.txt").write_bytes(content)
    _, out, err = explicate("predict", "--file", str(tmp_path / "texts.txt"))
    assert (err, [document["text"] for document in documents(out)]) == ("", TEXTS)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    _, out, err = explicate("predict", "-")
    assert (err, [document["text"] for document in documents(out)]) == ("", TEXTS)
    lines = end.join([json.dumps({"text": text}, ensure_ascii=False) for text in TEXTS])
    (tmp_path / "texts.jsonl").write_bytes(lines.encode(encoding))
    _, out, err = explicate("predict", "--jsonl", str(tmp_path / "texts.jsonl"))
    assert (err, [document["text"] for document in documents(out)]) == ("", TEXTS)


def test_texts_in_a_compressed_file_are_refused(explicate, tmp_path):
    (tmp_path / "texts.gz").write_bytes(gzip.compress(b"soup"))
    code, _, err = explicate("predict", "--file", str(tmp_path / "texts.gz"))
    assert (code, err) == (2, "explicate: cannot read the texts: it is compressed: unpack it first\n")
