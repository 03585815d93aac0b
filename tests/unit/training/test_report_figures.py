"""The drawings of a report, as a page takes them in: its colours, its letters, nothing that could clash."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import numpy as np
import pytest

from explicate.views.look.inlined import inlined
from explicate.views.look.sheets import page_style
from explicate_training.report import figures

HISTORY = [{"step": step, "loss": 1 / step, "validation_loss": 2 / step, "validation_a": 0.5, "validation_b": 0.4}
           for step in (1, 2, 3)]  # fmt: skip
NUMBERS = np.linspace(0, 1, 40)
POSITIVE = np.arange(40) % 3 > 0
DRAWN: dict[str, Callable[[], str]] = {
    "loss": lambda: figures.loss_curves(HISTORY, 2),
    "metrics": lambda: figures.metric_curves(HISTORY, 2, {"a": "accuracy", "b": "macro F1"}),
    "masked": lambda: figures.masked_curve([(0.0, 0.9, (0.8, 0.95)), (0.5, 0.7, None)], "accuracy"),
    "confusion": lambda: figures.confusion_matrix([[5, 1], [0, 3]], ["no", "yes"]),
    "confusion of many": lambda: figures.confusion_matrix(np.eye(40, dtype=int).tolist(), [str(n) for n in range(40)]),
    "reliability": lambda: figures.reliability_diagram([figures.ReliabilityBin(0.0, 0.5, 3, 0.4, 0.3)]),
    "ranking": lambda: figures.ranking_curves({str(n): (NUMBERS, POSITIVE) for n in range(8)}, thresholds=[0.5] * 8),
    "importance": lambda: figures.importance_bars([("income", 0.5, 0.4, 0.6)], axis="mean"),
    "shapes": lambda: figures.shape_functions(
        [figures.ShapePanel("income", "never falls", NUMBERS, (), {"a": NUMBERS, "b": -NUMBERS}, NUMBERS),
         figures.ShapePanel("job", "", None, ("clerk", "cook"), {"a": NUMBERS[:2]}, np.array([3, 1]))], axis="adds",
    ),
    "residuals": lambda: figures.residuals(NUMBERS, NUMBERS**2, "price"),
}  # fmt: skip
each_drawing = pytest.mark.parametrize("name", DRAWN)


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: inlined(drawn(), name) for name, drawn in DRAWN.items()}


@each_drawing
def test_a_drawing_in_a_page_has_no_colour_but_those_of_the_sheet(name: str, pages: dict[str, str]) -> None:
    page = pages[name]
    paints = re.findall(r"(?:fill|stroke|color)(?:: ?|=\")([^;\"]+)", page)
    variables = {paint for paint in paints if paint.startswith("var(")}
    assert variables
    assert set(paints) - variables <= {"none"}
    assert {one[len("var(") : -1] for one in variables} <= set(re.findall(r"--[\w-]+", page_style()))
    assert "<image" not in page  # a picture would bring colours of its own
    assert "<style" not in page
    assert "font-family" not in page


@each_drawing
def test_what_a_drawing_refers_to_is_in_it_under_a_name_that_no_other_has(name: str, pages: dict[str, str]) -> None:
    ids = {other: re.findall(r' id="([^"]+)"', page) for other, page in pages.items()}
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', pages[name])) == set(ids[name])
    assert len(ids[name]) == len(set(ids[name]))
    assert all(set(ids[name]).isdisjoint(found) for other, found in ids.items() if other != name)


def test_a_label_keeps_what_looks_like_a_colour_or_an_id_and_cannot_become_markup() -> None:
    labels = ['fill: #222222" ', ' id="a"', "<b>url(#x)</b>"]
    page = inlined(figures.confusion_matrix(np.eye(3, dtype=int).tolist(), labels), '"><script>')
    assert "<script" not in page
    assert "<b>" not in page
    svg = page.partition(">")[2].removesuffix("</figure>").replace("xlink:", "")
    told = {text.text for text in ElementTree.fromstring(svg).iter("text")}
    assert set(labels) <= told


def test_squares_of_a_confusion_matrix_are_darker_the_larger_the_share_of_their_class() -> None:
    drawn = figures.confusion_matrix([[3, 1], [0, 5]], ["no", "yes"])
    shades = re.findall(r"fill: #14505c; opacity: ([\d.]+)", drawn)
    assert [float(shade) for shade in shades] == [0.25, 0.75]
    assert drawn.count('"fill: #14505c"') == 1  # of the class that is always right
