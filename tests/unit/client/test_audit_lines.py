"""Lines of an audit log as the client reads them: digests, options, inputs, and what is no line."""

import hashlib
import json
import math
import struct
from typing import Any

import pytest

from explicate import ALL, Contrast
from explicate.audit.log_lines import AuditLine, input_sha256
from explicate.errors import UsageError
from explicate.inputs import Image, TextPair
from explicate_bundle.model_inputs import ImageInput, TabularInput, TextInput

OPTIONS = {"method": "kernel-shap", "target": None, "seed": 3, "time_limit_s": 2.0, "max_evaluations": 100}
LINE = {
    "model": "tea",
    "version": 3,
    "input_sha256": "0" * 64,
    "attributions_sha256": "1" * 64,
    "options": OPTIONS,
}


def line(**changes: Any) -> AuditLine:
    return AuditLine.parse(7, json.dumps({**LINE, **changes}))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Tee für zwei 🍵", TextInput("Tee für zwei 🍵")),
        ("lone \ud800 surrogate", TextInput("lone \ud800 surrogate")),
        (TextPair("what?", "tea"), TextInput("what?", "tea")),
        (("what?", "tea"), TextInput("what?", "tea")),
        ({"age": 34, "job": "clerk", "old": True, "income": None}, None),
        (Image(b"\x89PNG"), ImageInput(b"\x89PNG")),
    ],
)
def test_an_input_has_the_same_digest_at_both_ends(ours: Any, theirs: Any) -> None:
    row = TabularInput({"job": "clerk", "income": None, "old": "true", "age": 34.0})
    assert input_sha256(ours) == (theirs or row).digest.hex()


def test_a_text_has_the_digest_of_its_bytes() -> None:
    assert input_sha256("tea") == hashlib.sha256(b"tea").hexdigest()


@pytest.mark.parametrize(
    ("held", "target"),
    [
        (None, None),
        ({"class": 2}, 2),
        ({"class": "all"}, "all"),
        ({"all": True}, ALL),
        ({"contrast": {"target": "a", "reference": 1}}, Contrast("a", 1)),
    ],
)
def test_the_target_is_asked_for_again(held: Any, target: Any) -> None:
    options = line(options={**OPTIONS, "target": held}).options()
    assert options["target"] == target
    assert options["seed"] == 3
    assert "time_limit_s" not in options, "a limit must not cut what it did not cut then"


def test_of_a_line_that_the_clock_cut_just_its_rows_are_asked_for() -> None:
    options = line(cut_by_clock=True, fitted_evaluations=66, unevaluated=4).options()
    assert options["max_evaluations"] == options["min_evaluations"] == 66
    assert options["tolerance"] == 0.0
    assert options["top_k"] is None
    assert options["seed"] == 3


@pytest.mark.parametrize(
    ("held", "value"),
    [
        ({"text": "tea"}, "tea"),
        ({"text": "what?", "text_pair": "tea"}, ("what?", "tea")),
        ({"cells": {"age": 34.0, "job": None}}, {"age": 34.0, "job": None}),
        ({"image": "iVBORw=="}, Image(b"\x89PNG")),
    ],
)
def test_inputs_of_every_kind_are_read(held: Any, value: Any) -> None:
    assert line(input=held).input() == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "[]",
        "7",
        '"text"',
        json.dumps({**LINE, "options": None}),
        json.dumps({**LINE, "version": "three"}),
        json.dumps({name: value for name, value in LINE.items() if name != "input_sha256"}),
        json.dumps({**LINE, "input": {"image": "no base64"}}),
        json.dumps({**LINE, "input": {}}),
        json.dumps({**LINE, "options": {**OPTIONS, "target": {"any": 1}}}),
        json.dumps({**LINE, "options": {**OPTIONS, "version": 4}}),
        json.dumps({**LINE, "attributions": 5}),
        json.dumps({**LINE, "attributions": [["0.5"]]}),
    ],
)
def test_what_is_no_line_is_refused_by_its_number(text: str) -> None:
    with pytest.raises(UsageError, match="line 7 is not a line of an audit log"):
        AuditLine.parse(7, text)


def test_attributions_that_are_not_those_of_the_digest_are_told() -> None:
    digest = hashlib.sha256(struct.pack("<3d", 0.5, -2.0, 0.25)).hexdigest()
    assert not line(attributions_sha256=digest).was_changed
    assert not line(attributions_sha256=digest, attributions=[[0.5, -2.0], [0.25]]).was_changed
    assert line(attributions_sha256=digest, attributions=[[0.5, -2.0], [0.5]]).was_changed


class _Answer:
    """What is compared of an explanation."""

    def __init__(self, *rows: tuple[float, ...]) -> None:
        self.attributions = [type("Attribution", (), {"values": row}) for row in rows]


def test_a_difference_is_a_fraction_of_the_largest_attribution() -> None:
    held = line(attributions=[[0.5, -2.0], [0.25, 0.0]])
    assert held.largest_difference(_Answer((0.5, -2.0), (0.25, 0.0))) == 0.0  # type: ignore[arg-type]
    assert held.largest_difference(_Answer((0.5, -1.5), (0.25, 0.0))) == 0.25  # type: ignore[arg-type]
    assert held.largest_difference(_Answer((0.5, -2.0))) == math.inf  # type: ignore[arg-type]
    assert held.largest_difference(_Answer((0.5,), (0.25,))) == math.inf  # type: ignore[arg-type]
    assert line().largest_difference(_Answer((0.5,))) is None  # type: ignore[arg-type]
