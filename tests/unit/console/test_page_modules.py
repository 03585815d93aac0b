"""The page's modules that need no page, run by Node: they read answers and write numbers as the Python client does."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import NULL_VALUE

from explicate._wire.decoding import ExplainAnswers
from explicate._wire.encoding import input_message
from explicate.inputs import Image, Input
from explicate.results import Contribution, ExplainResult, Feature
from explicate.v1 import changes_pb2 as changes_pb
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.views import amounts
from explicate.views.kinds import explained
from explicate_bundle.players.words import words

JS = Path(__file__).parents[2] / "console" / "js"
NAN = math.nan
_OLDEST_NODE = (20, 19)  # the first of 20 that reads modules without a package.json
_WITH_CASES = {"format.test.mjs", "answers.test.mjs", "text_ranges.test.mjs"}  # compared with what Python says
NODE = shutil.which("node")


def _node_version() -> tuple[int, int]:
    if NODE is None:
        return (0, 0)
    told = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    major, minor, *_ = told.strip().lstrip("v").split(".")
    return int(major), int(minor)


pytestmark = pytest.mark.skipif(
    _node_version() < _OLDEST_NODE, reason="the modules of the console's page are tested by Node 20.19 or later"
)


def _passes(module: str, cases: object, folder: Path) -> None:
    path = folder / "cases.json"
    path.write_text(json.dumps(cases, allow_nan=False), encoding="utf-8")
    command = [str(NODE), "--test", str(JS / module)]
    environment = {**os.environ, "EXPLICATE_CASES": str(path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_writes_numbers_as_python_does(tmp_path: Path) -> None:
    _passes("format.test.mjs", list(_number_cases()), tmp_path)


def test_the_page_reads_answers_as_the_python_client_does(tmp_path: Path) -> None:
    _passes("answers.test.mjs", [_answer_case(*case) for case in _answers()], tmp_path)


def test_the_page_cuts_a_text_into_the_words_of_the_server(tmp_path: Path) -> None:
    _passes("text_ranges.test.mjs", [[text, words(text)] for text in _texts()], tmp_path)


def _texts() -> list[str]:
    """Texts of what parts words or holds them together, in many scripts."""
    drawn = random.Random(7)
    letters = [*"aBé1٣中のーภשʼˇ\ue000\u0378", "e\u0301", "ก็", "हि", "न्", "AT&T", "U.S.A.", "3.50", "don't"]
    marks = [*".,:/'’-&\"()@_!€״\u0301\u200b\u200d\u00ad\ufeff😀", "👩\u200d👩\u200d👧", "🇩🇪"]
    gaps = [" ", "\n", "\r\n", "\u00a0", "\x1c", "\x85", " \u0301"]
    atoms = [*letters, *marks, *gaps]
    return ["".join(drawn.choices(atoms, k=drawn.randrange(1, 14))) for _ in range(2000)]


@pytest.mark.parametrize("module", sorted({path.name for path in JS.glob("*.test.mjs")} - _WITH_CASES))
def test_a_module_of_the_page(module: str, tmp_path: Path) -> None:
    _passes(module, [], tmp_path)


def _numbers() -> list[float]:
    drawn = random.Random(18)
    ties = [0.5, 1.5, 2.5, 0.125, 0.375, 0.0625, 100000.5, 1000000.5, 1000001.5, 0.0005, 2.675, 1.005]
    powers = [10.0**size for size in range(-9, 19)]
    near = [power * share for power in powers for share in (0.9999995, 0.99999949, 1.0000005, 9.9995)]
    wide = [drawn.uniform(-1, 1) * 10 ** drawn.uniform(-9, 18) for _ in range(300)]
    halves = [drawn.randrange(-4000, 4000) / 2 ** drawn.randrange(1, 12) for _ in range(200)]
    special = [0.0, -0.0, NAN, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 1e21, 123456789012345680.0]
    return [*special, *ties, *(-tie for tie in ties), *powers, *near, *wide, *halves]


def _number_cases() -> Iterator[dict[str, Any]]:
    numbers = _numbers()
    for place, value in enumerate(numbers):
        decimals = place % 7
        yield _number_case("number", [value], amounts.number(value, decimals), decimals)
        yield _number_case("plainNumber", [value], amounts.plain_number(value, decimals), decimals)
        yield _number_case("cell", [value], amounts.cell(value), None)
        digits = 2 + place % 3
        yield _number_case("decimalsFor", [value], amounts.decimals_for(value, digits), digits)
        ends = sorted([value, numbers[place - 1]])
        one = Contribution(Feature(), NAN, NAN, *ends)
        if not math.isinf(one.half_width):
            yield _number_case("halfWidth", ends, amounts.half_width(one, decimals), decimals)
            yield _number_case("interval", ends, amounts.interval(one, decimals), decimals)


def _number_case(function: str, values: list[float], expected: object, decimals: int | None) -> dict[str, Any]:
    written = [{NAN: "NaN", math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, repr(value)) for value in values]
    written = ["NaN" if math.isnan(value) else text for value, text in zip(values, written, strict=True)]
    return {"function": function, "values": written, "decimals": decimals, "expected": expected}


_Responses = list[inference_pb.ExplainResponse | inference_pb.StreamExplainResponse]


def _answer_case(name: str, value: Input, responses: _Responses) -> dict[str, Any]:
    read = ExplainAnswers(value)
    return {
        "name": name,
        "input": MessageToDict(input_message(value, "")),
        "responses": [MessageToDict(response) for response in responses],
        "expected": [_summary(read(response)) for response in responses],
    }


def _summary(result: ExplainResult) -> dict[str, Any]:
    """What the view model of the page must say, as Python's client has it."""
    told, explanation, prediction = explained(result), result.explanation, result.prediction
    options = explanation.options
    text, row = result.text_pair is not None, result.row is not None
    change = explanation.change
    summary: dict[str, Any] = _without_nan(
        {
            "kind": "image" if result.image else "row" if row else "pair" if text else "text",
            "final": result.final,
            "preview": explanation.preview,
            "decimals": amounts.decimals(result),
            "space": options.output_space,
            "method": options.method,
            "masking": options.masking,
            "granularity": options.granularity or "",
            "stopReason": explanation.stop_reason,
            "evaluations": explanation.evaluations,
            "seed": options.seed,
            "sentences": explanation.sentences,
            "noun": told.noun,
            "nouns": told.nouns,
            "label": prediction.label,
            "labels": prediction.labels,
            "value": prediction.value,
            "scores": [[one.label, one.probability, one.logit, one.threshold] for one in prediction.scores],
            "fixed": [feature.name for feature in explanation.fixed],
            "quality": {_camel(key): figure for key, figure in asdict(explanation.quality).items()},
            "outputs": [_output(result, output) for output in range(len(explanation.attributions))],
            "places": _places(result),
            "sections": [
                [each.text, each.first_feature, each.feature_count, [[v.value, v.lower, v.upper] for v in each.values]]
                for each in explanation.sections
            ],
            "change": change
            and {
                "found": change.found,
                "absent": change.absent,
                "end": change.end,
                "after": change.after.class_label if change.after else None,
                "columns": [[one.column, one.before, one.after] for one in change.columns],
            },
        }
    )
    return summary


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join("RSquared" if part == "r" else part.title() for part in rest if part != "squared")


def _output(result: ExplainResult, output: int) -> dict[str, Any]:
    attribution = result.explanation.attributions[output]
    return {
        "name": attribution.name,
        "against": attribution.reference_label,
        "baseline": attribution.baseline_value,
        "instance": attribution.instance_value,
        "items": [
            {
                "place": place,
                "name": one.feature.name,
                "value": one.value,
                "error": one.standard_error,
                "lower": one.lower,
                "upper": one.upper,
                "certain": one.lower > 0 or one.upper < 0,
                "instead": one.feature.instead,
                "cells": {key: value for part in one.feature.parts for key, value in part.values.items()},
                "written": [
                    ((result.text_pair or "") if part.in_pair else result.text)[span.start : span.end]
                    for part in one.feature.parts
                    for span in part.spans
                ],
            }
            for place, one in enumerate(result.explanation.contributions(output))
        ],
        "interactions": [
            [pair.first, pair.second, pair.value, pair.lower, pair.upper, pair.is_certain]
            for pair in attribution.interactions
        ],
    }


def _places(result: ExplainResult) -> dict[str, Any] | None:
    shape, places = result.explanation.segment_map, result.explanation.segment_places
    if shape is None:
        return None
    return {"width": shape.width, "height": shape.height, "places": [places[segment] for segment in shape.ids]}


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Mapping):
        return {key: _without_nan(each) for key, each in value.items()}
    return [_without_nan(each) for each in value] if isinstance(value, list | tuple) else value


_TEXT = "A 😀 great e\u0301te\u0301 <b>film</b> رائع جدا"
_PAIR = "👩‍👩‍👧 is it?"


def _answers() -> Iterator[tuple[str, Input, _Responses]]:
    yield "a text with emoji, marks and two directions", _TEXT, [_response(_text_explanation())]
    yield "a stream that leaves features out", _TEXT, list(_stream())
    yield "a pair with a reference text", (_TEXT, _PAIR), [_response(_pair_explanation())]
    yield "a row with groups, a change and a contrast", {"age": 34, "job": "<i>x</i>", "lent": None}, [_row_response()]
    yield "a regression", {"age": 34, "job": "clerk", "lent": 1.5e6}, [_regression()]
    for encoding, layout in (("UINT16", "H"), ("UINT32", "I")):
        yield f"an image with ids as {encoding}", Image(b"not a picture"), [_image_response(encoding, layout)]


def _response(explanation: explanation_pb.Explanation) -> inference_pb.ExplainResponse:
    response = inference_pb.ExplainResponse()
    response.result.explanation.CopyFrom(explanation)
    outcome = response.result.prediction.classification
    outcome.predicted_index, outcome.predicted_label = 1, "great"
    outcome.scores.add(label="other", probability=0.0, logit=-3.5)
    outcome.scores.add(index=1, label="great", probability=1.0, logit=0.0, threshold=0.25)
    return response


def _words(explanation: explanation_pb.Explanation, text: str, *, in_pair: bool = False) -> None:
    start = 0
    for word in text.split(" "):
        before, after = text[:start], text[: start + len(word)]
        feature = explanation.features.add().text
        feature.text, feature.in_pair = word, in_pair
        units = [len(part.encode("utf-16-le")) // 2 for part in (before, after)]
        feature.spans.add(start=len(before), end=len(after), utf16_start=units[0], utf16_end=units[1])
        start += len(word) + 1


def _attribute(
    explanation: explanation_pb.Explanation, label: str = "great", seed: int = 0, scale: float = 0.01
) -> Any:
    drawn, count = random.Random(seed), len(explanation.features)
    values = [0.0, *(scale * drawn.uniform(-1, 1) for _ in range(count - 1))]
    halves = [0.0, NAN, *(scale * drawn.uniform(0, 1) for _ in range(count))][:count]
    return explanation.attributions.add(
        class_index=1,
        class_label=label,
        instance_value=0.75,
        values=values,
        standard_errors=[half / 2 for half in halves],
        lower=[value - half for value, half in zip(values, halves, strict=True)],
        upper=[value + half for value, half in zip(values, halves, strict=True)],
    )


def _text_explanation() -> explanation_pb.Explanation:
    explanation = explanation_pb.Explanation(evaluations=2**40, stop_reason=explanation_pb.STOP_REASON_TOP_K)
    _words(explanation, _TEXT)
    _attribute(explanation).interactions.add(first=1, second=3, value=-0.2, lower=-0.3, upper=-0.1, standard_error=0.05)
    _attribute(explanation, "other", seed=1)
    section = explanation.sections.add(text=_TEXT, feature_count=len(explanation.features))
    for value in (0.1, 0.0):
        section.values.add(value=value, lower=NAN, upper=NAN, standard_error=NAN)
    explanation.fixed.add().text.text = "fixed"
    explanation.quality.additivity_gap = 0.0
    explanation.quality.held_out_r_squared = NAN
    explanation.quality.comprehensiveness.value = 0.25
    explanation.sentences.extend(["It answers “great”.", "<b>No markup</b>."])
    _options(explanation, method="kernel-shap", seed=7, granularity=explanation_pb.GRANULARITY_WORD)
    explanation.change.found = True
    explanation.change.absent.extend([0, 2])
    explanation.change.end = changes_pb.CHANGE_END_COMPLETE
    explanation.change.after.class_label = "other"
    return explanation


def _options(explanation: explanation_pb.Explanation, space: int = 1, **fields: Any) -> None:
    options = {"method": "exact-shap", "masking": explanation_pb.MASKING_MASK_TOKEN, "confidence": 0.9, **fields}
    explanation.options.CopyFrom(explanation_pb.ExplainOptions(output_space=space, **options))  # type: ignore[arg-type]


def _stream() -> Iterator[inference_pb.StreamExplainResponse]:
    for number in range(3):
        answer = inference_pb.StreamExplainResponse(final=number == 2)
        explanation = _text_explanation()
        if number < 2:
            explanation.stop_reason = explanation_pb.STOP_REASON_RUNNING
            explanation.preview = number == 0
        answer.result.CopyFrom(_response(explanation).result)
        if number == 1:
            del answer.result.explanation.features[:]
            del answer.result.explanation.fixed[:]
        yield answer


def _pair_explanation() -> explanation_pb.Explanation:
    explanation = explanation_pb.Explanation(stop_reason=explanation_pb.STOP_REASON_EXACT)
    _words(explanation, _TEXT)
    _words(explanation, _PAIR, in_pair=True)
    explanation.features[0].text.instead = ""
    explanation.features[1].text.instead = "dull"
    _attribute(explanation)
    _options(explanation, granularity=explanation_pb.GRANULARITY_WORD)
    return explanation


def _columns(explanation: explanation_pb.Explanation, cells: Mapping[str, Any]) -> None:
    for name, cell in cells.items():
        column = explanation.features.add().column
        column.name = name
        column.columns.add(column=name).value.CopyFrom(cell)


def _row_response() -> inference_pb.ExplainResponse:
    explanation = explanation_pb.Explanation(stop_reason=explanation_pb.STOP_REASON_DEADLINE, evaluations=3)
    sent = dict(input_message({"age": 34, "job": "<i>x</i>", "lent": None}, "").tabular.cells)
    _columns(explanation, {"age": sent["age"]})
    group = explanation.features.add().group
    group.name = "money"
    for name in ("job", "lent"):
        group.members.add().column.columns.add(column=name).value.CopyFrom(sent[name])
    attribution = _attribute(explanation)
    attribution.reference_index, attribution.reference_label = 0, "other"
    change = explanation.change.columns.add(column="age", distance=0.5)
    getattr(change, "from").number = 34
    change.to.missing = NULL_VALUE
    explanation.change.after.SetInParent()
    explanation.change.end = changes_pb.CHANGE_END_BUDGET
    _options(explanation, space=2, masking=explanation_pb.MASKING_BACKGROUND)
    return _response(explanation)


def _regression() -> inference_pb.ExplainResponse:
    explanation = explanation_pb.Explanation(stop_reason=explanation_pb.STOP_REASON_BUDGET)
    row: Input = {"age": 34, "job": "clerk", "lent": 1.5e6}
    _columns(explanation, dict(input_message(row, "").tabular.cells))
    _attribute(explanation, "loss in euros", scale=2000)
    _options(explanation, space=3, masking=explanation_pb.MASKING_BACKGROUND)
    response = inference_pb.ExplainResponse()
    response.result.explanation.CopyFrom(explanation)
    response.result.prediction.regression.value = 0.0
    return response


def _image_response(encoding: str, layout: str) -> inference_pb.ExplainResponse:
    explanation = explanation_pb.Explanation(stop_reason=explanation_pb.STOP_REASON_COMPLETE)
    explanation.features.add().segment.id = 1
    group = explanation.features.add().group
    group.name = "sky"
    for segment in (0, 3):
        group.members.add().segment.id = segment
    explanation.fixed.add().segment.id = 2
    ids = [0, 1, 2, 3, 3, 2]
    explanation.segment_map.CopyFrom(
        explanation_pb.SegmentMap(
            width=3,
            height=2,
            encoding=explanation_pb.SegmentIdEncoding.Value(f"SEGMENT_ID_ENCODING_{encoding}_LITTLE_ENDIAN"),
            ids=struct.pack(f"<6{layout}", *ids),
        )
    )
    _attribute(explanation)
    _options(explanation, masking=explanation_pb.MASKING_BLUR, granularity=explanation_pb.GRANULARITY_SLIC)
    response = inference_pb.ExplainResponse()
    response.result.explanation.CopyFrom(explanation)
    several = response.result.prediction.multi_label
    several.predicted_labels.append("cat")
    several.scores.add(label="cat", probability=0.9, logit=2.2)
    return response
