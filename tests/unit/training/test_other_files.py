"""JSON, spreadsheets, Parquet and legacy encodings: the same rows as from CSV, or one sentence."""

import gzip
import json
import sys
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from explicate.errors import UsageError
from explicate_training.data.encodings import find_encoding
from explicate_training.table.config import TableDataConfig
from explicate_training.table.data import read_table

ROWS = [{"age": 34, "city": "Zürich", "label": True}, {"age": None, "city": "Bern", "label": False}]
COLUMNS = {"age": [34, None], "city": ["Zürich", "Bern"], "label": [True, False]}


def read(path: Path, **options: Any) -> tuple[dict[str, list[Any]], list[str]]:
    told: list[str] = []
    raw = read_table(TableDataConfig(table=str(path), **options), told.append)
    return {name: list(cells) for name, cells in raw.columns.items()}, told


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson", "a.json.gz"])
@pytest.mark.parametrize("as_array", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_is_an_array_or_lines_whatever_its_name(tmp_path: Path, name: str, as_array: bool, encoding: str) -> None:
    lines = (json.dumps(row, ensure_ascii=False) for row in ROWS)
    text = json.dumps(ROWS, indent=2, ensure_ascii=False) if as_array else "\n".join(lines)
    content = text.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    columns, (told,) = read(tmp_path / name)
    assert columns == COLUMNS
    assert told.startswith(f"{name}: {'an array of objects' if as_array else 'an object a line'}, UTF-")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('[{"label": 1}, 2]', "a.json, row 2 is not a JSON object: give an object a line"),
        ('[{"label": 1},\n{"label": }]', "a.json, line 2 is not JSON: Expecting value"),
        ('{"label": {"0": 1}}\n[]', "a.json, line 2 is not a JSON object"),
        ('{\n"label": 1\n}', "a.json, line 1 is not JSON"),
        ('{"label": {"0": "x"}, "a": {"0": 1}}', "a.json is one object of lists or objects, not rows: give an object"),
        ('{"label": 1, "a": 1, "a": 2}', "a.json, line 1 has 'a' twice in one object"),
        ('{" label": 1, "label": 2}', "names the column 'label' 2 times"),
        ('{"a": ' + "[" * 100_000, "a.json, line 1 is nested too deeply"),
        ("", "a.json is empty"),
        ("[]", "a.json is empty"),
    ],
)
def test_json_of_another_form_is_one_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UsageError) as caught:
        read(tmp_path / "a.json")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


TABLE = [["age", " city ", "when", None, "label"], [34, "Zürich", date(2020, 1, 2), 7, True],
         ["#N/A", "Bern", datetime(2020, 1, 3, 9, 30), None, False], [None] * 5]  # fmt: skip


def test_a_spreadsheet_is_read_below_its_title_with_dates_as_text(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", notes=[["made by", "ann"]], data=[["Customers"], [], *TABLE])
    columns, told = read(path)
    assert columns == {**COLUMNS, "when": ["2020-01-02", "2020-01-03 09:30:00"]}
    assert told == [
        "a.xlsx: sheet 'data', header in row 3, cells with an error, such as #N/A, are missing: 1, "
        "column 4 has no name and is left out"
    ]


def test_of_several_sheets_with_the_columns_one_is_named(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", old=TABLE, new=[["label", "age"], ["x", 1]])
    with pytest.raises(UsageError, match=r"has the columns in the sheets 'old', 'new': set data.sheet to one of them"):
        read(path)
    assert read(path, sheet="new")[0] == {"label": ["x"], "age": [1]}
    with pytest.raises(UsageError, match=r"data\.sheet: .* has no sheet 'newer', but 'old', 'new'"):
        read(path, sheet="newer")


def test_a_hidden_sheet_is_read_when_it_is_named(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", old=TABLE, new=[["label", "age"], ["x", 1]])
    book = openpyxl.load_workbook(path)
    book["old"].sheet_state = "hidden"
    book.save(path)
    assert read(path)[0] == {"label": ["x"], "age": [1]}
    assert read(path, sheet="old")[0]["age"] == [34, None]


def test_a_spreadsheet_that_cannot_be_read_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(tmp_path / "a.xlsx", data=[["age"], [1]])
    with pytest.raises(UsageError, match=r"sheet 'data', row 1 has no column 'label': set data.label_column"):
        read(path)
    with pytest.raises(UsageError, match=r"sheet 'data', row 3 is wider than the header"):
        read(workbook(path, data=[["age", "label"], [1, "x"], [1, "x", 5]]))
    with pytest.raises(UsageError, match="sheet 'data' is empty"):
        read(workbook(path, data=[]))
    path.write_bytes(b"age,label\n1,x\n")
    with pytest.raises(UsageError, match=r"a\.xlsx is not a spreadsheet"):
        read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(UsageError, match=r"a\.xlsx is not a spreadsheet that openpyxl can read"):
        read(path)
    with zipfile.ZipFile(workbook(tmp_path / "b.xlsx", data=TABLE)) as whole, zipfile.ZipFile(path, "w") as archive:
        for name in whole.namelist():
            content = whole.read(name)
            archive.writestr(name, content[: len(content) // 2] if "sheet1" in name else content)
    with pytest.raises(UsageError, match=r"a\.xlsx is not a spreadsheet that openpyxl can read"):
        read(path)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(UsageError, match="spreadsheets are read by openpyxl: pip install openpyxl, or save it as CSV"):
        read(path)


def test_a_spreadsheet_that_unpacks_out_of_proportion_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/a.xml", "w") as member:
        for _ in range(260):
            member.write(b" " * 2**20)
    with pytest.raises(UsageError, match="unpacks to 260 MiB, which no table does"):
        read(path)


def test_a_cell_far_to_the_right_makes_no_other_row_wide(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["age", "label"])
    book.active.append([1, "x"])
    book.active.cell(row=900_000, column=1, value=2)
    book.save(tmp_path / "a.xlsx")
    assert read(tmp_path / "a.xlsx")[0] == {"age": [1, 2], "label": ["x", None]}


def test_the_index_of_a_saved_frame_is_no_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"age": [34, 8], " city": ["a", "b"], "label": ["x", "y"]}, index=[1, 0])
    frame.to_parquet(tmp_path / "a.parquet")
    columns, told = read(tmp_path / "a.parquet")
    assert columns == {"age": [34, 8], "city": ["a", "b"], "label": ["x", "y"]}
    assert told == ["a.parquet: column 4 has no name and is left out"]
    frame.rename_axis("customer").to_parquet(tmp_path / "b.parquet")
    assert read(tmp_path / "b.parquet")[0]["customer"] == [1, 0]


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        ("schöne Grüße aus Köln,gut\nviel zu spät und für mich kalt,schlecht\n", "cp1252", "cp1252"),
        ("C’est l’été “déjà” – voilà,bon\nTrès mauvais goût,mal\n", "cp1252", "cp1252"),
        ("caf\u00e9,good\n", "latin-1", "cp1252"),
        ("costs 5€ or £4,good\nonly 30° outside – cold,bad\n", "cp1252", "cp1252"),
        ("Zażółć gęślą jaźń,dobry\nBardzo złe jedzenie i późno,zły\n", "cp1250", "cp1250"),
        ("Очень вкусный чай и быстро,хорошо\nПлохая еда и холодно,плохо\n", "cp1251", "cp1251"),
        ("Очень вкусный чай и быстро,хорошо\nПлохая еда и холодно,плохо\n", "koi8_r", "koi8_r"),
        ("Πολύ νόστιμο τσάι,καλό\nΚακό φαγητό και κρύο,κακό\n", "cp1253", "cp1253"),
        ("味道很好，服务也不错，下次还会再来，推荐给大家。,好\n等了一个小时才上菜，而且服务员态度很差。,差\n", "gbk",
         "gb18030"),
        ("차가 정말 맛있어요,좋음\n음식이 나쁘고 차가워요,나쁨\n", "euc_kr", "cp949"),
        ("schöne Grüße aus Köln,gut\nviel zu spät und für mich kalt,schlecht\n", "mac_roman", "mac_roman"),
    ],
)  # fmt: skip
def test_legacy_encodings_are_found_by_the_lines_that_have_them(
    tmp_path: Path, text: str, encoding: str, found: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\n" + b"plain words,x\n" * 100_000 + text.encode(encoding))
    assert find_encoding(path, "").name == found


def test_an_encoding_that_is_not_sure_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\n味道很好的茶,好\n食物不好而且很冷,差\n".encode("gbk"))
    with pytest.raises(UsageError, match=r"a\.csv is not UTF-8 and may be GB 18030 or EUC-KR: set data\.encoding"):
        find_encoding(path, "")


def test_a_character_is_not_cut_where_the_sample_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("x" + "é" * 300_000, encoding="utf-8")
    assert find_encoding(path, "").name == "utf-8"
