"""The command line asked about Parquet and Arrow files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet
import pytest

from support.canned.canned_images import picture
from support.command_line import documents

CREDIT = ("--model", "credit")
ROWS = [
    {"age": 34, "income": 1.5, "job": "Bürokraft", "owner": True},
    {"age": 60, "income": None, "job": "clerk", "owner": False},
]


def write_stream(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)


def write_file(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)


WRITERS = {
    "rows.parquet": parquet.write_table,
    "rows.feather": feather.write_feather,
    "rows.arrow": write_file,
    "rows.arrows": write_stream,
    "stream.arrow": write_stream,
    "without-a-suffix": parquet.write_table,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("command", ["predict", "explain"])
def test_rows_are_read_from_their_columns(explicate, tmp_path, name, command):
    table = pa.Table.from_pylist([{**row, "other": 1} for row in ROWS])
    table = table.set_column(2, "job", table["job"].dictionary_encode())  # as pandas writes categories
    WRITERS[name](table, tmp_path / name)
    code, out, err = explicate(command, *CREDIT, "--file", str(tmp_path / name), "-o", "json")
    assert (code, err) == (0, "")
    told = documents(out)
    assert [document["input"] for document in told] == [1, 2]
    if command == "predict":
        assert [document["row"] for document in told] == ROWS


@pytest.mark.parametrize("name", ["texts.parquet", "texts.arrow"])
def test_texts_are_read_from_the_column_that_is_named(explicate, tmp_path, name):
    table = pa.table({"review": ["great soup", None, "größer 🍜"]})
    (parquet.write_table if name.endswith("parquet") else write_file)(table, tmp_path / name)
    code, out, err = explicate("predict", "--file", str(tmp_path / name), "--column", "text=review")
    assert (code, err) == (1, "explicate: text 2: column review: there is no text\n")
    assert [document["text"] for document in documents(out)] == ["great soup", "", "größer 🍜"]
    assert documents(out)[1]["error"]["message"] == "column review: there is no text"


def test_a_column_that_is_not_there_is_told_with_the_nearest(explicate, server, tmp_path):
    parquet.write_table(pa.table({"texts": ["soup"]}), tmp_path / "a.parquet")
    code, out, err = explicate("predict", "--file", str(tmp_path / "a.parquet"))
    assert (code, out) == (2, "")
    assert "lacks the column text (did you mean texts?)" in err


def test_images_are_read_from_bytes_and_from_paths(explicate, tmp_path):
    (tmp_path / "cat.png").write_bytes(picture(colour="red"))
    parquet.write_table(pa.table({"image": [picture(colour="red")]}), tmp_path / "bytes.parquet")
    parquet.write_table(pa.table({"image": ["cat.png", "../cat.png"]}), tmp_path / "paths.parquet")
    code, out, _ = explicate("predict", "--model", "animals", "--file", str(tmp_path / "bytes.parquet"))
    assert (code, len(documents(out))) == (0, 1)
    code, out, err = explicate("predict", "--model", "animals", "--file", str(tmp_path / "paths.parquet"))
    assert (code, [list(document) for document in documents(out)][1]) == (1, ["input", "image", "error"])
    assert "does not lie in the folder" in err


@pytest.mark.parametrize("name", ["rows.parquet", "rows.feather"])
@pytest.mark.parametrize("kept", [0, 8, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_one_sentence(explicate, tmp_path, name, kept):
    whole = tmp_path / f"whole-{name}"
    WRITERS[name](pa.Table.from_pylist(ROWS * 50), whole)
    content = whole.read_bytes()
    (tmp_path / name).write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    code, out, err = explicate("predict", *CREDIT, "--file", str(tmp_path / name))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert str(tmp_path / name) in err


def test_a_feather_file_of_version_1_is_told(explicate, tmp_path):
    (tmp_path / "old.feather").write_bytes(b"FEA1" + bytes(64) + b"FEA1")  # pyarrow does not write them any more
    code, _, err = explicate("predict", *CREDIT, "--file", str(tmp_path / "old.feather"))
    assert code == 2
    assert "Feather file of version 1: save it in version 2" in err


@pytest.mark.parametrize("given", [["--column", "text=review", "soup"], ["--file", "a.parquet", "--column", "text"]])
def test_a_column_that_cannot_be_meant_is_a_usage_error(explicate, tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    parquet.write_table(pa.table({"text": ["soup"]}), tmp_path / "a.parquet")
    code, out, err = explicate("predict", *given)
    assert (code, out) == (2, "")
    assert "--column" in err


def test_without_pyarrow_the_extra_is_named(server, tmp_path):
    program = (
        "import sys\nsys.modules['pyarrow'] = None\nfrom explicate.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    )
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    command = [sys.executable, "-c", program, "predict", "--file", "a.parquet", "--model", "reviews"]
    environ = {**os.environ, "EXPLICATE_SERVER": server.target}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "explicate: reading a.parquet needs pyarrow: pip install 'explicate[batch]'\n"
