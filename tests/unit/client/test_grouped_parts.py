"""Groups of parts and fixed parts in the client: flags, messages both ways, JSON, audit lines and views."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

import explicate
from explicate._wire import decoding, option_fields
from explicate.audit.log_lines import AuditLine
from explicate.cli.explanation_options import in_flags
from explicate.cli.inputs.named_parts import read_fixed, read_groups
from explicate.errors import invalid_argument
from explicate.options import Part
from explicate.results import ExplainResult, Feature, ImageSegment, SegmentMap
from explicate.v1 import explanation_pb2, inference_service_pb2
from explicate.views import explanation_text, html
from explicate.views.canvas import explained_image
from explicate.views.kinds.explained_text import feature_texts, segments

GROUPS: Mapping[str, tuple[Part, ...]] = {
    "means": ("income", "savings"),
    "words": ("not good", explicate.TextRange(3, 9), explicate.TextRange(0, 2, in_pair=True)),
    "region": (
        explicate.Segment(7),
        explicate.PixelBox(1.5, 2.0, 30.0, 40.0),
        explicate.PixelPolygon(((0.0, 0.0), (5.0, 0.0), (5.0, 5.5))),
    ),
}
TEXT = "the soup is not good today"


def options_message() -> explanation_pb2.ExplainOptions:
    return option_fields.to_message({"groups": GROUPS, "fixed": ["age", explicate.Segment(1)]}, "text")


def answered() -> ExplainResult:
    """A text whose "not good" is a group "judgement" with "the", and whose "is" is fixed."""

    def text(words: str) -> explanation_pb2.Feature:
        start = TEXT.index(words)
        span = explanation_pb2.TextSpan(start=start, end=start + len(words))
        return explanation_pb2.Feature(text=explanation_pb2.TextFeature(text=words, spans=[span]))

    group = explanation_pb2.GroupFeature(name="judgement", members=[text("the"), text("not good")])
    features = [explanation_pb2.Feature(group=group), text("soup"), text("today")]
    figures = {"values": [-2.0, 0.5, 0.25], "standard_errors": [0.0] * 3, "lower": [-2.0, 0.5, 0.25]}
    attribution = explanation_pb2.Attribution(
        class_label="great", baseline_value=1.0, instance_value=-0.25, upper=figures["lower"], **figures
    )
    options = options_message()
    options.method, options.confidence = "exact-shap", 0.95
    explanation = explanation_pb2.Explanation(
        features=features, fixed=[text("is")], attributions=[attribution], options=options
    )
    result = inference_service_pb2.ExplainResult(explanation=explanation)
    return decoding.ExplainAnswers(TEXT)(inference_service_pb2.ExplainResponse(result=result))


def test_parts_go_to_the_wire_and_come_back() -> None:
    resolved = option_fields.from_message(options_message())
    assert resolved.groups == GROUPS
    assert resolved.fixed == ("age", explicate.Segment(1))


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"groups": {"a": "income"}}, "options.groups[a].parts"),
        ({"groups": ["income"]}, "options.groups"),
        ({"groups": {"a": ["b", 3]}}, "options.groups[a].parts[1]"),
        ({"groups": {"a": [explicate.TextRange("x", 2)]}}, "options.groups[a].parts[0].start"),  # type: ignore[arg-type]
        ({"fixed": "income"}, "options.fixed"),
    ],
)
def test_what_is_no_part_is_refused_before_it_is_sent(options: explicate.ExplainOptions, path: str) -> None:
    with pytest.raises(explicate.InvalidArgument) as caught:
        option_fields.to_message(options, "text")
    assert caught.value.violations[0][0] == path


def test_flags_name_parts() -> None:
    written = [
        "means=income, savings",
        'words="not good",span:3:9,pair:0:2',
        "region=segment:7,box:1.5:2:30:40,polygon:0:0:5:0:5:5.5",
    ]
    groups = read_groups(written)
    assert groups is not None
    assert {name: tuple(parts) for name, parts in groups.items()} == GROUPS
    assert read_fixed(['age,"a, b"', "name:span:1"]) == ["age", "a, b", "span:1"]
    assert read_groups(None) is None
    assert read_fixed([]) is None


@pytest.mark.parametrize(
    "written", ["means", "=a", "means=", "g=span:1", "g=box:1:2:3", "g=polygon:1:2:3", "g=segment:x"]
)
def test_flags_that_name_no_part_are_refused(written: str) -> None:
    with pytest.raises(explicate.UsageError, match="--group"):
        read_groups([written])


def test_complaints_of_the_server_name_the_flags() -> None:
    paths = ("options.groups[means].parts[1]", "options.groups[means]", "options.groups", "options.fixed[0]")
    for path, flag in zip(paths, ("--group means", "--group means", "--group", "--fixed"), strict=True):
        assert str(in_flags(invalid_argument(path, "is wrong"))) == f"{flag}: is wrong"


def test_an_answer_goes_through_json() -> None:
    result = answered()
    again = ExplainResult.from_json(result.to_json())
    assert again.explanation.options.groups == GROUPS
    assert again.explanation.features == result.explanation.features
    assert again.explanation.fixed == result.explanation.fixed
    assert again.explanation.features[0].members[1].text == "not good"


def test_an_audit_line_repeats_the_parts() -> None:
    held = {
        "groups": {"judgement": [{"start": 0, "end": 3, "in_pair": False}], "means": ["income", {"id": 3}]},
        "fixed": [{"left": 1.0, "top": 2.0, "right": 3.0, "bottom": 4.0}, {"points": [[0, 0], [1, 0], [1, 1]]}],
    }
    fields = {
        **{"model": "m", "version": 1, "input_sha256": "", "attributions_sha256": ""},
        "options": {"method": "exact-shap", "target": None, "time_limit_s": 3.0, **held},
    }
    options = AuditLine.parse(1, json.dumps(fields)).options()
    assert options["groups"] == {
        "judgement": (explicate.TextRange(0, 3),),
        "means": ("income", explicate.Segment(3)),
    }
    assert options["fixed"] == (
        explicate.PixelBox(1.0, 2.0, 3.0, 4.0),
        explicate.PixelPolygon(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))),
    )


def test_views_show_a_group_as_one_and_what_is_fixed_as_such() -> None:
    result = answered()
    lines = list(explanation_text.lines(result, 0))
    assert 'judgement: "the", "not good"' in lines
    assert 'never left out: "is"' in lines
    assert any(line.startswith("judgement ") for line in lines)
    page = html.fragment(result)
    assert '<span class="fixed" title="never left out">is</span>' in page
    # Both places of the group have its colour and its figures.
    assert page.count('title="judgement: -2.0') == 2
    pieces = segments(TEXT, result.explanation.features)
    assert [(piece.text, piece.feature) for piece in pieces if piece.feature == 0] == [("the", 0), ("not good", 0)]
    assert feature_texts(TEXT, result.explanation.features) == ["judgement ", "soup ", "today "]


def test_pixels_of_a_group_belong_to_one_feature_and_fixed_ones_to_none() -> None:
    def feature(number: int, **others: object) -> Feature:
        return Feature(segment=ImageSegment(number, 1, number, 0, number + 1, 1), **others)  # type: ignore[arg-type]

    pair = Feature(group="pair", members=(feature(0), feature(2)))
    result = answered()
    explanation = replace(
        result.explanation,
        features=(pair, feature(1)),
        fixed=(feature(5),),
        segment_map=SegmentMap(4, 1, (0, 1, 2, 5)),
        attributions=(replace(result.explanation.attributions[0], **dict.fromkeys(_COLUMNS, (1.0, 2.0))),),
    )
    assert explanation.misfit == ""
    assert replace(explanation, segment_map=SegmentMap(4, 1, (0, 1, 2, 3))).misfit != ""
    image = replace(result, text="", image=explicate.Image(b"x", "a.png"), explanation=explanation)
    assert explained_image(image)[1].ids == (0, 1, 0, 2)


_COLUMNS = ("values", "standard_errors", "lower", "upper")


def test_a_score_of_many_rows_refuses_parts_of_one() -> None:
    with pytest.raises(explicate.UsageError, match="one input"):
        explicate.score("m", "in.csv", "out", explain="auto", groups={"a": ["b"]})
