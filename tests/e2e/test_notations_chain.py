"""A table as a spreadsheet writes it, trained, exported and served: its own file is what predict and explain take."""

import csv
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from google.protobuf import json_format

from explicate import Client
from explicate.errors import InvalidArgument
from explicate.v1 import bundle_pb2
from support.harness import server_process

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

_CONFIG = """
[data]
table = "orders.csv"
label_column = "late"
[data.columns]
grade = "category"
[model]
width = 16
members = 2
blocks = 1
[training]
epochs = 25
batch_size = 32
[output]
explained = 0
"""
_MONDAY = date(2019, 12, 30)


def _rows(count: int = 420) -> list[dict[str, str]]:
    """Orders are late at weekends and where they are large, whatever their grade."""
    stream = random.Random(0)
    rows = []
    for _ in range(count):
        amount, day = stream.uniform(900, 90_000), _MONDAY + timedelta(days=stream.randrange(700))
        late = day.weekday() >= 5 or amount > 80_000
        written = f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))
        rows.append(
            {
                "": str(len(rows)),
                "customer_id": str(stream.randrange(10**6, 10**7)),
                "amount": "-" if stream.random() < 0.05 else f"{written} €",
                "when": f"{day:%d.%m.%Y}",
                "grade": stream.choice(["1.0", "2.0", "3.0"]),
                "zip": stream.choice(["01020", "10115", "20095"]),
                "late": "yes" if late else "no",
            }
        )
    return rows


def _explicate(*arguments: str, directory: Path) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "explicate", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notations")
    (folder / "orders.toml").write_text(_CONFIG, encoding="utf-8")
    with (folder / "orders.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(_rows()[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(_rows())
    _explicate("train", "orders.toml", "--output", "run", directory=folder)
    _explicate("export", "run", "--name", "orders", "--repository", "repository", directory=folder)
    return folder


@pytest.fixture(scope="module")
def address(chain: Path) -> Iterator[str]:
    with server_process(chain / "repository") as (_, address):
        yield address


def _number(amount: str) -> float | None:
    return None if amount == "-" else float(amount.removesuffix(" €").replace(".", "").replace(",", "."))


def _plain(row: dict[str, str]) -> dict[str, float | str | date | None]:
    """The same row as a program has it."""
    day, month, year = map(int, row["when"].split("."))
    return {
        "amount": _number(row["amount"]),
        "when": date(year, month, day),
        "grade": int(float(row["grade"])),
        "zip": row["zip"],
    }


def test_the_manifest_keeps_how_the_columns_are_written(chain: Path) -> None:
    text = (chain / "repository" / "orders" / "1" / "manifest.json").read_text("utf-8")
    tabular = json_format.Parse(text, bundle_pb2.Bundle()).tabular
    amount, when, grade, code = tabular.columns
    assert (amount.number_notation.decimal, amount.number_notation.thousands) == (",", ".")
    assert (amount.number_notation.unit, list(amount.missing_words)) == ("€", ["-"])
    assert when.date_notation.order == bundle_pb2.DATE_ORDER_DAY_FIRST
    assert (list(grade.categories), list(code.categories)) == (["1", "2", "3"], ["01020", "10115", "20095"])
    assert {one.name for one in tabular.left_out} == {"late", "customer_id"}


def test_the_training_file_is_answered_like_the_values_that_it_writes(chain: Path, address: str) -> None:
    asked = ("--model", "orders", "--server", address)
    out, err = _explicate("predict", *asked, "--csv", "orders.csv", "--format", "csv", directory=chain)
    assert [line for line in err.splitlines() if "note" in line] == [
        "explicate: note: the columns customer_id, late left out: the model does not read them"
    ]
    answers, rows = list(csv.DictReader(io.StringIO(out))), _rows()
    with Client(address) as client:
        predictions = client.predict("orders", [_plain(row) for row in rows]).predictions
        packed = client.predict_table(
            "orders", {name: [row[name] for row in rows] for name in ("amount", "when", "grade", "zip")}
        )
    assert [one["label"] for one in answers] == [one.label for one in predictions]
    for answer, prediction, probabilities in zip(answers, predictions, packed.probabilities, strict=True):
        assert float(answer["probability"]) == pytest.approx(prediction.probability, abs=1e-5)
        assert max(probabilities) == pytest.approx(prediction.probability, abs=1e-5)
        assert prediction.unknown_category_columns == ()
    assert packed.unknown_category_columns == ()
    # It takes the weekday to know that.
    right = [one["label"] == row["late"] for one, row in zip(answers, rows, strict=True)]
    assert sum(right) > 0.93 * len(right)


def test_an_explanation_of_a_row_of_the_file_has_a_date_as_one_player(chain: Path, address: str) -> None:
    saturday = next(row for row in _rows() if row["when"] == f"{date(2020, 1, 4):%d.%m.%Y}" or _is_weekend(row))
    with (chain / "one.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(saturday))
        writer.writeheader()
        writer.writerow(saturday)
    asked = ("--model", "orders", "--server", address, "--csv", "one.csv", "--format", "json")
    out, _ = _explicate("explain", *asked, directory=chain)
    explanation = json.loads(out)["explanation"]
    assert [feature["column"] for feature in explanation["features"]] == ["amount", "when", "grade", "zip"]
    assert explanation["features"][1]["values"] == {"when": saturday["when"]}
    values = explanation["attributions"][0]["values"]
    assert max(range(4), key=lambda place: abs(values[place])) == 1


def _is_weekend(row: dict[str, str]) -> bool:
    day, month, year = map(int, row["when"].split("."))
    return date(year, month, day).weekday() >= 5


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"amount": "1234.5"}, "'1234.5'; this column takes numbers, such as €1.234,5"),
        ({"when": "12/31/2020"}, "'12/31/2020'; this column takes dates, such as 31.12.2020"),
    ],
)
def test_a_text_in_another_notation_is_refused_with_an_example(address: str, row: dict[str, str], problem: str) -> None:
    with Client(address) as client, pytest.raises(InvalidArgument) as refused:
        client.predict("orders", [{**_plain(_rows()[1]), **row}])
    ((path, said),) = refused.value.violations
    assert path == f"inputs[0].tabular.cells[{next(iter(row))}]"
    assert problem in said
