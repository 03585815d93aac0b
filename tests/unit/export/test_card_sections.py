"""Sections of the model card: fairness, limits, the maps to frameworks, and names that would be markup."""

import re
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from explicate.v1 import bundle_pb2
from explicate_bundle.model_inputs import ImageInput, TabularInput, TextInput
from explicate_bundle.objective import CLASSIFICATION
from explicate_export.card.frameworks import ANNEX_IV, FRAMEWORKS, NIST_MEASURE, frameworks_section
from explicate_export.image.conversion import seen_images
from explicate_export.markdown import as_list, escaped, table
from explicate_export.table.seen_rows import seen_rows
from explicate_export.text.conversion import scripts_of, seen_texts
from explicate_standards.outcomes.outcomes import Outcomes
from explicate_standards.standard.group_tables import group_tables
from explicate_standards.standard.requirement import Evidence
from explicate_standards.standard.standard import read_standard
from support.tiny_image_bundle import pictures, png

HOSTILE = [
    "<script>alert(1)</script>",
    "[click](http://evil.example)",
    "![x](y.png)",
    "`code` *bold* __strong__ ~~gone~~",
    "&lt;b&gt;",
    "www.evil.example and a@b.example",
    "# heading",
    "1. item",
    "> quote",
    "back\\slash",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_strangers_name_is_shown_letter_by_letter(name: str) -> None:
    page = MarkdownIt("gfm-like", {"linkify": False}).render(escaped(name))
    text = re.fullmatch(r"<p>(.*)</p>\n", page)
    assert text is not None, page
    assert "<" not in text[1], page
    shown = text[1].replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    assert shown == name


def test_names_that_are_no_markup_are_left_as_they_are() -> None:
    for name in ("years_at_job", "Age: 18 to 68", "Köln", "3.5", "a-b", "50 %", "Is it so?"):
        assert escaped(name) == name


def test_markup_in_lists_and_tables_is_escaped() -> None:
    (line,) = as_list({"classes": "<b>"})
    assert line == "- classes: \\<b>"
    assert list(as_list({"reading": [], "left": {}})) == ["- reading: none", "- left: none"]
    assert table(("a", "b"), [(escaped("x|y"), "z")])[-1] == "| x\\|y | z |"


def test_every_row_of_the_maps_has_an_answer_or_says_that_there_is_none() -> None:
    headings = ["In plain words", "Intended use and limits", "Data", "Metrics on the held-out test split", "Verdict"]
    page = frameworks_section([f"## {heading}\n\ntext" for heading in headings])
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ") and "---" not in line]
    points = sum(len(points) for _, _, points in FRAMEWORKS)
    assert len(rows) == points + len(FRAMEWORKS)
    for row in rows:
        assert len(row) == 4
        assert row[3].strip(" |"), row
    linked = set(re.findall(r"\]\(#([\w-]+)\)", page))
    assert linked == {heading.lower().replace(" ", "-") for heading in headings}
    assert "this card has no section Fairness or Slices" in page
    assert "is no claim" in page


def test_the_points_are_those_of_the_frameworks() -> None:
    assert [point.id for point in NIST_MEASURE] == [
        *(f"1.{number}" for number in range(1, 4)),
        *(f"2.{number}" for number in range(1, 14)),
        *(f"3.{number}" for number in range(1, 4)),
        *(f"4.{number}" for number in range(1, 4)),
    ]
    assert {point.id[0] for point in ANNEX_IV} == set("123456789")
    assert [point.id for point in ANNEX_IV if point.id.startswith("2")] == [f"2({letter})" for letter in "abcdefgh"]


def test_groups_have_the_rates_that_counting_gives(tmp_path: Path) -> None:
    file = tmp_path / "standard.toml"
    file.write_text(
        '[standard]\nname = "s"\nversion = "1"\nminimum_rows = 3\nrequire = [\n'
        '{ id = "a", metric = "equalised_odds_gap", class = "yes", over = "race", at_most = 0.1 },\n'
        '{ id = "b", metric = "selection_ratio", class = "yes", over = "race", at_least = 0.8 },\n]\n'
    )
    answered = np.array([1, 1, 0, 1, 0, 0, 1, 0, 1])
    true = np.array([1, 1, 1, 0, 0, 1, 0, 0, 1])
    groups = {"x": np.arange(9) < 4, "y": (np.arange(9) >= 4) & (np.arange(9) < 8), "z": np.arange(9) == 8}
    outputs = np.stack([-answered, answered], axis=1).astype(float)
    outcomes = Outcomes("m", CLASSIFICATION, ("no", "yes"), outputs, true)
    evidence = Evidence(outcomes, {}, {}, {}, {}, 0.95, 3, groups={"race": groups})
    (found,) = group_tables(read_standard(file).requirements, evidence)
    assert (found.column, found.label) == ("race", "yes")
    rates = {one.name: (one.selected.value, one.true_positive.value, one.false_positive.value) for one in found.groups}
    assert rates["x"] == pytest.approx((3 / 4, 2 / 3, 1.0))
    assert rates["y"] == pytest.approx((1 / 4, 0.0, 1 / 3))
    assert rates["z"][:2] == (1.0, 1.0)
    assert np.isnan(rates["z"][2])
    assert [one.counted for one in found.groups] == [True, True, False]
    assert found.gaps["demographic_parity_gap"].value == pytest.approx(0.5)
    assert found.gaps["equal_opportunity_gap"].value == pytest.approx(2 / 3)
    assert found.gaps["selection_ratio"].value == pytest.approx(1 / 3)


def test_what_inputs_of_the_test_are_like_is_told() -> None:
    texts = [TextInput("good food"), TextInput("хорошо, очень good")]
    assert scripts_of(texts) == [("Latin", pytest.approx(12 / 23)), ("Cyrillic", pytest.approx(11 / 23))]
    told = " ".join(seen_texts(texts, 64))
    assert "2 test texts have 2 to 3 words" in told
    assert "beyond 64 tokens" in told
    schema = bundle_pb2.TabularSchema()
    schema.columns.add(name="age", type=bundle_pb2.COLUMN_TYPE_NUMBER)
    schema.columns.add(name="job", type=bundle_pb2.COLUMN_TYPE_CATEGORY)
    rows = [
        TabularInput({"age": 18.0, "job": "x"}),
        TabularInput({"age": None, "job": "y"}),
        TabularInput({"age": 68.5}),
    ]
    assert list(seen_rows(schema, rows)) == [
        "The numbers of the 3 test rows: age 18 to 68.5. Outside of these ranges nothing is known of its answers."
    ]
    assert list(seen_rows(schema, [])) == []
    assert "8 pixels wide and 6 high" in next(
        iter(seen_images([ImageInput(png(pictures(1, height=6, width=8)[0])), ImageInput(b"no image")]))
    )
