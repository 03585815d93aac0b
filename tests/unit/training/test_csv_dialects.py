"""CSV files as people have them: read as they mean them, said in a line, or refused by line with the remedy."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate_training.config.config_file import parse_config
from explicate_training.image.config import ImageDataConfig
from explicate_training.image.data import list_images
from explicate_training.table.config import TableDataConfig
from explicate_training.table.data import read_table
from explicate_training.text.config import DataConfig
from explicate_training.text.data import read_rows

SHARED = Path(__file__).parents[4] / "shared" / "data" / "csv"
PLAIN = "age,city,label\n34,Zürich,good\n57,Genève,bad\n8,Bern,good\n"
MEANT = {"age": ["34", "57", "8"], "city": ["Zürich", "Genève", "Bern"], "label": ["good", "bad", "good"]}


def read(path: Path, content: str | bytes, **options: Any) -> tuple[dict[str, list[Any]], list[str]]:
    """The columns of a file with that content, and what was told of it."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    told: list[str] = []
    raw = read_table(TableDataConfig(table=str(path), **options), told.append)
    return {name: list(cells) for name, cells in raw.columns.items()}, told


def with_separator(separator: str) -> str:
    return PLAIN.replace(",", separator)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (PLAIN, "separator comma, UTF-8"),
        (with_separator(";"), "separator semicolon, UTF-8"),
        (with_separator("\t"), "separator tab, UTF-8"),
        (with_separator("|"), "separator bar, UTF-8"),
        (PLAIN.replace("\n", "\r\n"), "separator comma, UTF-8"),
        (PLAIN.replace("\n", "\r"), "separator comma, UTF-8"),
        (PLAIN.encode("utf-8-sig"), "separator comma, UTF-8 with a byte order mark"),
        (PLAIN.encode("utf-16"), "separator comma, UTF-16 with a byte order mark"),
        (b"\xfe\xff" + PLAIN.encode("utf-16-be"), "separator comma, UTF-16 with a byte order mark"),
        (PLAIN.encode("utf-16-le"), "separator comma, UTF-16 without a byte order mark, by its zero bytes"),
        (PLAIN.encode("utf-16-be"), "separator comma, UTF-16 without a byte order mark, by its zero bytes"),
        (PLAIN.encode("utf-32"), "separator comma, UTF-32 with a byte order mark"),
        (PLAIN.encode("latin-1"), "separator comma, Windows-1252 (a guess, which reads 'Zürich')"),
        (gzip.compress(PLAIN.encode()), "separator comma, UTF-8"),
        (f"sep=;\n{with_separator(';')}", "separator semicolon, header in line 2, UTF-8"),
        (f"# made by a tool\n\n# in 2024; really\n{PLAIN}", "separator comma, header in line 4, UTF-8"),
        (f"#{PLAIN}", "separator comma, UTF-8"),
        (f"Customers\n\n{PLAIN}", "separator comma, header in line 3, UTF-8"),
        (PLAIN.replace("age,city,label", " age , city,label "), "separator comma, UTF-8"),
        (PLAIN.replace("good\n", "good,\n").replace("bad\n", "bad,\n"), "separator comma, UTF-8"),
        (PLAIN.replace("\n", ",,\n"), "separator comma, UTF-8"),
        (PLAIN.replace("57", "\n  \n57") + "\n\x1a", "separator comma, UTF-8"),
        (PLAIN.replace("8,", "age,city,label\n8,"), "separator comma, UTF-8, 1 repeated header left out"),
        (f"# a note\n{PLAIN.replace('8,', '# and, another, note, here' + chr(10) + '8,')}",
         "separator comma, header in line 2, UTF-8, 1 comment left out"),
        (",age,city,label\n0,34,Zürich,good\n1,57,Genève,bad\n2,8,Bern,good\n",
         "separator comma, UTF-8, column 1 has no name and is left out"),
        ("Unnamed: 0,age,city,label\n2,34,Zürich,good\n0,57,Genève,bad\n1,8,Bern,good\n",
         "separator comma, UTF-8, column 1 has no name and is left out"),
        ('"age","city","label"\n"1","34","Zürich","good"\n"2","57","Genève","bad"\n"3","8","Bern","good"\n',
         "separator comma, row names before the first column left out, UTF-8"),
        ("'age','city','label'\n'34','Zürich','good'\n'57','Genève','bad'\n'8','Bern','good'\n",
         "separator comma, quotes ', UTF-8"),
        ('age, city, label\n34, "Zürich", good\n57, "Genève", bad\n8, "Bern", good\n', "separator comma, UTF-8"),
    ],
)  # fmt: skip
def test_a_dialect_is_found_and_said(tmp_path: Path, content: str | bytes, told: str) -> None:
    columns, said = read(tmp_path / "a.csv", content)
    assert {name: [cell.strip() for cell in cells] for name, cells in columns.items()} == MEANT
    assert said == [f"a.csv: {told}"]


@pytest.mark.parametrize(
    ("content", "texts", "told"),
    [
        ('text,label\n"a, b; c",x\n"say ""no""",y\n', ["a, b; c", 'say "no"'], "separator comma"),
        ('text,label\n"a, b",x\n"say \\"no\\", please",y\n', ["a, b", 'say "no", please'],
         'separator comma, quotes in quotes are written \\"'),
        ('text\tlabel\n"No" he said\tx\n"open, all day\ty\n', ['"No" he said', '"open, all day'],
         "separator tab, quotes are plain characters"),
        ('text,label\n"one\ntwo",x\nthree,y\n', ["one\ntwo", "three"], "separator comma"),
        ('"my\nid",text,label\n1,one,x\n2,two,y\n', ["one", "two"], "separator comma"),
        ("label;text\nx;It was closed, sadly\ny;Great, tea\n", ["It was closed, sadly", "Great, tea"],
         "separator semicolon"),
        ("text,label\n#great,x\n# 1 place,y\n", ["#great", "# 1 place"], "separator comma"),
    ],
)  # fmt: skip
def test_texts_keep_their_quotes_commas_and_line_ends(
    tmp_path: Path, content: str, texts: list[str], told: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    said: list[str] = []
    assert [row.text for row in read_rows(DataConfig(train=str(path)), said.append)] == texts
    assert said == [f"a.csv: {told}, UTF-8"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a,label\n1,x\n2,y,z\n", "a.csv, line 3: 3 fields, but the header has 2: put quotes around texts"),
        ("a,label\n1,x\n2\n", "a.csv, line 3: 1 field, but the header has 2: write a separator for each missing cell"),
        ("a,b,label\n1,5,2,x\n2,5,1,y\n2,5,7,y\n", "line 2: 4 fields, but the header has 3: put quotes"),
        ("a,label\n1,x\n# a, note, of, mine\n", "line 3: 4 fields, but the header has 2: take the comment out"),
        ("a,label\n1,x\n\x00\x00\n", "a.csv, line 3 has a zero byte, which no text has: the file is damaged, or"),
        ("a,label\n'tis good, really,x\n'twas, bad,y\n", "a.csv, line 2: 3 fields, but the header has 2: put quotes"),
        (bytes(range(256)), "a.csv is not UTF-8 and fits no encoding that is tried: set data.encoding"),
        ("a,label\n" + "".join(f"{n},5,x\n" for n in range(1, 3000)) + "7,y\n", "a.csv, line 3001: 2 fields, but the"),
        ("", "a.csv is empty: its first line must name the columns"),
        ("# nothing\n\n", "a.csv is empty"),
        ("5.1,3.5,x\n4.9,3.0,y\n", "line 1 has no column 'label': set data.label_column to one of '5.1', '3.5', 'x', "
         "or data.separator, if it is not the comma: the first line must name the columns"),
        ("a~label\n1~x\n", "has no column 'label': set data.label_column to one of 'a~label', or data.separator, if"),
        ("a, a ,label\n1,2,x\n", "line 1 names the column 'a' 2 times (places 1 and 2): rename others"),
        ('a,label\n"1,x\n2,y\n', 'unexpected end of data: check its quotes, or set data.quote = "none"'),
        (gzip.compress(b"a,label\n1,x\n")[:-9], "is damaged: gzip says"),
        (b"PK\x03\x04rest", "is a zip archive or a spreadsheet: name a spreadsheet .xlsx"),
        (b"PAR1rest", "is a Parquet file: name it .parquet"),
        (b"\xff\xfea\x00,\x00l", "cannot be read as UTF-16 with a byte order mark (truncated data): mend it, or set"),
        ("a,label\ncafé,x\n".encode() + b"th\xe9,y\n" + "één,z\n".encode(), "line 3 is not UTF-8, as other lines are"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_refused_with_the_line_and_the_remedy(
    tmp_path: Path, content: str | bytes, sentence: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path / "a.csv", content)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_config_overrides_what_would_be_found(tmp_path: Path) -> None:
    columns, told = read(
        tmp_path / "a.csv", "age~city~label\n34~Łódź~x\n".encode("cp1250"), separator="~", encoding="cp1250"
    )
    assert columns["city"] == ["Łódź"]
    assert told == ["a.csv: separator '~', cp1250, as the config says"]
    columns, _ = read(tmp_path / "a.csv", 'age,label\n"5,x\n', quote="none")
    assert columns["age"] == ['"5']
    with pytest.raises(UsageError, match=r"a\.csv, line 2 cannot be read as ascii, as the config says"):
        read(tmp_path / "a.csv", PLAIN, encoding="ascii")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('separator = "::"', r"data\.separator must be one character"),
        ('encoding = "utf-9"', r"data\.encoding must be one that Python knows"),
        ('encoding = "hex"', r"data\.encoding must be one that Python knows"),
        ('quote = "`"', r"data\.quote must be one of"),
    ],
)
def test_settings_that_no_file_can_have_are_refused(line: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_config(f'[data]\ntable = "a.csv"\n{line}\n')


def test_detection_reads_a_part_of_the_file_and_the_rest_is_read_alike(tmp_path: Path) -> None:
    rows = "".join(f"{number};plain text, with a comma {number};good\n" for number in range(20_000))
    columns, told = read(tmp_path / "a.csv", f"a;text;label\n{rows}9;Gen\u00e8ve;bad\n".encode("cp1252"))
    assert (len(columns["a"]), columns["text"][-1]) == (20_001, "Genève")
    assert told == ["a.csv: separator semicolon, Windows-1252 (a guess, which reads 'Genève')"]
    with pytest.raises(UsageError, match=r"a\.csv, line 20002: 4 fields, but the header has 3"):
        read(tmp_path / "a.csv", f"a;text;label\n{rows}9;one;two;bad\n")


def test_a_gzip_file_that_unpacks_out_of_proportion_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"a,label\n")
        for _ in range(70):
            file.write(b"1,x\n" * 2**18)
    with pytest.raises(UsageError, match=r"a\.csv\.gz unpacks to more than 100 times its size"):
        read_table(TableDataConfig(table=str(path)))


def test_texts_pairs_labels_and_lists_of_images_are_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        "erster; zweiter ;late;rude\nschön;übel;1,0;0\nspät;gut;0.0;1\n".replace("1,0", "1.0").encode("cp1252")
    )
    config = DataConfig(
        train=str(path), text_column="erster", text_pair_column="zweiter", task="multi-label", label_columns="late,rude"
    )
    rows = read_rows(config)
    assert [(row.text, row.text_pair, row.label) for row in rows] == [
        ("schön", "übel", ("late",)),
        ("spät", "gut", ("rude",)),
    ]
    path.write_text("sep=;\nimage;label;photographer\ncat.png;cat;ann\ndog.png;dog;bo\n", encoding="utf-16")
    images = list_images(ImageDataConfig(images=str(path), group_column="photographer"))
    assert [(image.name, image.label, image.group) for image in images] == [
        ("cat.png", "cat", "ann"),
        ("dog.png", "dog", "bo"),
    ]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the small failing files are not here")
@pytest.mark.parametrize("name", sorted(path.name for path in SHARED.glob("*.csv")) if SHARED.is_dir() else [])
def test_small_files_that_once_failed_are_read_as_a_person_would(name: str) -> None:
    config = TableDataConfig(table=str(SHARED / name))
    if name == "13_dupheader.csv":
        with pytest.raises(UsageError, match=r"line 1 names the column 'age' 2 times"):
            read_table(config)
        return
    columns = read_table(config).columns
    assert {"age", "income", "city", "label"} <= columns.keys()
    assert not {"", " age "} & columns.keys()
    assert {"Zürich", "Genève", "Bern", "Basel"} <= set(columns["city"])
    assert 18 <= np.median([float(age) for age in columns["age"]]) <= 90
